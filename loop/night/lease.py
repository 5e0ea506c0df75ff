"""One run at a time: claim it, keep it alive while a network trains, write down how it ended.

Whatever the run writes, it writes through ``Shift``; the store refuses once the lease has gone to another
(``store.runs``). No transaction stays open between two steps.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from loop.clock import Clock
from loop.errors import LeaseLost, LoopError
from loop.home import Home
from loop.store import values
from loop.store.nights import runs, slots
from loop.store.values import RunStatus
from models.family import Progress, no_progress

PROGRESS_SECONDS = 1.0


@dataclass(slots=True)
class HeldRun:
    """A claimed run while it is being worked: its row, its steps' durations, how it ended."""

    run: values.Run
    home: Home
    clock: Clock
    progress: Progress = no_progress
    seconds: dict[str, float] = field(default_factory=dict)
    ended: bool = False
    reached: tuple[str, int, int] | None = None
    """What was reported last; the lease's thread writes it down, so that no training waits for a database."""
    lost: LeaseLost | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one step; its duration stands in the run's row and in ``loop retrain --json``."""
        begin = time.perf_counter()
        self.report(name, 0, 1)
        yield
        self.reached = (name, 1, 1)
        self.progress(name, 1, 1)
        self.seconds[name] = round(time.perf_counter() - begin, 3)

    def report(self, what: str, done: int, total: int) -> None:
        """How far the night has come. Raises ``LeaseLost`` once that is known: what follows would be refused."""
        if self.lost is not None:
            raise self.lost
        self.reached = (what, done, total)
        self.progress(what, done, total)

    def reserve(self) -> int:
        """A version number of this run's own. Raises ``LeaseLost``."""
        with self.home.store.exclusive() as tx:
            return runs.reserve(tx, self.run.id)

    def finish(self, status: RunStatus, reason: str | None = None) -> None:
        """End the run in a transaction of its own. Raises ``LeaseLost``."""
        with self.home.store.write() as tx:
            if status is RunStatus.FAILED:  # where it stopped is worth more than where it was a second earlier
                runs.renew(tx, self.run.id, 0, self.clock(), self.reached)
            runs.finish(tx, self.run.id, status, reason, self.seconds, self.clock())
        self.ended = True


@contextmanager
def hold(
    home: Home, family: str, kind: str, clock: Clock, progress: Progress = no_progress, slot: str | None = None
) -> Iterator[HeldRun]:
    """Claim a run for the block, and its slot. Raises ``RunInProgress``, ``SlotTaken``.

    What the block raises is written down as the run's reason and raised on; a killed process writes nothing, and the
    next claim finds it gone.
    """
    lease = home.settings.lease_seconds
    with home.store.exclusive() as tx:
        run = runs.claim(tx, family, kind, runs.me(), lease, clock(), slot)
        if slot is not None:
            slots.take(tx, slot, run.id, home.settings.schedule.attempts)
    shift = HeldRun(run, home, clock, progress)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(shift, lease, stop), name=f"lease-{run.id}", daemon=True)
    heart.start()
    try:
        yield shift
    except BaseException as error:
        stop.set()
        heart.join()
        if not isinstance(error, LeaseLost) and not shift.ended:
            said = str(error) if isinstance(error, LoopError) else f"{type(error).__name__}: {error}"
            if isinstance(error, KeyboardInterrupt | SystemExit):
                said = "stopped from outside; nothing was published"
            # Where even this cannot be written (the disk is full, the database gone, or the commit went through and
            # only its answer was lost), the next claim finds out; what matters now is the error that came first.
            with suppress(LoopError):
                shift.finish(RunStatus.FAILED, said)
        raise
    finally:
        stop.set()
        heart.join()


def _beat(shift: HeldRun, lease_seconds: float, stop: threading.Event) -> None:
    """Renew the lease four times in its length, and write down what was reached, every second at most. A beat that
    fails is not the end: the lease may outlast a hiccup of the database, and if it does not, the run's next write is
    refused. A slot's night is renewed no longer than it may take: nobody waits for one that hangs and whose scheduler,
    which would have ended it, is gone.
    """
    due, written = time.monotonic() + lease_seconds / 4, shift.reached
    ends = time.monotonic() + shift.home.settings.schedule.night_minutes * 60
    while not stop.wait(min(PROGRESS_SECONDS, lease_seconds / 4)):
        if shift.run.slot is not None and time.monotonic() > ends:
            return
        reached = shift.reached
        if reached == written and time.monotonic() < due:
            continue
        try:
            with shift.home.store.write() as tx:
                runs.renew(tx, shift.run.id, lease_seconds, shift.clock(), reached)
        except LeaseLost as lost:
            shift.lost = lost
            return
        except LoopError:
            continue
        due, written = time.monotonic() + lease_seconds / 4, reached
