"""Measure what asking is worth now and then (``ask.worth_days``), in a process of its own: it loads TensorFlow.

The process claims a run, so no night begins beside it, and it does nothing while a night runs. It ends by itself after
``ask.worth_minutes``; a later call collects it.
"""

import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from loop.asking import kept_worth
from loop.home import Home
from loop.store.nights import runs

COMMAND = (sys.executable, "-m", "loop", "worth", "--json")
log = logging.getLogger(__name__)


class WorthProcess:
    """Starts a measurement when one is due, at most one at a time."""

    def __init__(self, home: Home, command: Sequence[str] = COMMAND) -> None:
        self._home, self._command = home, command
        self._running: subprocess.Popen[bytes] | None = None
        self._tried: datetime | None = None

    def follow(self, now: datetime) -> None:
        """Collect a measurement that has ended; start one if it is due. Raises ``StoreUnavailable``."""
        if self._running is not None:
            if self._running.poll() is None:
                return
            level = logging.WARNING if self._running.returncode else logging.INFO
            log.log(level, "the measurement of asking ended with status %d", self._running.returncode)
            self._running = None
        if self._due(now):
            self._tried = now
            self._running = subprocess.Popen(  # noqa: S603 (our own command line)
                [*self._command, *self._options()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            log.info("measuring what asking is worth, as process %d", self._running.pid)

    def _options(self) -> list[str]:
        settings = self._home.settings
        return ["--family", settings.schedule.family, "--minutes", f"{settings.ask.worth_minutes:g}"]

    def _due(self, now: datetime) -> bool:
        """Whether the last measurement, or the last attempt of this scheduler, is long enough ago and nothing runs."""
        days = self._home.settings.ask.worth_days
        if not days:
            return False
        last = kept_worth.last(self._home)
        times = [self._tried] if self._tried is not None else []
        if last is not None:
            times.append(datetime.fromisoformat(last["at"]))
        if times and now < max(times) + timedelta(days=days):
            return False
        with self._home.store.exclusive() as tx:
            return runs.reap(tx, now) is None
