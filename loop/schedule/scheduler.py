"""The clock: looks again and again whether a night is due, and starts one at a time; no business rule.

APScheduler keeps the rhythm, nothing else: its jobs live in memory, are registered from code and run in UTC, and all
they ask is "is a slot due and free?" (``slots.ready``). The truth is in the store, so any number of schedulers, on any
machines, may share one database. ``loop schedule`` runs one, ``loop up`` another beside the API.

The wall clock may jump. APScheduler sleeps until a wall-clock time: set back by seven hours it would sleep through
them, and set ahead by years it would count every beat it missed. So its jobs are due a while after *now*, and a thread
that waits by the monotonic clock wakes it. For half a lease after a jump nothing is started: leases are wall-clock
times too, and living runs must first have renewed theirs, or they would look dead.
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
from loop.schedule import night_process, slots
from loop.schedule.night_process import NightProcess
from loop.store import values
from loop.store.nights import runs
from loop.store.nights.slots import Slot
from loop.store.service import heartbeats
from loop.store.values import RunStatus

log = logging.getLogger(__name__)

PROCESS_NAME = "scheduler"
"""What a scheduler's signs of life are called in the store."""
CLOCK_CHECK_SECONDS = 1.0
"""How often the wall clock is compared with the monotonic one."""


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """Something else to do every so often; what it raises is logged, and it is called again."""

    name: str
    every_seconds: float
    call: Callable[[], object]


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Due at once, then a while after now: without a backlog, however far the clock has jumped."""

    def __init__(self, seconds: float) -> None:
        self.apart = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """APScheduler's question."""
        return now if previous is None else now + self.apart


class Scheduler:
    """Starts due nights, one at a time, and does its chores. ``start`` … ``close``; or ``tick`` by hand."""

    def __init__(
        self,
        home: Home,
        clock: Clock = utc_now,
        *,
        chores: Sequence[BackgroundTask] = (),
        command: Sequence[str] = night_process.COMMAND,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """``steady`` is the clock that never jumps (seconds). Raises ``BadSettings`` for a cron expression."""
        slots.trigger(home.settings.schedule.cron)
        self.home, self._clock, self._steady, self._command = home, clock, steady, command
        self.night: NightProcess | None = None
        self._watch: threading.Thread | None = None
        self._closing = threading.Event()
        self._ahead, self._quiet_until = self._drift(), steady()
        self._rhythm = self._beats_for(
            BackgroundTask("nights", home.settings.schedule.heartbeat_seconds, self.tick), *chores
        )
        self._mind = threading.Thread(target=self._mind_the_clock, name="clock", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._rhythm.start()
        self._mind.start()

    def tick(self) -> None:
        """Look once: write a sign of life, and start the night that is due, unless one is under way here."""
        now = self._clock()
        with self.home.store.write() as tx:
            heartbeats.beat(tx, runs.me(), PROCESS_NAME, now)
        if self._jumped() or self._closing.is_set() or self.night is not None:
            return
        if (slot := slots.ready(self.home, now)) is not None:
            self._begin(slot)

    def wait(self, seconds: float | None = None) -> bool:
        """Until the night under way, if there is one, has ended; False after so many seconds."""
        if self._watch is not None:
            self._watch.join(seconds)
        return self.night is None

    def close(self) -> None:
        """Take no more slots, let chores end, ask the night to end at its next step, and wait for it."""
        self._closing.set()
        if self._rhythm.running:
            self._rhythm.shutdown()
        if (night := self.night) is not None:
            night.stop()
        self.wait()

    def _begin(self, slot: Slot) -> None:
        self.night = NightProcess(self.home, slot, self._clock, self._command)
        log.info("started as process %d", self.night.pid, extra={"slot": slot.name})
        self._watch = threading.Thread(target=self._see_through, args=(self.night,), name="night", daemon=True)
        self._watch.start()

    def _see_through(self, night: NightProcess) -> None:
        try:
            with logs.about(slot=night.slot.name):
                self._say(night.watch())
        except LoopError as error:
            log.error("the end of %s could not be written down: %s", night.slot.name, error)
        finally:
            self.night = None

    def _say(self, run: values.Run | None) -> None:
        if run is None:
            log.info("not taken: another has it, or may have it")
        else:
            level = logging.WARNING if run.status is RunStatus.FAILED else logging.INFO
            log.log(level, "run %d %s", run.id, run.status, extra={"run": run.id, "reason": run.reason})

    def _beats_for(self, *chores: BackgroundTask) -> BackgroundScheduler:
        rhythm = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(len(chores))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        for chore in chores:
            rhythm.add_job(_guarded(chore), Every(chore.every_seconds), name=chore.name)
        return rhythm

    def _mind_the_clock(self) -> None:
        """Wake what a clock that was set back would let sleep."""
        while not self._closing.wait(CLOCK_CHECK_SECONDS):
            for job in self._rhythm.get_jobs():
                if job.next_run_time > (now := utc_now()) + job.trigger.apart:
                    job.modify(next_run_time=now)

    def _jumped(self) -> bool:
        """Has the wall clock jumped? True until living runs have had time to renew their leases."""
        patience = self.home.settings.lease_seconds / 2
        before, self._ahead = self._ahead, self._drift()
        if abs(self._ahead - before) > patience:
            log.warning("the clock jumped by %+.0f s: nothing is started for %g s", self._ahead - before, patience)
            self._quiet_until = self._steady() + patience
        return self._steady() < self._quiet_until

    def _drift(self) -> float:
        return self._clock().timestamp() - self._steady()


def _guarded(chore: BackgroundTask) -> Callable[[], None]:
    def call() -> None:
        try:
            chore.call()
        except LoopError as error:  # anything else is a bug: APScheduler logs it with its traceback, and goes on too
            log.error("%s: %s", chore.name, error)

    return call
