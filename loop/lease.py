"""One run at a time: claim it, keep it alive while a network trains, write down how it ended.

Whatever the run writes, it writes through ``Shift``; the store refuses once the lease has gone to another
(``store.runs``). No transaction stays open between two steps.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loop.errors import LeaseLost, LoopError
from loop.home import Home
from loop.store import runs, values
from loop.store.values import RunStatus
from models.family import Progress, no_progress

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock; the only place that reads it for the loop."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Shift:
    """A claimed run while it is being worked: its row, its steps' durations, how it ended."""

    run: values.Run
    home: Home
    clock: Clock
    progress: Progress = no_progress
    seconds: dict[str, float] = field(default_factory=dict)
    ended: bool = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one step; its duration stands in the run's row and in ``loop retrain --json``."""
        begin = time.perf_counter()
        self.progress(name, 0, 1)
        yield
        self.progress(name, 1, 1)
        self.seconds[name] = round(time.perf_counter() - begin, 3)

    def reserve(self) -> int:
        """A version number of this run's own. Raises ``LeaseLost``."""
        with self.home.store.exclusive() as tx:
            return runs.reserve(tx, self.run.id)

    def finish(self, status: RunStatus, reason: str | None = None) -> None:
        """End the run in a transaction of its own. Raises ``LeaseLost``."""
        with self.home.store.write() as tx:
            runs.finish(tx, self.run.id, status, reason, self.seconds, self.clock())
        self.ended = True


@contextmanager
def hold(home: Home, family: str, kind: str, clock: Clock, progress: Progress = no_progress) -> Iterator[Shift]:
    """Claim a run for the block. Raises ``RunInProgress``.

    What the block raises is written down as the run's reason and raised on; a killed process writes nothing, and the
    next claim finds it gone.
    """
    lease = home.settings.lease_seconds
    with home.store.exclusive() as tx:
        run = runs.claim(tx, family, kind, runs.me(), lease, clock())
    shift = Shift(run, home, clock, progress)
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


def _beat(shift: Shift, lease_seconds: float, stop: threading.Event) -> None:
    """Renew the lease four times in its length. A beat that fails is not the end: the lease may outlast a
    hiccup of the database, and if it does not, the run's next write is refused.
    """
    while not stop.wait(lease_seconds / 4):
        try:
            with shift.home.store.write() as tx:
                runs.renew(tx, shift.run.id, lease_seconds, shift.clock())
        except LeaseLost:
            return
        except LoopError:
            continue
