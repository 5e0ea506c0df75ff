"""Points at which a night can be stopped: every step, by wrapping the loop's own calls. Production code has no hooks.

A point is named ``STEP/PLACE``. Armed in the process of a night, it acts once, when the night reaches it.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from loop import durable, registry
from loop.evaluation import export_check, gate
from loop.feed import publish, upkeep
from loop.night import choosing, lease, publishing, retrain, snapshot
from loop.store.nights import runs, slots, snapshots, versions
from loop.store.phones import feeds
from loop.store.service import outbox
from tests.helpers.linear import Line

Act = Callable[[], None]
Arm = Callable[[Act], None]


class Phase(StrEnum):
    """The night's progress at a point: no run yet; a run that has published nothing; everything published."""

    BEFORE, DURING, AFTER = "before", "during", "after"


class Lock(StrEnum):
    """The lock that the night holds at a point, and that blocks others."""

    NONE, DATABASE, FEED = "none", "database", "feed"


@dataclass(frozen=True, slots=True)
class Point:
    """A point, and the properties of a night that is stopped there."""

    name: str
    phase: Phase
    arm: Arm
    lock: Lock = Lock.NONE
    halfway: bool = False
    """A new root is published, but not yet its feed: phones refuse the old feed and keep their model."""
    unheard: bool = False
    """An error here is not recorded: the process ends, and the next check finds it dead."""

    @property
    def step(self) -> str:
        """The step of the night to which the point belongs."""
        return self.name.partition("/")[0]


def before(owner: Any, name: str) -> Arm:
    """Act when the function is called."""
    return _around(owner, name, 1, first=True)


def after(owner: Any, name: str, nth: int = 1) -> Arm:
    """Act when the function has returned for the n-th time."""
    return _around(owner, name, nth, first=False)


def _around(owner: Any, name: str, nth: int, *, first: bool) -> Arm:
    def arm(act: Act) -> None:
        original, calls = getattr(owner, name), 0

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            mine = calls
            if first and mine == nth:
                act()
            result = original(*args, **kwargs)
            if not first and mine == nth:
                act()
            return result

        setattr(owner, name, wrapped)

    return arm


def epoch(number: int) -> Arm:
    """Act when the training reports progress for the n-th time."""

    def arm(act: Act) -> None:
        report, reports = lease.HeldRun.report, 0

        def wrapped(self: lease.HeldRun, what: str, done: int, total: int) -> None:
            nonlocal reports
            report(self, what, done, total)
            reports += total > 1  # the steps of the night have a total of one
            if reports == number:
                act()

        lease.HeldRun.report = wrapped

    return arm


def joined(*, done: bool) -> Arm:
    """Act when the lease's thread is joined, or has ended."""

    def arm(act: Act) -> None:
        join = threading.Thread.join

        def wrapped(self: threading.Thread, timeout: float | None = None) -> None:
            ours = self.name.startswith("lease-")
            if ours and not done:
                act()
            join(self, timeout)
            if ours and done:
                act()

        threading.Thread.join = wrapped

    return arm


STAGES = ("begun", "written", "synced", "renamed", "kept")
"""Stages of a file: none exists; its bytes are in the temporary file; synced; renamed; and its folder is synced."""


def file(ours: Callable[[Path], bool], stage: str, nth: int = 1) -> Arm:
    """Act when the n-th of our files has reached a stage."""

    def arm(act: Act) -> None:
        whole, fsync, replace, sync = durable.whole, os.fsync, Path.replace, durable.sync_folder
        seen, writing, named = 0, False, False

        def reached(now: str) -> None:
            if writing and now == stage:
                act()

        @contextmanager
        def watched_whole(path: Path, mode: int, size: str) -> Iterator[Any]:
            nonlocal seen, writing, named
            seen += ours(path)
            writing, named = ours(path) and seen == nth, False
            reached("begun")
            with whole(path, mode, size) as opened:
                yield opened
            writing = False

        def watched_fsync(handle: int) -> None:
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            if regular:
                reached("written")
            fsync(handle)
            if regular:
                reached("synced")

        def watched_replace(self: Path, target: Path) -> Path:
            nonlocal named
            found, named = replace(self, target), True
            reached("renamed")
            return found

        def watched_sync(folder: Path) -> None:
            sync(folder)
            if named:  # not for a new folder
                reached("kept")

        durable.whole, durable.sync_folder = watched_whole, watched_sync
        os.fsync, Path.replace = watched_fsync, watched_replace

    return arm


def _artifact(suffix: str) -> Callable[[Path], bool]:
    return lambda path: path.suffix == suffix and path.parent.parent.name == "artifacts"


def _published(folder: str) -> Callable[[Path], bool]:
    return lambda path: path.parent.name == folder and path.parent.parent.name == "feed"


FILES: dict[str, tuple[Phase, Callable[[Path], bool], int]] = {
    "artifact/model": (Phase.DURING, _artifact(".mlmodel"), 1),
    "artifact/weights": (Phase.DURING, _artifact(".npz"), 1),
    "artifact/report": (Phase.DURING, _artifact(".npz"), 2),
    "artifact/vectors": (Phase.DURING, _artifact(".json"), 1),
    "publish/model": (Phase.AFTER, _published("models"), 1),
    "publish/vectors": (Phase.AFTER, _published("golden"), 1),
    "publish/root": (Phase.AFTER, _published("root"), 1),
    "publish/feed": (Phase.AFTER, lambda path: path.name == "feed.json", 1),
}


HALFWAY = {"publish/root-renamed", "publish/root-kept"} | {f"publish/feed-{stage}" for stage in STAGES[:3]}


def _files() -> Iterator[Point]:
    for name, (phase, ours, nth) in FILES.items():
        lock = Lock.FEED if phase is Phase.AFTER else Lock.NONE
        for stage in STAGES:
            halfway = f"{name}-{stage}" in HALFWAY
            yield Point(f"{name}-{stage}", phase, file(ours, stage, nth), lock, halfway)


B, D, A = Phase
DB, FEED = Lock.DATABASE, Lock.FEED

POINTS: dict[str, Point] = {
    point.name: point
    for point in (
        Point("claim/asked", B, before(retrain, "_champion_and_base")),
        Point("claim/locked", B, before(runs, "claim"), DB),
        Point("claim/row", B, after(runs, "claim"), DB),
        Point("claim/slot", B, after(slots, "take"), DB),
        Point("claim/committed", D, before(lease.HeldRun, "__init__"), unheard=True),
        Point("snapshot/begun", D, before(choosing, "choose")),
        Point("snapshot/chosen", D, after(choosing, "choose")),
        Point("snapshot/trusted", D, after(choosing, "remember")),
        Point("snapshot/rows", D, after(snapshots, "keep"), DB),
        Point("snapshot/run", D, after(runs, "freeze"), DB),
        Point("snapshot/committed", D, after(snapshot, "freeze")),
        Point("reserve/begun", D, before(lease.HeldRun, "reserve")),
        Point("reserve/row", D, after(runs, "reserve"), DB),
        Point("reserve/committed", D, after(lease.HeldRun, "reserve")),
        Point("epoch/first", D, epoch(1)),
        Point("epoch/middle", D, epoch(2)),
        Point("epoch/last", D, epoch(3)),
        Point("round/begun", D, before(Line, "rounded")),
        Point("round/done", D, after(Line, "rounded")),
        Point("export/begun", D, before(Line, "export")),
        Point("export/done", D, after(Line, "export")),
        Point("evaluate/begun", D, before(publishing, "report_of")),
        Point("evaluate/champion", D, after(publishing, "report_of")),
        Point("evaluate/done", D, after(publishing, "evaluate")),
        Point("judge/begun", D, before(publishing, "judge")),
        Point("judge/exported", D, after(Line, "export", 2)),
        Point("judge/gate", D, after(gate, "judge")),
        Point("judge/trial", D, after(export_check, "run")),
        Point("judge/vectors", D, after(export_check, "golden")),
        Point("judge/done", D, after(publishing, "judge")),
        Point("register/begun", D, before(publishing, "publish")),
        Point("register/locked", D, before(registry, "register"), DB),
        Point("register/version", D, after(versions, "add"), DB),
        Point("register/verdict", D, after(versions, "give"), DB),
        Point("register/verdicts", D, after(versions, "give", 2), DB),
        Point("register/challenger", D, after(versions, "move"), DB),
        Point("register/event", D, after(outbox, "record"), DB),
        Point("register/champion", D, after(registry, "promote_in"), DB),
        Point("register/finished", D, after(runs, "finish"), DB),
        Point("register/committed", A, after(publishing, "publish")),
        Point("publish/asked", A, before(upkeep, "follow")),
        Point("publish/locked", A, before(publish, "gather"), FEED),
        Point("publish/gathered", A, after(publish, "gather"), FEED),
        Point("publish/entry", A, after(feeds, "add_entry"), DB, halfway=True),
        Point("publish/published", A, after(publish, "publish")),
        Point("publish/done", A, after(upkeep, "tell")),
        Point("cleanup/asked", A, joined(done=False)),
        Point("cleanup/done", A, joined(done=True)),
        *_files(),
    )
}
STEPS = tuple(dict.fromkeys(point.step for point in POINTS.values()))
