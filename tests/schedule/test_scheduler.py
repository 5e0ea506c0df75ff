"""Schedulers as processes: four on one database, killed and paused nights, a wall clock that jumps."""

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

BEAT_SECONDS = 0.2  # a test scheduler's interval


def every(home: Home) -> list[Run]:
    """All runs of slots, oldest first."""
    with home.store.read() as tx:
        return [run for run in reversed(runs.recent(tx, 10_000)) if run.slot is not None]


def until(what: Callable[[], Any], seconds: float = 180) -> Any:
    """The first true result of ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := what():
            return result
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s")


def _beats(home: Home) -> list[str]:
    with home.store.read() as tx:
        return [beat.holder for beat in health.beats(tx) if beat.what == schedule.PROCESS_NAME]


def stopped(pid: int) -> bool:
    """Whether SIGSTOP has reached the process."""
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


def ask(home: Home, count: int) -> list[str]:
    """Request ``count`` nights."""
    return sorted(slots.ask(home, "cnn", "ops", utc_now()).name for _ in range(count))


@contextmanager
def schedulers(home: Home, corpus: Path, count: int, point: str = "end") -> Iterator[list["subprocess.Popen[str]"]]:
    """``count`` processes of ``loop schedule``."""
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
    """Four schedulers give each of ``count`` slots exactly one run."""
    quick = scheduled(home, heartbeat_seconds=BEAT_SECONDS)
    write(quick)
    asked = ask(quick, count)
    with schedulers(quick, corpus, 4, "warm") as processes:
        until(lambda: len(every(quick)) >= count and every(quick)[-1].status is not RunStatus.RUNNING, 120 + 10 * count)
        time.sleep(5 * BEAT_SECONDS)
        assert all(process.poll() is None for process in processes)
    done = every(quick)
    assert Counter(run.slot for run in done) == Counter(asked)
    assert all(run.status in (RunStatus.FINISHED, RunStatus.SKIPPED) for run in done), done
    with quick.store.read() as tx:
        assert all(stored.get(tx, name).attempts == 1 for name in asked)
    assert len(_beats(quick)) == 4
    assert len({run.holder for run in done}) == count  # each in its own process
    assert all(process.returncode == 0 for process in processes)
    assert champion(quick) == 2
    consistent(quick)


@pytest.mark.slow
def test_four_schedulers_one_database(taught: Home, small_corpus: Path) -> None:
    """Four schedulers run twelve slots exactly once each."""
    exactly_once(taught, small_corpus, 12)


@pytest.mark.campaign
def test_four_schedulers_two_hundred_slots(taught: Home, small_corpus: Path) -> None:
    """Four schedulers run two hundred slots exactly once each."""
    exactly_once(taught, small_corpus, 200)


@pytest.mark.slow
def test_what_plain_apscheduler_does(store: Store, tmp_path: Path) -> None:
    """Control: four APScheduler schedulers on one shared job store run sixteen times more than sixteen times."""
    url, done = store.url.render_as_string(hide_password=False), tmp_path / "done"
    command, pipe = [sys.executable, "-m", "tests.helpers.plain", url], subprocess.PIPE
    started = []
    for _ in range(4):  # one after the other: the first creates the shared table
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
    """After SIGKILL during training the slot runs again, and one version results."""
    quick = scheduled(taught, heartbeat_seconds=BEAT_SECONDS)
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
    """After SIGKILL of the scheduler its night still finishes, and the next scheduler does not start it again."""
    quick = scheduled(taught, heartbeat_seconds=BEAT_SECONDS)
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
        time.sleep(5 * BEAT_SECONDS)
    assert len(every(quick)) == 1
    assert champion(quick) == 2


@pytest.mark.slow
def test_a_paused_holder_is_refused(taught: Home, small_corpus: Path) -> None:
    """A run that was stopped past its lease gets LeaseLost after another took over, and one version results."""
    quick = scheduled(taught, lease_seconds=1.0, heartbeat_seconds=BEAT_SECONDS)
    write(quick)
    (name,) = ask(quick, 1)
    held = loop_child.begin(quick.settings, small_corpus, "stop:publish", "retrain", "--slot", name)
    until(lambda: stopped(held.pid))
    with schedulers(quick, small_corpus, 2):
        (quick.settings.home / "armed").unlink(missing_ok=True)
        until(lambda: [run for run in every(quick) if run.status is RunStatus.FINISHED])
        held.send_signal(signal.SIGCONT)
        output, _ = held.communicate(timeout=180)
    assert held.returncode == 1
    assert "LeaseLost" in output
    first, second = every(quick)
    assert (first.status, second.status) == (RunStatus.FAILED, RunStatus.FINISHED)
    with quick.store.read() as tx:
        assert versions.every(tx)[0].run_id == second.id
        assert len(versions.every(tx)) == 2
    consistent(quick)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sigterm_ends_scheduler_and_night(taught: Home, small_corpus: Path) -> None:
    """On SIGTERM the scheduler exits with 0, its night ends without publishing, and the slot is free again."""
    quick = scheduled(taught, heartbeat_seconds=BEAT_SECONDS)
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


# Without processes: the timer, the background tasks, a wall clock that jumps.


@pytest.fixture
def quiet(store: Store, tmp_path: Path) -> Home:
    """A home with nothing due."""
    return scheduled(founded(store, tmp_path), heartbeat_seconds=BEAT_SECONDS)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("hours", [7, -7, 24 * 365 * 30])
def test_the_wall_clock_jumps_under_apscheduler(quiet: Home, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Tasks continue after a jump in either direction, and a jump of 30 years causes no backlog."""
    jump, beaten = timedelta(), threading.Semaphore(0)

    class Wall(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + jump

    monkeypatch.setattr(base, "datetime", Wall)
    monkeypatch.setattr(schedule, "utc_now", lambda: Wall.now(UTC))
    monkeypatch.setattr(schedule, "CLOCK_CHECK_SECONDS", BEAT_SECONDS)
    scheduler = Scheduler(quiet, tasks=[BackgroundTask("beat", BEAT_SECONDS, beaten.release)])
    scheduler.start()
    assert beaten.acquire(timeout=5)
    jump = timedelta(hours=hours)
    while beaten.acquire(blocking=False):
        pass
    assert all(beaten.acquire(timeout=5) for _ in range(3))
    scheduler.close()
    assert beaten._value < 10


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_starts_while_leases_are_renewed(quiet: Home) -> None:
    """After a jump ahead a live run's lease looks expired; the run has half a lease of time to renew it."""
    now, seconds = datetime(2026, 11, 20, 2, 0, tzinfo=UTC), 0.0
    scheduler = Scheduler(quiet, lambda: now, monotonic=lambda: seconds)
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
    now, seconds = now + timedelta(seconds=31), seconds + 31  # the run did not renew its lease
    scheduler.tick()
    with quiet.store.read() as tx:
        assert runs.get(tx, living.id).status is RunStatus.FAILED


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_task_that_fails_is_called_again(quiet: Home, caplog: pytest.LogCaptureFixture) -> None:
    """A LoopError is logged in one line, a bug with its traceback; neither stops the timer or another task."""
    called: Counter[str] = Counter()

    def task(name: str, error: Exception | None) -> Callable[[], None]:
        def call() -> None:
            called[name] += 1
            if error is not None:
                raise error

        return call

    errors = {"sound": None, "refused": StoreUnavailable("no database"), "buggy": ZeroDivisionError("a bug")}
    tasks = [BackgroundTask(name, BEAT_SECONDS, task(name, error)) for name, error in errors.items()]
    scheduler = Scheduler(quiet, tasks=tasks)
    scheduler.start()
    until(lambda: all(called[name] >= 3 for name in errors))
    scheduler.close()
    assert "refused: no database" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text
    assert _beats(quiet) == [runs.me()]


def test_every_has_no_backlog() -> None:
    """The trigger fires at once, then an interval after now, even nine days late."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert Every(30).get_next_fire_time(None, now) == now
    assert Every(30).get_next_fire_time(now - timedelta(days=9), now) == now + timedelta(seconds=30)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_scheduler_refuses_a_cron_it_cannot_keep(quiet: Home) -> None:
    """A scheduler refuses a cron expression without any time before it starts."""
    with pytest.raises(BadSettings, match="does not exist"):
        Scheduler(scheduled(quiet, cron="0 3 31 2 *"))
