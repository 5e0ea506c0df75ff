"""Check regularly whether a night is due, and start one at a time. This module contains no business rule.

APScheduler only provides the timer: its jobs live in memory, are registered from code and run in UTC, and each checks
whether a slot is due and free (``slots.ready``). All state is in the store, so any number of schedulers, on any
machines, may share one database. ``loop schedule`` runs one, ``loop up`` runs another beside the API.

The wall clock may jump. APScheduler sleeps until a wall-clock time: if the clock is set back by seven hours it would
sleep for seven hours, and if it is set ahead by years it would count every missed interval. So its jobs are due an
interval after *now*, and a thread that waits by the monotonic clock wakes it. For half a lease after a jump no night
starts: leases are wall-clock times too, and live runs need time to renew theirs, or they would look dead.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from loop.clock import Clock, utc_now
from loop.errors import LoopError
from loop.home import Home, logs
from loop.schedule import PROCESS_NAME, night_process, slots
from loop.schedule.night_process import NightProcess
from loop.store import values
from loop.store.nights import runs
from loop.store.nights.slots import Slot
from loop.store.service import heartbeats
from loop.store.values import RunStatus

log = logging.getLogger(__name__)

CLOCK_CHECK_SECONDS = 1.0
"""The interval between comparisons of the wall clock with the monotonic clock."""


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A periodic task. An exception is logged, and the task is called again after its interval."""

    name: str
    interval_seconds: float
    call: Callable[[], object]


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Due at once, then an interval after now: a jump of the clock leaves no backlog."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """When APScheduler runs the job next."""
        return now if previous is None else now + self.interval


class Scheduler:
    """Starts due nights, one at a time, and runs background tasks. Call ``start`` and ``close``, or only ``tick``."""

    def __init__(
        self,
        home: Home,
        clock: Clock = utc_now,
        *,
        tasks: Sequence[BackgroundTask] = (),
        command: Sequence[str] = night_process.COMMAND,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``monotonic`` returns seconds and never jumps. Raises ``BadSettings`` for a bad cron expression."""
        slots.trigger(home.settings.schedule.cron)
        self.home, self._clock, self._monotonic, self._command = home, clock, monotonic, command
        self.night: NightProcess | None = None
        self._watcher: threading.Thread | None = None
        self._closing = threading.Event()
        self._offset, self._paused_until = self._clock_offset(), monotonic()
        self._jobs = self._jobs_for(
            BackgroundTask("nights", home.settings.schedule.heartbeat_seconds, self.tick), *tasks
        )
        self._clock_watcher = threading.Thread(target=self._watch_clock, name="clock", daemon=True)

    def start(self) -> None:
        """Start the timer; returns at once."""
        self._jobs.start()
        self._clock_watcher.start()

    def tick(self) -> None:
        """Write a heartbeat, and start the night that is due, unless this scheduler already runs one."""
        now = self._clock()
        with self.home.store.write() as tx:
            heartbeats.beat(tx, runs.me(), PROCESS_NAME, now)
        if self._jumped() or self._closing.is_set() or self.night is not None:
            return
        if (slot := slots.ready(self.home, now)) is not None:
            self._start_night(slot)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the current night has ended; False if it has not ended after ``seconds``."""
        if self._watcher is not None:
            self._watcher.join(seconds)
        return self.night is None

    def close(self) -> None:
        """Take no more slots, let tasks finish, ask the night to end at its next step, and wait for it."""
        self._closing.set()
        if self._jobs.running:
            self._jobs.shutdown()
        if (night := self.night) is not None:
            night.stop()
        self.wait()

    def _start_night(self, slot: Slot) -> None:
        self.night = NightProcess(self.home, slot, self._clock, self._command)
        log.info("started as process %d", self.night.pid, extra={"slot": slot.name})
        self._watcher = threading.Thread(target=self._watch_night, args=(self.night,), name="night", daemon=True)
        self._watcher.start()

    def _watch_night(self, night: NightProcess) -> None:
        try:
            with logs.about(slot=night.slot.name):
                self._log_end(night.watch())
        except LoopError as error:
            log.error("the end of %s could not be recorded: %s", night.slot.name, error)
        finally:
            self.night = None

    def _log_end(self, run: values.Run | None) -> None:
        if run is None:
            log.info("the slot was not taken: another process took it, a run is under way, or the database is down")
        else:
            level = logging.WARNING if run.status is RunStatus.FAILED else logging.INFO
            log.log(level, "run %d %s", run.id, run.status, extra={"run": run.id, "reason": run.reason})

    def _jobs_for(self, *tasks: BackgroundTask) -> BackgroundScheduler:
        jobs = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(len(tasks))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        for task in tasks:
            jobs.add_job(_logged(task), Every(task.interval_seconds), name=task.name)
        return jobs

    def _watch_clock(self) -> None:
        """Wake the jobs that would sleep too long because the clock was set back."""
        while not self._closing.wait(CLOCK_CHECK_SECONDS):
            for job in self._jobs.get_jobs():
                if job.next_run_time > (now := utc_now()) + job.trigger.interval:
                    job.modify(next_run_time=now)

    def _jumped(self) -> bool:
        """Whether the wall clock has jumped; True until live runs have had time to renew their leases."""
        pause_seconds = self.home.settings.lease_seconds / 2
        before, self._offset = self._offset, self._clock_offset()
        if abs(self._offset - before) > pause_seconds:
            log.warning("the clock jumped by %+.0f s: no night starts for %g s", self._offset - before, pause_seconds)
            self._paused_until = self._monotonic() + pause_seconds
        return self._monotonic() < self._paused_until

    def _clock_offset(self) -> float:
        return self._clock().timestamp() - self._monotonic()


def _logged(task: BackgroundTask) -> Callable[[], None]:
    def call() -> None:
        try:
            task.call()
        except LoopError as error:  # any other exception is a bug: APScheduler logs its traceback and also continues
            log.error("%s: %s", task.name, error)

    return call
