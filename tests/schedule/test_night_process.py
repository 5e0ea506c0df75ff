"""A night's process has limits, can be stopped, and leaves its end in the store and in its log."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loop.clock import utc_now
from loop.errors import DiskFull
from loop.home import Home
from loop.home.sections import MIB
from loop.night import lease
from loop.schedule import night_process, slots
from loop.schedule.night_process import NightProcess
from loop.store.nights import runs, versions
from loop.store.nights import slots as stored
from loop.store.nights.slots import Slot
from loop.store.values import Run, RunStatus
from tests.helpers import loop_child
from tests.helpers.loop_child import scheduled
from tests.night.test_retrain import champion, write
from tests.night.test_retrain import home as founded

__all__ = ["founded"]  # the fixture

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # processes are the same on both databases


@pytest.fixture
def home(founded: Home) -> Home:
    """A home with a base, in which nights run only by request."""
    return scheduled(founded)


def start_night(home: Home, corpus: Path, point: str, monkeypatch: pytest.MonkeyPatch) -> NightProcess:
    """The night of a requested slot, in its own process."""
    (home.settings.home / "armed").touch()
    for name, value in loop_child.environ(home.settings).items():
        monkeypatch.setenv(name, value)
    slot = slots.ask(home, "cnn", "ops", utc_now())
    return NightProcess(home, slot, utc_now, loop_child.command(corpus, point, "retrain", "--slot"))


def slot_of(home: Home, night: NightProcess) -> Slot:
    """The current slot of a night."""
    with home.store.read() as tx:
        return stored.get(tx, night.slot.name)


def published(home: Home) -> list[int]:
    """The number of every version."""
    with home.store.read() as tx:
        return sorted(version.number for version in versions.every(tx))


def reaches(home: Home, step: str) -> Run:
    """The run under way, once its row names this step."""
    for _ in range(1800):
        with home.store.read() as tx:
            run = runs.recent(tx, 1)[0]
        if run.status is RunStatus.RUNNING and run.step == step:
            return run
        time.sleep(0.1)
    raise AssertionError(f"no run reached {step}: {run}")


@pytest.mark.slow
def test_a_night_of_a_slot(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night publishes, takes its slot, is logged under its run's number, and has no secret among its arguments."""
    write(home)
    night = start_night(home, small_corpus, "end", monkeypatch)
    arguments = Path(f"/proc/{night.pid}/cmdline").read_bytes()
    run = night.watch()
    assert run is not None
    assert (run.status, run.slot, champion(home)) == (RunStatus.FINISHED, night.slot.name, 2)
    assert slot_of(home, night) == replace(night.slot, attempts=1, run_id=run.id)
    assert "version 2: champion" in night_process.log_of(home, run.id).read_text()
    assert night_process.log_of(home, run.id).stat().st_mode & 0o077 == 0
    assert b"sqlite" not in arguments
    assert [path.name for path in (home.settings.home / "logs").iterdir()] == [f"run-{run.id}.log"]


@pytest.mark.slow
def test_too_much_memory(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night over its memory limit is ended with a reason, and is not tried again."""
    write(home)
    bounded = scheduled(home, night_memory=512 * MIB)
    night = start_night(bounded, small_corpus, "grow:teach", monkeypatch)
    run = night.watch()
    assert run is not None
    assert (run.status, run.reason) == (RunStatus.FAILED, "needed more than 512 MiB")
    assert published(home) == [1]
    assert slot_of(home, night).run_id == run.id


@pytest.mark.slow
def test_bounds_hold_while_nothing_can_be_written(
    home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night over its limit is ended even if the disk is full at that moment."""
    write(home)
    finish, full = runs.finish, [DiskFull("no space left")]

    def once_full(*arguments: Any) -> None:
        if full:
            raise full.pop()
        finish(*arguments)

    monkeypatch.setattr(runs, "finish", once_full)  # here; the night's process has its own
    night = start_night(scheduled(home, night_memory=512 * MIB), small_corpus, "grow:teach", monkeypatch)
    run = night.watch()
    assert run is not None
    assert not full
    assert run.status is RunStatus.FAILED
    assert published(home) == [1]
    assert slot_of(home, night).run_id == run.id


@pytest.mark.slow
def test_too_much_time(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night over its time limit is ended, even if it ignores SIGTERM."""
    write(home)
    monkeypatch.setattr(night_process, "GRACE_SECONDS", 0.5)
    night = start_night(scheduled(home, night_minutes=0.1), small_corpus, "deaf:teach", monkeypatch)
    run = night.watch()
    assert run is not None
    assert (run.status, run.reason) == (RunStatus.FAILED, "took longer than 0.1 minutes")
    assert published(home) == [1]


@pytest.mark.slow
def test_sigterm_during_teach(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night that gets SIGTERM leaves a failed run with a reason, and its slot is not started again."""
    write(home)
    night = start_night(home, small_corpus, "term:teach", monkeypatch)
    run = night.watch()
    assert run is not None
    assert (run.status, run.step) == (RunStatus.FAILED, "teach")
    assert "stopped from outside" in str(run.reason)
    assert slots.ready(home, utc_now()) is None


@pytest.mark.slow
def test_the_loop_stops_a_night(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closing scheduler stops its night, and the slot is free again without counting an attempt."""
    write(home)
    night = start_night(home, small_corpus, "sleep:teach", monkeypatch)
    reaches(home, "teach")
    night.stop()
    run = night.watch()
    assert run is not None
    assert "stopped from outside" in str(run.reason)
    again = slots.ready(home, utc_now())
    assert again is not None
    assert (again.name, again.attempts) == (night.slot.name, 0)


@pytest.mark.slow
def test_a_night_killed_twice_is_not_tried_a_third_time(
    home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL the slot is free again, until the settings' number of attempts is reached."""
    write(home)
    command = loop_child.command(small_corpus, "kill:teach", "retrain", "--slot")
    night = start_night(home, small_corpus, "kill:teach", monkeypatch)
    first = night.watch()
    assert first is not None
    assert "stopped without ending the run" in str(first.reason)
    (home.settings.home / "armed").touch()
    again = slots.ready(home, utc_now())
    assert again is not None
    second = NightProcess(home, again, utc_now, command).watch()
    assert second is not None
    assert second.id > first.id
    assert slots.ready(home, utc_now()) is None
    assert published(home) == [1]


@pytest.mark.slow
def test_dead_before_it_began(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that fails at import leaves a failed run with its last log lines, and is not tried again."""
    night = start_night(home, small_corpus, "unimportable", monkeypatch)
    run = night.watch()
    assert run is not None
    assert run.status is RunStatus.FAILED
    assert "ended before it began (exit status 1)" in str(run.reason)
    assert "ImportError: libtensorflow.so: cannot open shared object file" in str(run.reason)
    assert "Traceback" in night_process.log_of(home, run.id).read_text()
    assert slots.ready(home, utc_now()) is None


@pytest.mark.slow
def test_a_run_under_way_is_no_failure(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a manual run is under way, a slot's night exits without a log or a run, and the slot waits."""
    with lease.hold(home, "cnn", "night", utc_now) as other:
        night = start_night(home, small_corpus, "end", monkeypatch)
        assert night.watch() is None
        assert slot_of(home, night) == night.slot
        assert not list((home.settings.home / "logs").iterdir())
        other.finish(RunStatus.SKIPPED, "test")
    assert slots.ready(home, utc_now()) == night.slot


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "grip"])
def test_a_silent_night_is_ended(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A scheduler ends a night that was stopped past its lease, even during a write, and the next night publishes."""
    write(home)
    monkeypatch.setattr(night_process, "GRACE_SECONDS", 0.5)
    short = scheduled(home, lease_seconds=1.0)
    night = start_night(short, small_corpus, f"{how}:teach", monkeypatch)
    first = night.watch()
    assert first is not None
    assert first.status is RunStatus.FAILED
    assert "stopped without ending the run" in str(first.reason)
    with pytest.raises(ProcessLookupError):
        os.kill(night.pid, signal.SIGCONT)
    again = slots.ready(home, utc_now())
    assert again is not None
    command = loop_child.command(small_corpus, "end", "retrain", "--slot")
    second = NightProcess(home, again, utc_now, command).watch()
    assert second is not None
    assert second.status is RunStatus.FINISHED
    assert len(published(home)) == 2
