"""A whole loop, run by ``loop up``, over a month of simulated days, with repeated kills."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as hours
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from loop.errors import UnknownVersion
from loop.home import Home
from loop.home.sections import Jury, Schedule, Trust
from loop.home.settings import Settings
from loop.store.nights import runs, slots
from loop.store.values import Run, RunStatus
from tests.campaigns import month_child
from tests.campaigns.fast_clock import FastClock
from tests.campaigns.people import CONFIRMED
from tests.campaigns.served import ROOT
from tests.helpers.loop_child import environ
from tests.night.test_retrain import settings

Found = TypeVar("Found")
SCHEDULE = Schedule(cron="0 3 * * *", volume=0, heartbeat_seconds=0.3)
LEASE_SECONDS = 3.0  # each new day is a jump of the clock, after which the scheduler waits for half of this
TIMEOUT_SECONDS = 300.0
STRIKES = ("", "night", "up", "both")


def made(url: str, folder: Path) -> Settings:
    """Settings of a home with a night each day, in which people teach and judge from their first day on.

    Half of them judge: the gate needs three hands. Phones confirm as often as the feed says.
    """
    known = {"trust": Trust(days=0.0), "jury": Jury(days=1), "holdout_share": 0.5, "confirm_rate": CONFIRMED}
    changed = {"schedule": SCHEDULE, "lease_seconds": LEASE_SECONDS, "min_new": 5} | known
    return settings(url, folder).model_copy(update=changed)


def strikes(days: int, chance: np.random.Generator) -> list[str]:
    """For each night: kill it, its loop, both or nothing, with equal probability; the last night is not struck."""
    every = [STRIKES[(day + 1) % len(STRIKES)] for day in range(days - 1)]
    return [every[place] for place in chance.permutation(days - 1)] + [""]


@dataclass(eq=False)
class Month:
    """The loop's processes, and their clock."""

    home: Home
    clock: FastClock
    corpus: Path
    chance: np.random.Generator
    up: "subprocess.Popen[bytes] | None" = None
    killed_up: int = 0
    killed_nights: int = 0

    def __post_init__(self) -> None:
        """Choose the port."""
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> None:
        """Run a command to its end."""
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, check=False, **self._place())
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start ``loop up`` and wait until it answers."""
        with (self.home.settings.home / "up.log").open("ab") as log:
            command = self._command("up", "--port", str(self.port))
            self.up = subprocess.Popen(command, stdout=log, stderr=log, **self._place())
        wait(f"an answer at {self.url}", self._answers)

    def kill(self) -> None:
        """Send SIGKILL to API and scheduler, which are one process, and start a new one, like a service manager."""
        assert self.up is not None
        self.up.kill()
        self.up.wait()
        self.killed_up += 1
        self.start()

    def end(self) -> int:
        """Send SIGTERM; returns the exit status."""
        assert self.up is not None
        self.up.terminate()
        return self.up.wait(TIMEOUT_SECONDS)

    def night(self, day: date, strike: str) -> None:
        """Start the next day, strike, and wait until its night has ended."""
        self.clock.set(datetime.combine(day, hours(2, 59, 59), self.clock.now().tzinfo))
        name = f"clock/{SCHEDULE.family}/{day:%Y-%m-%d}T03:00Z"
        if strike in {"night", "both"}:
            self._kill_night(name)
        if strike in {"up", "both"}:
            time.sleep(self.chance.random())
            self.kill()
        wait(f"the end of {name}", lambda: self._ended(name))

    def _kill_night(self, name: str) -> None:
        run = wait(f"a run of {name}", lambda: self._run(name))
        time.sleep(self.chance.random() * 0.3)
        with suppress(ProcessLookupError):  # it may just have ended
            os.kill(int(run.holder.rpartition(":")[2]), signal.SIGKILL)
            self.killed_nights += 1

    def _answers(self) -> bool:
        assert self.up is not None
        assert self.up.poll() is None, (self.home.settings.home / "up.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _run(self, name: str) -> Run | None:
        with self.home.store.read() as tx:
            return next((run for run in runs.recent(tx) if run.slot == name), None)

    def _ended(self, name: str) -> bool:
        """Whether the slot has a run that ended, or has used all its attempts."""
        with suppress(UnknownVersion), self.home.store.read() as tx:
            slot = slots.get(tx, name)
            if slot.run_id is None:
                return slot.attempts >= SCHEDULE.attempts
            return runs.get(tx, slot.run_id).status is not RunStatus.RUNNING
        return False

    def _command(self, *arguments: str) -> list[str]:
        return month_child.command(self.clock.path, self.corpus, *arguments)

    def _place(self) -> dict[str, Any]:
        return {"cwd": ROOT, "env": environ(self.home.settings)}


def wait(what: str, query: Callable[[], Found], seconds: float = TIMEOUT_SECONDS) -> Found:
    """The first true result of ``query``."""
    end = time.monotonic() + seconds
    while not (result := query()):
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return result
