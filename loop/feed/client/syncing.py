"""``sync``: ask for newer roots, then the feed; believe it or not; install what it names; switch.

Rules: what was believed is on disk before anything is done with it, so a killed device never believes less than before.
A withdrawn model is left at once, even if its replacement does not come. The switch is one rename of one file.
Whatever is refused leaves the device on the model that it has.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from loop.feed import document, refusals, trust
from loop.feed.client import install
from loop.feed.client import source as sources
from loop.feed.client import state as states
from loop.feed.client.source import Missing, Source, Timeouts
from loop.feed.client.state import Held, State
from loop.feed.document import Feed
from loop.feed.layout import FEED_FILE, root_path
from loop.feed.trust import Action, Device

MAX_ROOTS = 64  # a sync follows at most so many; the next one goes on


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync came to; ``current`` None: no model that may run, use the one in the app."""

    action: Action
    why: str
    epoch: int
    sequence: int
    root: int
    expires: datetime
    confirm_rate: float
    urgent: bool
    current: Held | None
    previous: Held | None


def sync(
    source: Source,
    folder: Path,
    channel: str,
    now: datetime,
    *,
    root: bytes | None = None,
    ios: tuple[int, int] | None = None,
    patience: Timeouts | None = None,
) -> Synced:
    """One look for something newer. ``root`` is the document that came with the app, needed the first time only.

    Raises ``FeedRefused`` with the rule that was broken; ``state.json`` then says what still holds.
    """
    patience = patience or Timeouts()
    with states.locked(folder):
        state = _begun(folder, channel, root)
        state = _follow_roots(source, folder, state, patience)
        data = sources.read(source, FEED_FILE, document.MAX_BYTES, patience)
        trusted, feed = trust.accept(state.trusted, data, now)
        before = state.current
        state = _kept(folder, state, _without_withdrawn(replace(state, trusted=trusted), feed, folder))
        device = Device(state.device, state.channel, ios)
        choice = trust.choose(feed, device, None if state.current is None else state.current.digest)
        left = f"version {before.version} was withdrawn; " if before and before.digest in feed.withdrawn else ""
        if choice.action is Action.INSTALL:
            held = install.install(source, folder, state.channel, choice.release, patience)
            previous = state.current if state.current != held else state.previous
            state = _kept(folder, state, replace(state, current=held, previous=previous))
        states.tidy(folder, state)
    return Synced(
        action=choice.action,
        why=left + choice.why,
        epoch=feed.epoch,
        sequence=feed.sequence,
        root=state.trusted.root.version,
        expires=feed.expires,
        confirm_rate=feed.confirm_ppm / document.MILLION,
        urgent=choice.release.urgent,
        current=state.current,
        previous=state.previous,
    )


def _begun(folder: Path, channel: str, root: bytes | None) -> State:
    state = states.load(folder)
    if state is None:
        if root is None:
            raise refusals.StateUnreadable(f"{folder}: no trusted root yet; give the app's root document with --root")
        state = states.begin(root, channel)
        states.save(folder, state)
    if state.channel != channel:
        raise refusals.NoChannel(f"{folder}: expected channel {state.channel}, which it began with; got {channel}")
    return state


def _follow_roots(source: Source, folder: Path, state: State, patience: Timeouts) -> State:
    for _ in range(MAX_ROOTS):
        path = root_path(state.trusted.root.version + 1)
        try:
            data = sources.read(source, path, document.MAX_BYTES, patience)
        except Missing:
            return state
        state = _kept(folder, state, replace(state, trusted=trust.follow(state.trusted, data)))
    return state


def _without_withdrawn(state: State, feed: Feed, folder: Path) -> State:
    """Off a model that was withdrawn or is no longer whole: to the previous one, else to none."""
    usable = [
        held
        for held in (state.current, state.previous)
        if held is not None and held.digest not in feed.withdrawn and states.sound(folder, held)
    ]
    current, previous = (*usable, None, None)[:2]
    return replace(state, current=current, previous=previous)


def _kept(folder: Path, old: State, new: State) -> State:
    if new != old:
        states.save(folder, new)
    return new
