"""Nights that lose their lease, find another champion, or are asked to stop must not publish."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import models
from loop import registry
from loop.clock import utc_now
from loop.errors import LeaseLost, RunInProgress, StoreUnavailable
from loop.home import Home
from loop.night import lease, retrain
from loop.schedule import slots
from loop.store.nights import runs, versions
from loop.store.values import Attribution, RunStatus
from models.family import Lesson, Progress, Weights
from tests.helpers.linear import Line, Linear
from tests.helpers.loop_child import scheduled
from tests.night.test_killed import child
from tests.night.test_retrain import champion, home, write

__all__ = ["home"]  # the fixture


def while_teaching(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something while the family teaches."""

    class Busy(Linear):
        def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Line:
            act()
            return super().fine_tune(base, lesson, seed, progress)

    monkeypatch.setattr(models, "get", lambda name: Busy(name))


@pytest.mark.slow
def test_a_night_that_was_taken_over_publishes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night paused past its lease and resumed after another claim is refused; the other run is not affected."""
    write(home)
    successor: list[int] = []

    def pause() -> None:
        later = utc_now() + timedelta(hours=1)
        with home.store.exclusive() as tx:
            successor.append(runs.claim(tx, "cnn", "night", "elsewhere:-:1", 60, later).id)

    while_teaching(monkeypatch, pause)
    with pytest.raises(LeaseLost, match="taken over"):
        retrain.run(home)
    with home.store.read() as tx:
        assert [version.number for version in versions.every(tx)] == [1]
        assert runs.get(tx, successor[0]).status is RunStatus.RUNNING


@pytest.mark.slow
def test_a_living_night_keeps_its_lease(home: Home) -> None:
    """The lease is renewed: after three lease lengths another claim is still refused."""
    short = replace(home, settings=home.settings.model_copy(update={"lease_seconds": 1.0}))
    with lease.hold(short, "cnn", "night", utc_now) as shift:
        time.sleep(3)
        with home.store.exclusive() as tx, pytest.raises(RunInProgress):
            runs.claim(tx, "cnn", "night", "elsewhere:-:1", 1, utc_now())
        shift.finish(RunStatus.SKIPPED, "test")


@pytest.mark.slow
def test_a_hanging_night_without_a_scheduler_loses_its_lease(home: Home) -> None:
    """The lease of a slot's night is not renewed past its time limit; that of a night by hand is."""
    short = scheduled(home, lease_seconds=1.0, night_minutes=0.01)
    slot = slots.ask(short, "cnn", "ops", utc_now())
    with lease.hold(short, "cnn", "night", utc_now, slot=slot.name) as shift:
        time.sleep(2)
        with lease.hold(short, "cnn", "night", utc_now) as by_hand:
            time.sleep(2)
            with home.store.exclusive() as tx, pytest.raises(RunInProgress):
                runs.claim(tx, "cnn", "night", "elsewhere:-:1", 1, utc_now())
            by_hand.finish(RunStatus.SKIPPED, "test")
        with pytest.raises(LeaseLost, match="taken over"):
            shift.finish(RunStatus.SKIPPED, "too late")


@pytest.mark.slow
def test_the_champion_changed_while_the_night_ran(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A challenger judged against a former champion is registered with the reason, and not promoted."""
    write(home)
    waiting = replace(home, settings=home.settings.model_copy(update={"auto_promote": False}))
    second = retrain.run(waiting)
    assert second.version is not None
    assert champion(home) == 1
    other = replace(home, settings=home.settings.model_copy(update={"seed": 5}))
    order = Attribution("ops", "now")
    while_teaching(monkeypatch, lambda: registry.promote(home, 2, order, utc_now()) and None)
    third = retrain.run(other, force=True)
    assert third.judged is not None
    assert third.judged.outcome in {"passed", "failed", "inconclusive"}
    assert champion(home) == 2
    with home.store.read() as tx:
        assert "judged against version 1" in str(runs.get(tx, third.run).reason)


@pytest.mark.slow
def test_two_inits_at_once_found_one_base(home: Home) -> None:
    """`create_base` looks for a base again once it holds the lease."""
    results: list[object] = []

    def init() -> None:
        try:
            results.append(retrain.create_base(home, "svm").number)
        except RunInProgress as refused:
            results.append(refused)

    threads = [threading.Thread(target=init) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with home.store.read() as tx:
        assert len(versions.every(tx, "svm")) == 1


@pytest.mark.slow
def test_a_diverged_challenger_is_judged_and_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with NaN weights is registered with a failed verdict, and never promoted."""
    write(home)

    class Diverged(Linear):
        def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Line:
            arrays = super().fine_tune(base, lesson, seed, progress).arrays
            return Line({name: np.full_like(array, np.nan) for name, array in arrays.items()})

    monkeypatch.setattr(models, "get", lambda name: Diverged(name))
    done = retrain.run(home)
    assert done.version is not None
    assert done.judged is not None
    assert done.judged.outcome == "failed"
    assert champion(home) == 1
    with home.store.read() as tx:
        assert {verdict.outcome for verdict in versions.verdicts(tx, done.version.number)} == {"failed"}


@pytest.mark.slow
def test_a_constant_challenger_fails(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gives every image the same answer fails."""
    write(home)

    class Constant(Linear):
        def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Line:
            arrays = super().fine_tune(base, lesson, seed, progress).arrays
            return Line({name: np.zeros_like(array) for name, array in arrays.items()})

    monkeypatch.setattr(models, "get", lambda name: Constant(name))
    done = retrain.run(home)
    assert done.judged is not None
    assert done.judged.outcome == "failed"
    assert "same answer" in str([reason.text for reason in done.judged.verdicts["good enough"].reasons])


def test_the_first_error_is_the_one_that_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """If even the run's end cannot be stored, the first error is still raised."""
    write(home)

    def unwritable(*_: object) -> None:
        raise StoreUnavailable("disk full too")

    def boom() -> None:
        monkeypatch.setattr(runs, "finish", unwritable)
        raise MemoryError("no memory")

    while_teaching(monkeypatch, boom)
    with pytest.raises(MemoryError, match="no memory"):
        retrain.run(home)


@pytest.mark.slow
def test_sigterm_is_written_down(home: Home, small_corpus: Path) -> None:
    """A night that is asked to stop stores the reason, and the next one starts at once."""
    write(home)
    done = child(home, small_corpus, "term:teach")
    assert done.returncode == 128 + signal.SIGTERM, done.output
    with home.store.read() as tx:
        last = runs.recent(tx, 1)[0]
    assert last.status is RunStatus.FAILED
    assert "stopped from outside" in str(last.reason)
    assert retrain.run(home).status is RunStatus.FINISHED
