"""The clock as a process: four of them against one database, killed and paused nights, a wall clock that jumps."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers import base

from loop.clock import utc_now
from loop.errors import BadSettings, StoreUnavailable
from loop.home import Home
from loop.schedule import scheduler as schedule
from loop.schedule import slots
from loop.schedule.scheduler import BackgroundTask, Every, Scheduler
from loop.store import Store
from loop.store.nights import runs, versions
from loop.store.nights import slots as stored
from loop.store.service import health
from loop.store.values import Run, RunStatus
from tests.helpers import loop_child, plain
from tests.helpers.loop_child import scheduled
from tests.helpers.slot_homes import founded
from tests.night.test_killed import consistent
from tests.night.test_retrain import champion, write
from tests.night.test_retrain import home as taught

__all__ = ["taught"]  # the fixture

BEAT = 0.2  # seconds between two looks of a test's scheduler


def every(home: Home) -> list[Run]:
    """All runs of slots, oldest first."""
    with home.store.read() as tx:
        return [run for run in reversed(runs.recent(tx, 10_000)) if run.slot is not None]


def until(what: Callable[[], Any], seconds: float = 180) -> Any:
    """What it says once it says something."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if said := what():
            return said
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s")


def _beats(home: Home) -> list[str]:
    with home.store.read() as tx:
        return [beat.holder for beat in health.beats(tx) if beat.what == schedule.PROCESS_NAME]


def stopped(pid: int) -> bool:
    """Has SIGSTOP reached the process?"""
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


def ask(home: Home, count: int) -> list[str]:
    """So many nights."""
    return sorted(slots.ask(home, "cnn", "ops", utc_now()).name for _ in range(count))


@contextmanager
def schedulers(home: Home, corpus: Path, count: int, point: str = "end") -> Iterator[list["subprocess.Popen[str]"]]:
    """So many ``loop schedule`` in processes of their own."""
    output = home.settings.home / "schedulers.log"
    with output.open("a") as log:
        started = [
            loop_child.begin(home.settings, corpus, point, "schedule", stdout=log, stderr=log) for _ in range(count)
        ]
        try:
            yield started
        except AssertionError as error:
            error.add_note(output.read_text()[-4000:])
            raise
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(180)


def exactly_once(home: Home, corpus: Path, count: int) -> None:
    """Four schedulers, so many slots at once: each has one run, no night was tried twice, none is left."""
    quick = scheduled(home, heartbeat_seconds=BEAT)
    write(quick)
    asked = ask(quick, count)
    with schedulers(quick, corpus, 4, "warm") as processes:
        until(lambda: len(every(quick)) >= count and every(quick)[-1].status is not RunStatus.RUNNING, 120 + 10 * count)
        time.sleep(5 * BEAT)
        assert all(process.poll() is None for process in processes)
    found = every(quick)
    assert Counter(run.slot for run in found) == Counter(asked)
    assert all(run.status in (RunStatus.FINISHED, RunStatus.SKIPPED) for run in found), found
    with quick.store.read() as tx:
        assert all(stored.get(tx, name).attempts == 1 for name in asked)
    assert len(_beats(quick)) == 4
    assert len({run.holder for run in found}) == count  # each in a process of its own
    assert all(process.returncode == 0 for process in processes)
    assert champion(quick) == 2
    consistent(quick)


@pytest.mark.slow
def test_four_schedulers_one_database(taught: Home, small_corpus: Path) -> None:
    """Twelve slots, twelve runs."""
    exactly_once(taught, small_corpus, 12)


@pytest.mark.campaign
def test_four_schedulers_two_hundred_slots(taught: Home, small_corpus: Path) -> None:
    """The same with two hundred."""
    exactly_once(taught, small_corpus, 200)


@pytest.mark.slow
def test_what_plain_apscheduler_does(store: Store, tmp_path: Path) -> None:
    """The control: four of its schedulers on one shared job store make more than sixteen runs of sixteen times."""
    url, done = store.url.render_as_string(hide_password=False), tmp_path / "done"
    command, pipe = [sys.executable, "-m", "tests.helpers.plain", url], subprocess.PIPE
    started = []
    for _ in range(4):  # one after the other: the first makes the table that they share
        process = subprocess.Popen(
            command, cwd=loop_child.ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        started.append(process)
    plain.plan(url, done, datetime.now(UTC) + timedelta(seconds=2), 16)
    for process in started:
        print("begin", file=process.stdin, flush=True)
    until(lambda: done.exists() and len(done.read_text().splitlines()) > 16)
    for process in started:
        process.communicate(timeout=180)


@pytest.mark.slow
def test_a_killed_night_has_a_successor(taught: Home, small_corpus: Path) -> None:
    """SIGKILL in the middle of teaching: the slot is started anew, and one version comes of it."""
    quick = scheduled(taught, heartbeat_seconds=BEAT)
    write(quick)
    ask(quick, 1)
    with schedulers(quick, small_corpus, 2, "kill:teach"):
        until(lambda: [run for run in every(quick) if run.status is RunStatus.FINISHED])
    first, second = every(quick)
    assert "stopped without ending the run" in str(first.reason)
    assert (first.slot, second.status, champion(quick)) == (second.slot, RunStatus.FINISHED, 3)  # 2 was reserved
    consistent(quick)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_killed_scheduler_s_night_goes_on(taught: Home, small_corpus: Path) -> None:
    """SIGKILL of the scheduler: the night ends as it should, and the next scheduler does not start it again."""
    quick = scheduled(taught, heartbeat_seconds=BEAT)
    write(quick)
    ask(quick, 1)
    with schedulers(quick, small_corpus, 1, "wait:teach") as processes:
        until(lambda: [run for run in every(quick) if run.step == "teach"])
        processes[0].kill()
        processes[0].wait()
    with schedulers(quick, small_corpus, 1):
        until(lambda: len(_beats(quick)) == 2)
        (quick.settings.home / "go").touch()
        until(lambda: every(quick)[-1].status is RunStatus.FINISHED)
        time.sleep(5 * BEAT)
    assert len(every(quick)) == 1
    assert champion(quick) == 2


@pytest.mark.slow
def test_a_paused_holder_is_refused(taught: Home, small_corpus: Path) -> None:
    """SIGSTOP past the lease, SIGCONT after another took over: one version, and the late one is told why not."""
    quick = scheduled(taught, lease_seconds=1.0, heartbeat_seconds=BEAT)
    write(quick)
    (name,) = ask(quick, 1)
    held = loop_child.begin(quick.settings, small_corpus, "stop:publish", "retrain", "--slot", name)
    until(lambda: stopped(held.pid))
    with schedulers(quick, small_corpus, 2):
        (quick.settings.home / "armed").unlink(missing_ok=True)
        until(lambda: [run for run in every(quick) if run.status is RunStatus.FINISHED])
        held.send_signal(signal.SIGCONT)
        said, _ = held.communicate(timeout=180)
    assert held.returncode == 1
    assert "LeaseLost" in said
    first, second = every(quick)
    assert (first.status, second.status) == (RunStatus.FAILED, RunStatus.FINISHED)
    with quick.store.read() as tx:
        assert versions.every(tx)[0].run_id == second.id
        assert len(versions.every(tx)) == 2
    consistent(quick)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sigterm_ends_scheduler_and_night(taught: Home, small_corpus: Path) -> None:
    """Exit status 0, the night ended at its next step, nothing published, its slot free for the next scheduler."""
    quick = scheduled(taught, heartbeat_seconds=BEAT)
    write(quick)
    (name,) = ask(quick, 1)
    with schedulers(quick, small_corpus, 1, "sleep:teach") as processes:
        until(lambda: [run for run in every(quick) if run.step == "teach"])
        processes[0].terminate()
        assert processes[0].wait(180) == 0
    (run,) = every(quick)
    assert "stopped from outside" in str(run.reason)
    assert (run.status, champion(quick)) == (RunStatus.FAILED, 1)
    with quick.store.read() as tx:
        assert stored.get(tx, name).run_id is None


# Without processes: the rhythm, the chores, a wall clock that jumps.


@pytest.fixture
def quiet(store: Store, tmp_path: Path) -> Home:
    """A home with nothing due."""
    return scheduled(founded(store, tmp_path), heartbeat_seconds=BEAT)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("hours", [7, -7, 24 * 365 * 30])
def test_the_wall_clock_jumps_under_apscheduler(quiet: Home, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Beats go on after a jump in either direction; set ahead by 30 years they are not made up for."""
    shift, beaten = timedelta(), threading.Semaphore(0)

    class Wall(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    monkeypatch.setattr(base, "datetime", Wall)
    monkeypatch.setattr(schedule, "utc_now", lambda: Wall.now(UTC))
    monkeypatch.setattr(schedule, "CLOCK_CHECK_SECONDS", BEAT)
    scheduler = Scheduler(quiet, chores=[BackgroundTask("beat", BEAT, beaten.release)])
    scheduler.start()
    assert beaten.acquire(timeout=5)
    shift = timedelta(hours=hours)
    while beaten.acquire(blocking=False):
        pass
    assert all(beaten.acquire(timeout=5) for _ in range(3))
    scheduler.close()
    assert beaten._value < 10


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_starts_while_leases_are_renewed(quiet: Home) -> None:
    """After a jump ahead a living run's lease looks expired: it has half a lease to renew it before anyone looks."""
    now, seconds = datetime(2026, 11, 20, 2, 0, tzinfo=UTC), 0.0
    scheduler = Scheduler(quiet, lambda: now, steady=lambda: seconds)
    with quiet.store.exclusive() as tx:
        living = runs.claim(tx, "cnn", "night", "elsewhere:-:1", 60, now)
    now, seconds = now + timedelta(hours=7), seconds + 1
    scheduler.tick()
    with quiet.store.write() as tx:
        assert runs.get(tx, living.id).status is RunStatus.RUNNING
        runs.renew(tx, living.id, 60, now)
    now, seconds = now + timedelta(seconds=31), seconds + 31
    scheduler.tick()
    with quiet.store.read() as tx:
        assert runs.get(tx, living.id).status is RunStatus.RUNNING
    now, seconds = now + timedelta(seconds=31), seconds + 31  # and now it is silent
    scheduler.tick()
    with quiet.store.read() as tx:
        assert runs.get(tx, living.id).status is RunStatus.FAILED


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_chore_that_fails_is_called_again(quiet: Home, caplog: pytest.LogCaptureFixture) -> None:
    """An error of ours in one line, a bug with its traceback; neither stops the clock or another chore."""
    called: Counter[str] = Counter()

    def chore(name: str, error: Exception | None) -> Callable[[], None]:
        def call() -> None:
            called[name] += 1
            if error is not None:
                raise error

        return call

    wanted = {"sound": None, "refused": StoreUnavailable("no database"), "buggy": ZeroDivisionError("a bug")}
    chores = [BackgroundTask(name, BEAT, chore(name, error)) for name, error in wanted.items()]
    scheduler = Scheduler(quiet, chores=chores)
    scheduler.start()
    until(lambda: all(called[name] >= 3 for name in wanted))
    scheduler.close()
    assert "refused: no database" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text
    assert _beats(quiet) == [runs.me()]


def test_every_has_no_backlog() -> None:
    """The trigger: at once, then a while after now, whenever that is."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert Every(30).get_next_fire_time(None, now) == now
    assert Every(30).get_next_fire_time(now - timedelta(days=9), now) == now + timedelta(seconds=30)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_scheduler_refuses_a_cron_it_cannot_keep(quiet: Home) -> None:
    """Before it starts, in one line."""
    with pytest.raises(BadSettings, match="never comes"):
        Scheduler(scheduled(quiet, cron="0 3 31 2 *"))
