"""The feeds of ``vectors``: a device follows an honest publisher, then syncs at the attacks of tests/feed, or goes on.

Each step's outcome is that of the Python client, so a vector cannot demand what Python does not do.
"""

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.errors import FeedRefused
from loop.feed import client, refusals
from loop.feed.client import state as states
from tests.feed.client import app_updates, attacks, attacks_on_files, attacks_on_roots
from tests.feed.simulator import CHANNEL, HOUR, Publisher, key, model
from tests.helpers import stripes

assert attacks_on_files.on_file is attacks.on_file  # both modules are imported, so their attacks are registered
assert attacks_on_roots.on_feed is attacks.on_feed


@dataclass(frozen=True, slots=True)
class Step:
    """The server's files at one sync, the root ``built_in`` to the app that runs then, and what comes of it:
    ``refusal`` None or its name, and the device's state.
    """

    now: datetime
    built_in: bytes
    files: dict[str, bytes]
    outcome: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The syncs of a device that is new at the first of them."""

    name: str
    steps: tuple[Step, ...]


class Recorder:
    """A publisher, and a device that syncs at it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.publisher, self.steps = folder, Publisher(), list[Step]()

    def sync(self) -> None:
        """Sync once, and record what was on the server and what came of it."""
        p, refusal = self.publisher, None
        try:
            client.sync(p.shelf, self.folder, CHANNEL, p.now, root=p.app_root)
        except FeedRefused as error:
            refusal = _rule(error)
        state = states.load(self.folder)
        assert state is not None
        outcome = {
            "refusal": refusal,
            "root": state.trusted.root.version,
            "epoch": state.trusted.root.epoch,
            "sequence": state.trusted.sequence,
            "current": None if state.current is None else state.current.version,
            "previous": None if state.previous is None else state.previous.version,
        }
        self.steps.append(Step(p.now, p.app_root, dict(p.shelf.files), outcome))


def every() -> Iterator[Scenario]:
    """Each attack after an honest start, and the honest lives of a device."""
    for attack in attacks.every():
        yield _played(attack.name, _attacked(attack))
    for live in LIVES:
        yield _played(live.__name__, live)


def of_updated_apps() -> Iterator[Scenario]:
    """Devices with an app that is updated: from step to step another root may be built in."""
    for update in app_updates.EVERY:
        yield _played(update.__name__, update)


def models() -> list[bytes]:
    """Every model that loads."""
    return [model(1)[0], model(2)[0], model(3)[0], model(4)[0], model(2, "svm")[0]]


def images() -> NDArray[np.uint8]:
    """The pictures of all golden vectors."""
    return stripes.images()


def stored_png(pixels: NDArray[np.uint8]) -> bytes:
    """A grayscale PNG without compression, which a client can write without a library."""
    side = len(pixels)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    stored = (
        b"\x78\x01\x01"
        + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF)
        + rows
        + struct.pack(">I", zlib.adler32(rows))
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", stored), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _rule(error: FeedRefused) -> str:
    """The name in ``loop.feed.refusals``: the client's own ``Missing`` is an ``Unavailable``."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == refusals.__name__)


def _played(name: str, play: Callable[[Recorder], None]) -> Scenario:
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder))
        play(recorder)
        return Scenario(name, tuple(recorder.steps))


def _attacked(attack: attacks.Attack) -> Callable[[Recorder], None]:
    def play(r: Recorder) -> None:
        p = r.publisher
        p.before = p.publish(2, rollout_percent=0)
        p.publish(1)
        r.sync()
        if attack in attacks.ON_FILES:
            p.show(p.sign(p.feed(2)))
        attack.strike(p)
        r.sync()
        assert r.steps[-1].outcome["refusal"] == attack.refusal.__name__

    return play


def update_and_rollback(r: Recorder) -> None:
    """Version 1, then 2, then a newer feed with version 1 again."""
    for version in (1, 2, 1):
        r.publisher.publish(version)
        r.sync()


def nothing_new(r: Recorder) -> None:
    """The same feed twice."""
    r.publisher.publish(1)
    r.sync()
    r.sync()


def withdrawn_without_replacement(r: Recorder) -> None:
    """The only model is withdrawn; the feed names one that this device must not run yet, and it installs that."""
    p = r.publisher
    p.publish(1)
    r.sync()
    digest = next(iter(p.feed(1).channels.values())).digest
    p.publish(2, withdrawn=(digest,), rollout_percent=0)
    r.sync()


def withdrawn_with_a_previous_model(r: Recorder) -> None:
    """The current model is withdrawn; the previous one takes its place."""
    p = r.publisher
    for version in (1, 2):
        p.publish(version)
        r.sync()
    digest = next(iter(p.feed(2).channels.values())).digest
    p.publish(1, withdrawn=(digest,))
    r.sync()


def key_rotation(r: Recorder) -> None:
    """A new feed key, certified by root 2."""
    p = r.publisher
    p.publish(1)
    r.sync()
    p.feed_keys = [key("feed-2")]
    p.rotate()
    p.publish(2)
    r.sync()


def three_roots_at_once(r: Recorder) -> None:
    """A device that was offline follows several roots in one sync."""
    p = r.publisher
    for _ in range(3):
        p.rotate()
    p.publish(1)
    r.sync()


def recovery(r: Recorder) -> None:
    """A new epoch: the sequence begins again."""
    p = r.publisher
    for version in (1, 2):
        p.publish(version)
        r.sync()
    p.feed_keys = [key("feed-3")]
    p.rotate(new_epoch=True)
    p.publish(3)
    r.sync()


def clock_set_back(r: Recorder) -> None:
    """A device whose clock falls behind the last feed's issue time still accepts the next one."""
    p = r.publisher
    p.publish(1)
    r.sync()
    made = p.sign(p.feed(2))
    p.show(made)
    p.now -= 100 * HOUR
    r.sync()


def no_feed(r: Recorder) -> None:
    """A server without a feed."""
    r.sync()


def missing_model(r: Recorder) -> None:
    """The feed names a model that the server does not have."""
    p = r.publisher
    p.publish(1)
    for path in [path for path in p.shelf.files if path.startswith("models/")]:
        del p.shelf.files[path]
    r.sync()


LIVES = (
    update_and_rollback,
    nothing_new,
    withdrawn_without_replacement,
    withdrawn_with_a_previous_model,
    key_rotation,
    three_roots_at_once,
    recovery,
    clock_set_back,
    no_feed,
    missing_model,
)
