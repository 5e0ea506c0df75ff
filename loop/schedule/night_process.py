"""A night in a process of its own: started, watched, bounded, ended, and its output kept.

The rules:
- The process claims its run itself, with its slot: whoever starts it twice, or on two machines, gets one run.
- Its output, and what native code writes there, is kept as ``logs/run-<id>.log`` of the home.
- Too long, or too much memory: first the run is ended in the store, so that nothing of it can be published any more,
  then the process, with SIGTERM, and with SIGKILL where that does not help.
- Memory is the peak of the resident set, as Linux counts it (``VmHWM``): a limit of address space would refuse
  TensorFlow, which reserves far more than it uses, a limit of resident memory is one that Linux ignores, and control
  groups need rights that the loop should not have.
- A process whose run is over, or whose lease has run out, is ended after another lease.
- A process that ends before it has a run leaves a failed one, with its last words. A night that outlives its
  scheduler goes on; the lease, which it renews itself, tells the next scheduler.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy.orm import Session

from loop.clock import Clock
from loop.errors import DeploymentError, LeaseLost
from loop.home import Home
from loop.home.logs import masked
from loop.store import values
from loop.store.nights import runs, slots
from loop.store.nights.slots import Slot
from loop.store.values import RunStatus

COMMAND = (sys.executable, "-m", "loop", "retrain", "--slot")
EXIT_TRY_LATER = os.EX_TEMPFAIL
"""Exit status of a night that found its slot taken, a run under way, or no database: nothing happened."""
GRACE_SECONDS = 20.0
"""From SIGTERM to SIGKILL; a training step takes less than a tenth of a second."""
POLL_SECONDS = 0.5
LAST_LOG_LINES = 3  # lines


def log_of(home: Home, run_id: int) -> Path:
    """Where the output of a run is kept."""
    return home.settings.home / "logs" / f"run-{run_id}.log"


def resident(pid: int) -> int | None:
    """The most memory that a process had resident, in bytes; None where that cannot be known."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def last_log_lines(log: Path) -> str:
    """The end of a log, in one line."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    said = [" ".join("".join(sign if sign.isprintable() else " " for sign in masked(line)).split()) for line in lines]
    return " | ".join([line for line in said if line][-LAST_LOG_LINES:]) or "it said nothing"


class NightProcess:
    """One night's process. ``watch`` belongs to one thread; ``stop`` may be called from any."""

    def __init__(self, home: Home, slot: Slot, clock: Clock, command: Sequence[str] = COMMAND) -> None:
        """Start ``command`` with the slot's name, in this environment; secrets stay there, not on a command line."""
        self.home, self.slot, self._clock = home, slot, clock
        self._log = log_of(home, 0).with_name(f"new-{uuid.uuid4().hex}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._stopped = threading.Event()
        self._reason: str | None = None
        self._lived = time.monotonic()
        self._ends = self._lived + home.settings.schedule.night_minutes * 60
        self._patience = max(GRACE_SECONDS, home.settings.lease_seconds)
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line, and a name that we made)
                [*command, slot.name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # Ctrl-C is for the scheduler, which passes it on
            )
        self.pid = self._process.pid
        self._holder = f"{runs.me().rpartition(':')[0]}:{self.pid}"

    def stop(self) -> None:
        """Ask the night to end at its next step; its slot is free again then. ``watch`` sees to it."""
        self._stopped.set()

    def watch(self) -> values.Run | None:
        """Until the night has ended, of itself or not: its run, or None where it took none."""
        while not self._ended(POLL_SECONDS):
            run = self._look()
            if (reason := self._excess()) is not None:
                self._refuse(run, reason)
                self._end()
            elif self._stopped.is_set() or time.monotonic() - self._lived > self._patience:
                self._end()
        return self._settle(self._process.returncode)

    def _ended(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _look(self) -> values.Run | None:
        """The run that the process claimed; and is it alive? One that was stopped may hold a lock that all others wait
        for, who therefore cannot take over. Without a database, or room on its disk, the bounds hold as well.
        """
        run, silent = None, False
        with suppress(DeploymentError), self.home.store.read() as tx:
            run = runs.held(tx, self.slot.name, self._holder)
            silent = run is not None and not runs.alive(tx, run.id, self._clock())
        if run is not None:
            self._name(run)
        if not silent:
            self._lived = time.monotonic()
        return run

    def _name(self, run: values.Run) -> None:
        """Only now is it known whose output this is."""
        with suppress(OSError):  # a log that cannot be renamed is no reason to leave the night unwatched
            self._log = self._log.rename(log_of(self.home, run.id))

    def _excess(self) -> str | None:
        schedule = self.home.settings.schedule
        if time.monotonic() > self._ends:
            return f"took longer than {schedule.night_minutes:g} minutes"
        if (resident(self.pid) or 0) > schedule.night_memory:
            return f"needed more than {schedule.night_memory / (1 << 20):,.0f} MiB"
        return None

    def _refuse(self, run: values.Run | None, reason: str) -> None:
        """End the run before the process: a night that is told to stop must not publish on its way out."""
        self._reason = reason
        if run is not None:
            with suppress(DeploymentError, LeaseLost), self.home.store.write() as tx:
                runs.finish(tx, run.id, RunStatus.FAILED, reason, {}, self._clock())

    def _end(self) -> None:
        self._process.terminate()
        if not self._ended(GRACE_SECONDS):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def _settle(self, status: int) -> values.Run | None:
        """Write down what the process did not. Raises ``DeploymentError``; then the next claim finds out."""
        now = self._clock()
        with self.home.store.exclusive() as tx:
            run = runs.held(tx, self.slot.name, self._holder) or self._stillborn(tx, status)
            if run is not None and run.status is RunStatus.RUNNING and self._reason is not None:
                runs.finish(tx, run.id, RunStatus.FAILED, self._reason, {}, now)
            runs.reap(tx, now)
            run = None if run is None else runs.get(tx, run.id)
            if run is not None and run.status is RunStatus.FAILED and self._stopped.is_set() and self._reason is None:
                slots.spare(tx, run.id)  # the loop ended it, for reasons that were not the night's
        if run is None:
            self._log.unlink(missing_ok=True)
        else:
            self._name(run)
        return run

    def _stillborn(self, tx: Session, status: int) -> values.Run | None:
        """A failed run for a process that ended before it had one, though nothing kept it from one."""
        excused = status == EXIT_TRY_LATER or (self._stopped.is_set() and self._reason is None)
        if excused or slots.get(tx, self.slot.name).run_id is not None:
            return None
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        reason = self._reason or f"ended before it began ({how}): {last_log_lines(self._log)}"
        run = runs.stillborn(tx, self.slot, self._holder, reason, self._clock())
        if status < 0 and self._reason is None:
            slots.free(tx, run.id)  # it died without a word
        return run
