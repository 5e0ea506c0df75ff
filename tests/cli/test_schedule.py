"""``loop schedule``, ``pause``, ``resume``, ``runs``, ``logs``, as operators meet them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.cli.output import open_home
from loop.clock import utc_now
from loop.home import Home
from loop.night import lease
from loop.schedule import night_process, slots
from loop.store.nights import runs
from loop.store.values import RunStatus
from tests.cli.test_cli import Shell, loop
from tests.helpers import loop_child
from tests.helpers.loop_child import scheduled
from tests.night.test_retrain import home as founded
from tests.night.test_retrain import write
from tests.schedule.test_night_process import reaches

pytestmark = pytest.mark.slow

__all__ = ["founded", "loop"]  # the fixtures


@pytest.fixture
def home(founded: Home) -> Home:
    """A founded home in which nights are only asked for."""
    return scheduled(founded, heartbeat_seconds=0.2)


class Processes:
    """``loop …`` in processes of their own."""

    def __init__(self, home: Home, corpus: Path) -> None:
        """All with the home's settings."""
        self.home, self.corpus = home, corpus
        self.started: list[subprocess.Popen[str]] = []

    def begin(self, *arguments: str, point: str = "end") -> "subprocess.Popen[str]":
        """A command under way; its standard output and error are one."""
        self.started.append(loop_child.begin(self.home.settings, self.corpus, point, *arguments))
        return self.started[-1]

    def follow(self) -> "subprocess.Popen[str]":
        """``loop runs --follow``, once it has found the run under way."""
        follower = self.begin("runs", "--follow")
        assert follower.stdout is not None
        assert "of cnn, started" in follower.stdout.readline()
        return follower

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What a command said."""
        process = self.begin(*arguments)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == status, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def processes(home: Home, small_corpus: Path) -> Iterator[Processes]:
    """A shell whose commands take their time; none outlives its test."""
    shell = Processes(home, small_corpus)
    yield shell
    for process in shell.started:
        process.terminate()
        process.communicate(timeout=180)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_from_asking_to_the_log(home: Home, processes: Processes) -> None:
    """A scheduler starts what was asked for; runs and logs tell of it; SIGTERM ends the scheduler with status 0."""
    write(home)
    slot = slots.ask(home, "cnn", "ops", utc_now())
    scheduler = processes.begin("schedule", point="sleep:teach")
    run = reaches(home, "teach")
    follower, reader = processes.follow(), processes.begin("logs", str(run.id), "--follow")
    assert "teach 0/1" in processes("runs")
    scheduler.terminate()
    said, _ = scheduler.communicate(timeout=180)
    assert scheduler.returncode == 0, said
    assert slot.name in said
    told, _ = follower.communicate(timeout=180)
    assert follower.returncode == 1
    assert f"run {run.id}: failed – stopped from outside; nothing was published" in told
    read, _ = reader.communicate(timeout=180)
    assert reader.returncode == 0
    assert read == night_process.log_of(home, run.id).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_following_a_night_that_ends_well(home: Home, processes: Processes) -> None:
    """The follower ends when the run ends, with status 0 and how it ended."""
    with lease.hold(home, "cnn", "night", utc_now) as shift:
        shift.report("teach", 7, 10)
        follower = processes.follow()
        with pytest.raises(subprocess.TimeoutExpired):
            follower.wait(1.5)
        shift.finish(RunStatus.SKIPPED, "test")
    said, _ = follower.communicate(timeout=180)
    assert follower.returncode == 0
    assert "skipped – test" in said
    with home.store.read() as tx:
        (run,) = runs.recent(tx, 1)
    assert (run.status, run.step, run.done, run.total) == (RunStatus.SKIPPED, "teach", 7, 10)


def test_pause_and_resume(loop: Shell) -> None:
    """Who, why and since when; a second pause is told of the first."""
    loop("init")
    home = open_home()
    assert "paused by tester: the gate looks odd" in loop("pause", "--reason", "the gate looks odd")
    assert "by tester: the gate looks odd" in loop.refused("pause", "--reason", "again")
    slots.ask(home, "cnn", "ops", utc_now())
    assert slots.ready(home, utc_now()) is None
    assert loop.json("resume")["paused"]["reason"] == "the gate looks odd"
    assert slots.ready(home, utc_now()) is not None
    assert "not paused" in loop("resume")


def test_a_slot_goes_alone(loop: Shell) -> None:
    """A slot's night takes no options, an unknown slot is refused, a taken one says that it was not the moment."""
    loop("init")
    loop("retrain", "--slot", "asked/1", "--dry-run", status=2)
    assert "no slot" in loop.refused("retrain", "--slot", "asked/1")
    slot = slots.ask(open_home(), "cnn", "ops", utc_now())
    assert "skipped" in loop("retrain", "--slot", slot.name)
    assert "took it" in loop("retrain", "--slot", slot.name, status=night_process.EXIT_TRY_LATER)
    run = loop.json("runs", "--limit", "1")[0]
    assert (run["slot"], run["status"]) == (slot.name, "skipped")
    assert "asked" in loop("runs")


def test_what_there_is_nothing_to_follow(loop: Shell) -> None:
    """No run under way, no log of a run by hand, no such run: each in one line."""
    loop("init")
    assert "no run is in progress" in loop.refused("runs", "--follow")
    assert "has no log" in loop.refused("logs", 1)
    assert "no run 99" in loop.refused("logs", 99)
