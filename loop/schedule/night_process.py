"""Run a night in a separate process: start it, watch it, limit its time and memory, end it, and keep its output.

The rules:
- The process claims its run itself, with its slot. If it is started twice, or on two machines, only one run exists.
- Its output, including that of native code, is kept in the home as ``logs/run-<id>.log``.
- If a night exceeds its time or memory, first its run is ended in the store, so that it can publish nothing, and then
  the process is ended with SIGTERM, and with SIGKILL if it does not exit.
- Memory is the peak resident set as Linux counts it (``VmHWM``). A limit on address space would stop TensorFlow, which
  reserves far more than it uses; Linux ignores limits on resident memory; control groups need privileges that the
  loop should not have.
- A process is ended after one more lease if its run has ended or its lease has expired.
- A process that ends before it has claimed a run leaves a failed run with the last lines of its log. A night that
  outlives its scheduler continues; it renews its own lease, so the next scheduler does not start it again.
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
"""Exit status of a night that did nothing: its slot was taken, a run was under way, or the database was down."""
GRACE_SECONDS = 20.0
"""The time between SIGTERM and SIGKILL; a training step takes less than a tenth of a second."""
POLL_SECONDS = 0.5
LAST_LOG_LINES = 3
LAST_LOG_BYTES = 4096


def log_of(home: Home, run_id: int) -> Path:
    """The file with the output of a run."""
    return home.settings.home / "logs" / f"run-{run_id}.log"


def resident(pid: int) -> int | None:
    """The peak resident memory of a process in bytes; None if it is unknown."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def last_log_lines(log: Path) -> str:
    """The last lines of a log, joined into one line."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_LOG_BYTES))
        lines = map(_printable, file.read().decode(errors="replace").split("\n"))
    return " | ".join([line for line in lines if line][-LAST_LOG_LINES:]) or "its log is empty"


def _printable(line: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in masked(line)).split())


class NightProcess:
    """One night's process. ``watch`` belongs to one thread; ``stop`` may be called from any."""

    def __init__(self, home: Home, slot: Slot, clock: Clock, command: Sequence[str] = COMMAND) -> None:
        """Start ``command`` with the slot's name. Secrets stay in the environment, not on the command line."""
        self.home, self.slot, self._clock = home, slot, clock
        self._log = log_of(home, 0).with_name(f"new-{uuid.uuid4().hex}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._stopped = threading.Event()
        self._reason: str | None = None
        self._last_alive = time.monotonic()
        self._deadline = self._last_alive + home.settings.schedule.night_minutes * 60
        self._silence_seconds = max(GRACE_SECONDS, home.settings.lease_seconds)
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line and a slot name)
                [*command, slot.name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # Ctrl-C goes to the scheduler, which passes it on
            )
        self.pid = self._process.pid
        self._holder = f"{runs.me().rpartition(':')[0]}:{self.pid}"

    def stop(self) -> None:
        """Ask the night to end at its next step; ``watch`` then ends it and frees its slot."""
        self._stopped.set()

    def watch(self) -> values.Run | None:
        """Wait until the night has ended, and end it if it must; returns its run, or None if it claimed none."""
        while not self._ended(POLL_SECONDS):
            run = self._check()
            if (reason := self._exceeded()) is not None:
                self._fail(run, reason)
                self._end()
            elif self._stopped.is_set() or time.monotonic() - self._last_alive > self._silence_seconds:
                self._end()
        return self._settle(self._process.returncode)

    def _ended(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _check(self) -> values.Run | None:
        """The run that the process claimed; also records whether it is alive.

        A process that was stopped by a signal may hold a lock that blocks all others, so they could not take over.
        Without a database, or without free space on its disk, the limits still apply.
        """
        run, silent = None, False
        with suppress(DeploymentError), self.home.store.read() as tx:
            run = runs.held(tx, self.slot.name, self._holder)
            silent = run is not None and not runs.alive(tx, run.id, self._clock())
        if run is not None:
            self._rename_log(run)
        if not silent:
            self._last_alive = time.monotonic()
        return run

    def _rename_log(self, run: values.Run) -> None:
        """The run's number is not known before the process has claimed it."""
        with suppress(OSError):  # if the log cannot be renamed, the night must still be watched
            self._log = self._log.rename(log_of(self.home, run.id))

    def _exceeded(self) -> str | None:
        schedule = self.home.settings.schedule
        if time.monotonic() > self._deadline:
            return f"took longer than {schedule.night_minutes:g} minutes"
        if (resident(self.pid) or 0) > schedule.night_memory:
            return f"needed more than {schedule.night_memory / (1 << 20):,.0f} MiB"
        return None

    def _fail(self, run: values.Run | None, reason: str) -> None:
        """End the run before the process, so that a stopping night cannot publish."""
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
        """Record the end if the process did not. Raises ``DeploymentError``; then the next claim records it."""
        now = self._clock()
        with self.home.store.exclusive() as tx:
            run = runs.held(tx, self.slot.name, self._holder) or self._failed_start(tx, status)
            if run is not None and run.status is RunStatus.RUNNING and self._reason is not None:
                runs.finish(tx, run.id, RunStatus.FAILED, self._reason, {}, now)
            runs.reap(tx, now)
            run = None if run is None else runs.get(tx, run.id)
            if run is not None and run.status is RunStatus.FAILED and self._stopped.is_set() and self._reason is None:
                slots.spare(tx, run.id)  # the scheduler stopped it, so the night itself did not fail
        if run is None:
            self._log.unlink(missing_ok=True)
        else:
            self._rename_log(run)
        return run

    def _failed_start(self, tx: Session, status: int) -> values.Run | None:
        """A failed run for a process that ended before it claimed one, unless it had a reason not to claim one."""
        excused = status == EXIT_TRY_LATER or (self._stopped.is_set() and self._reason is None)
        if excused or slots.get(tx, self.slot.name).run_id is not None:
            return None
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        reason = self._reason or f"ended before it began ({how}): {last_log_lines(self._log)}"
        run = runs.add_failed(tx, self.slot, self._holder, reason, self._clock())
        if status < 0 and self._reason is None:
            slots.free(tx, run.id)  # a signal killed it, so the slot may be tried again
        return run
