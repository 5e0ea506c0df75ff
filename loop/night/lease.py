"""One run at a time: claim it, renew its lease while a network trains, store how it ended.

The run writes through ``HeldRun`` only; the store refuses its writes once another run has taken over the lease
(``store.nights.runs``). No transaction stays open between two steps.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from loop.clock import Clock
from loop.errors import LeaseLost, LessonErased, LoopError
from loop.home import Home
from loop.store import values
from loop.store.nights import runs, slots
from loop.store.values import RunStatus
from models.family import Progress, no_progress

PROGRESS_SECONDS = 1.0
MOST_RUNS_OF_A_SLOT = 10
"""A night that others stopped by taking its lesson back does not use up its slot, until the slot had so many runs."""


@dataclass(slots=True)
class HeldRun:
    """A claimed run while its process works on it: its row, the durations of its steps, whether it has ended."""

    run: values.Run
    home: Home
    clock: Clock
    progress: Progress = no_progress
    seconds: dict[str, float] = field(default_factory=dict)
    ended: bool = False
    reached: tuple[str, int, int] | None = None
    """The last reported progress; the lease's thread stores it, so that training never waits for the database."""
    lost: LeaseLost | None = None
    number: int | None = None
    """The version number that the run reserved; a second attempt of the same run uses it."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step; its duration is in the run's row and in ``loop retrain --json``."""
        begin = time.perf_counter()
        self.report(name, 0, 1)
        yield
        self.reached = (name, 1, 1)
        self.progress(name, 1, 1)
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - begin, 3)

    def report(self, what: str, done: int, total: int) -> None:
        """Report progress. Raises ``LeaseLost`` once the lease is known to be lost: later writes would be refused."""
        if self.lost is not None:
            raise self.lost
        self.reached = (what, done, total)
        self.progress(what, done, total)

    def reserve(self) -> int:
        """Reserve a version number for this run, once. Raises ``LeaseLost``."""
        if self.number is None:
            with self.home.store.exclusive() as tx:
                self.number = runs.reserve(tx, self.run.id)
        return self.number

    def finish(self, status: RunStatus, reason: str | None = None, *, spare: bool = False) -> None:
        """End the run in a transaction of its own; ``spare`` frees its slot, within bounds. Raises ``LeaseLost``."""
        with self.home.store.exclusive() as tx:
            if status is RunStatus.FAILED:  # store where it stopped, not where it was a second earlier
                runs.renew(tx, self.run.id, 0, self.clock(), self.reached)
            runs.finish(tx, self.run.id, status, reason, self.seconds, self.clock())
            if spare and self.run.slot is not None and runs.count(tx, self.run.slot) < MOST_RUNS_OF_A_SLOT:
                slots.spare(tx, self.run.id)
        self.ended = True


@contextmanager
def hold(
    home: Home, family: str, kind: str, clock: Clock, progress: Progress = no_progress, slot: str | None = None
) -> Iterator[HeldRun]:
    """Claim a run, and its slot, for the block. Raises ``RunInProgress``, ``SlotTaken``.

    An exception in the block is stored as the run's reason and raised again. A killed process stores nothing, and the
    next claim takes its lease over.
    """
    lease = home.settings.lease_seconds
    with home.store.exclusive() as tx:
        run = runs.claim(tx, family, kind, runs.me(), lease, clock(), slot)
        if slot is not None:
            slots.take(tx, slot, run.id, home.settings.schedule.attempts)
    held = HeldRun(run, home, clock, progress)
    stop = threading.Event()
    renewal = threading.Thread(target=_renew, args=(held, lease, stop), name=f"lease-{run.id}", daemon=True)
    renewal.start()
    try:
        yield held
    except BaseException as error:
        stop.set()
        renewal.join()
        if not isinstance(error, LeaseLost) and not held.ended:
            # If even this write fails (a full disk, no database, or a commit that succeeded but lost its answer), the
            # next claim takes over; the first error is the one to raise.
            with suppress(LoopError):
                held.finish(RunStatus.FAILED, _reason(error), spare=isinstance(error, LessonErased))
        raise
    finally:
        stop.set()
        renewal.join()


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "stopped from outside; nothing was published"
    return str(error) if isinstance(error, LoopError) else f"{type(error).__name__}: {error}"


def _renew(held: HeldRun, lease_seconds: float, stop: threading.Event) -> None:
    """Renew the lease four times per lease length, and store the progress at most once a second.

    A failed renewal is not fatal: the lease may outlast a hiccup of the database, and if it does not, the run's next
    write is refused. A slot's night is not renewed past its time limit, so that a hanging night without a scheduler to
    end it cannot block the next one.
    """
    due, written = time.monotonic() + lease_seconds / 4, held.reached
    ends = time.monotonic() + held.home.settings.schedule.night_minutes * 60
    while not stop.wait(min(PROGRESS_SECONDS, lease_seconds / 4)):
        if held.run.slot is not None and time.monotonic() > ends:
            return
        reached = held.reached
        if reached == written and time.monotonic() < due:
            continue
        try:
            with held.home.store.write() as tx:
                runs.renew(tx, held.run.id, lease_seconds, held.clock(), reached)
        except LeaseLost as lost:
            held.lost = lost
            return
        except LoopError:
            continue
        due, written = time.monotonic() + lease_seconds / 4, reached
