"""Sync a device: take over the app's root if it is newer, fetch newer roots and the feed, accept or refuse them,
install the model that the feed names, switch.

Rules: trusted state is on disk before it is used, so a killed device never trusts an older state than before. A
withdrawn model is dropped at once, even without a replacement. The switch is one rename of one file. After any refusal
the device keeps its model.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from loop.errors import FeedRefused
from loop.feed import built_in, document, refusals, trust
from loop.feed.asking import AskingPolicy
from loop.feed.client import install
from loop.feed.client import source as sources
from loop.feed.client import state as states
from loop.feed.client.source import Missing, Source, Timeouts
from loop.feed.client.state import Held, HeldAsking, State
from loop.feed.document import Feed
from loop.feed.layout import ASKING_FILE, FEED_FILE, root_path
from loop.feed.trust import Action, Device, Trusted

MAX_ROOTS = 64  # per sync; the next sync continues


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of a sync. With ``current`` None no installed model may run; the app uses its built-in one.

    ``asking`` is the policy to follow now. If it is None, send and ask nothing; ``asking_why`` has the reason.
    """

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
    asking: AskingPolicy | None
    asking_why: str


def sync(
    source: Source,
    folder: Path,
    channel: str,
    now: datetime,
    *,
    root: bytes | None = None,
    ios: tuple[int, int] | None = None,
    timeouts: Timeouts | None = None,
) -> Synced:
    """Check for a newer model once. ``root`` is the document built into the app: needed the first time, and it replaces
    the trusted one if a later version of the app has a newer one.

    Raises ``FeedRefused``, which names the broken rule; ``state.json`` then has what is still trusted.
    """
    timeouts = timeouts or Timeouts()
    with states.locked(folder):
        state = _with_built_in(folder, _loaded(folder, channel, root), root)
        state = _follow_roots(source, folder, state, timeouts)
        data = sources.read(source, FEED_FILE, document.MAX_BYTES, timeouts)
        trusted, feed = trust.accept(state.trusted, data, now)
        before = state.current
        state = _saved(folder, state, _without_withdrawn(replace(state, trusted=trusted), feed, folder))
        device = Device(state.device, state.channel, ios)
        choice = trust.choose(feed, device, None if state.current is None else state.current.digest)
        left = f"version {before.version} was withdrawn; " if before and before.digest in feed.withdrawn else ""
        if choice.action is Action.INSTALL:
            held = install.install(source, folder, state.channel, choice.release, timeouts)
            previous = state.current if state.current != held else state.previous
            state = _saved(folder, state, replace(state, current=held, previous=previous))
        asking, asking_why = _asking(source, state, now, timeouts)  # last: no policy ever keeps a model away
        state = _saved(folder, state, replace(state, asking=asking))
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
        asking=policy_at(state, now),
        asking_why=asking_why,
    )


def policy_at(state: State, now: datetime) -> AskingPolicy | None:
    """The asking policy that is valid now, if there is one."""
    return None if state.asking is None or now >= state.asking.expires else state.asking.policy


def _asking(source: Source, state: State, now: datetime, timeouts: Timeouts) -> tuple[HeldAsking | None, str]:
    """The asking policy to keep, and why. A refused one leaves the last one in place until that expires."""
    seen = None if state.asking is None else state.asking.seen
    try:
        data = sources.read(source, ASKING_FILE, document.MAX_BYTES, timeouts)
        seen, asking = trust.accept_asking(state.trusted, seen, data, now)
    except Missing:
        return state.asking, "the server publishes no asking policy"
    except FeedRefused as error:
        return state.asking, f"refused: {error}"
    return HeldAsking(seen, asking.expires, asking.policy), "the policy is valid"


def _loaded(folder: Path, channel: str, root: bytes | None) -> State:
    state = states.load(folder)
    if state is None:
        if root is None:
            raise refusals.StateUnreadable(f"{folder}: no trusted root yet; pass the app's root document with --root")
        state = states.begin(root, channel)
        states.save(folder, state)
    if state.channel != channel:
        raise refusals.NoChannel(f"{folder}: expected channel {state.channel}, as at the first sync; got {channel}")
    return state


def _follow_roots(source: Source, folder: Path, state: State, timeouts: Timeouts) -> State:
    for _ in range(MAX_ROOTS):
        path = root_path(state.trusted.root.version + 1)
        try:
            data = sources.read(source, path, document.MAX_BYTES, timeouts)
        except Missing:
            return state
        state = _saved(folder, state, _trusting(state, trust.follow(state.trusted, data)))
    return state


def _with_built_in(folder: Path, state: State, root: bytes | None) -> State:
    if root is None:
        return state
    return _saved(folder, state, _trusting(state, built_in.consider(state.trusted, root)))


def _trusting(state: State, trusted: Trusted) -> State:
    """The state with a newer root. A policy of another epoch may be a thief's: it is forgotten like the sequences."""
    kept = state.asking if trusted.root.epoch == state.trusted.root.epoch else None
    return replace(state, trusted=trusted, asking=kept)


def _without_withdrawn(state: State, feed: Feed, folder: Path) -> State:
    """Replace a withdrawn or damaged model by the previous one, or by none."""
    usable = [
        held
        for held in (state.current, state.previous)
        if held is not None and held.digest not in feed.withdrawn and states.is_intact(folder, held)
    ]
    current, previous = (*usable, None, None)[:2]
    return replace(state, current=current, previous=previous)


def _saved(folder: Path, old: State, new: State) -> State:
    if new != old:
        states.save(folder, new)
    return new
