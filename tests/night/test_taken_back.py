"""Uploads that are erased or withdrawn while a night teaches them: the night begins again, within bounds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

import models
from loop import home as homes
from loop import intake
from loop.clock import utc_now
from loop.data.digits import digit
from loop.errors import LessonErased
from loop.home import Home
from loop.intake import Upload, erasure
from loop.night import retrain
from loop.schedule import slots
from loop.store import tables
from loop.store.feedback import erasures, own_uploads
from loop.store.nights import runs, versions
from loop.store.nights import slots as stored
from loop.store.values import Role, RunStatus
from models.family import Lesson, Progress, Weights
from tests.helpers import people
from tests.helpers.linear import Line, Linear
from tests.helpers.loop_child import scheduled
from tests.night.test_retrain import home, rolled, write
from tests.schedule.test_night_process import reaches, slot_of, start_night

__all__ = ["home"]  # the fixture

pytestmark = pytest.mark.slow


def each_time(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> list[int]:
    """Do something each time the family teaches; the sizes of the lessons."""
    sizes: list[int] = []

    class Busy(Linear):
        def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> Line:
            sizes.append(len(lesson.labels))
            act()
            return super().fine_tune(base, lesson, seed, progress)

    monkeypatch.setattr(models, "get", lambda name: Busy(name))
    return sizes


def teachers(home: Home) -> list[str]:
    """The names of the teaching sources that are stored."""
    with home.store.read() as tx:
        query = select(tables.Source.name).where(tables.Source.role == Role.TRAIN)
        return list(tx.scalars(query.order_by(tables.Source.id)))


def withdraw_one(home: Home, name: str) -> None:
    """Take back the source's first accepted upload."""
    upload = tables.Correction
    with home.store.exclusive() as tx:
        its = select(upload.id).join(tables.Source).where(tables.Source.name == name, upload.status == "accepted")
        own_uploads.withdraw(tx, name, tx.scalars(its.order_by(upload.id).limit(1)).one())


@pytest.mark.parametrize("how", ["erased", "withdrawn"])
def test_one_source_that_takes_back_every_night(home: Home, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Each night publishes, without the whole source that took something back while it ran; nobody is tainted."""
    write(home)
    teacher = teachers(home)[0]

    def take_back() -> None:
        if how == "withdrawn":
            withdraw_one(home, teacher)
        else:
            erasure.erase(home, teacher, "a phone", utc_now())

    sizes = each_time(monkeypatch, take_back)
    for night in range(2):
        done = retrain.run(home, force=True)
        assert done.version is not None
        assert done.version.number == 2 + night
    expected = 3 if how == "erased" else 4  # an erased source is not there in the second night
    assert len(sizes) == expected
    assert sizes[1] == sizes[0] - 40
    with home.store.read() as tx:
        assert erasures.tainted(tx) == []


def test_the_last_attempt_teaches_no_young_source(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources that take back one after the other do not stop a night in which old sources teach."""
    write(home, seasoned=False)
    first, second, *others = teachers(home)
    people.season(home.store, 30, *others[1:])
    left = [first, second, others[0]]
    sizes = each_time(monkeypatch, lambda: withdraw_one(home, left.pop(0)) if left else None)
    done = retrain.run(home)
    assert done.version is not None
    assert sizes == [sizes[0], sizes[0] - 40, 40 * len(others[1:])]


def test_without_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night whose every lesson loses something publishes nothing, says so, and leaves its slot free and uncounted."""
    write(home)
    people.season(home.store)
    left = teachers(home)
    sizes = each_time(monkeypatch, lambda: withdraw_one(home, left.pop()))
    slot = slots.ask(home, "cnn", "ops", utc_now())
    with pytest.raises(LessonErased, match="tried 3 times, and nothing was published"):
        retrain.run(home, slot=slot.name)
    assert len(sizes) == retrain.ATTEMPTS
    with home.store.read() as tx:
        last, held = runs.recent(tx, 1)[0], stored.get(tx, slot.name)
        assert [version.number for version in versions.every(tx)] == [1]
    assert last.status is RunStatus.FAILED
    assert "taken back" in str(last.reason)
    assert (held.run_id, held.attempts) == (None, 0)
    monkeypatch.setattr(models, "get", lambda name: Linear(name))
    assert retrain.run(home, slot=slot.name).status is RunStatus.FINISHED  # the same slot, the next time


def test_a_slot_is_not_tried_for_ever(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many runs of one slot, even such a night counts: nobody can keep a machine busy without end."""
    monkeypatch.setattr("loop.night.lease.MOST_RUNS_OF_A_SLOT", 2)
    write(home)
    people.season(home.store)
    slot = slots.ask(home, "cnn", "ops", utc_now())
    held = []
    for _ in range(2):
        left = teachers(home)
        each_time(monkeypatch, lambda left=left: withdraw_one(home, left.pop()))  # type: ignore[misc]
        with pytest.raises(LessonErased):
            retrain.run(home, slot=slot.name)
        with home.store.read() as tx:
            held.append(stored.get(tx, slot.name).run_id is None)
    assert held == [True, False]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_erasure_during_each_night_process(home: Home, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack 8: a phone erases itself while a real night process teaches, three nights running: three versions."""
    made = scheduled(home)
    write(made)
    people.season(made.store)
    strange = rolled(homes.corpus(made.settings, "mnist").train_images[400:])
    for night in range(3):
        images = [digit(image) for image in strange[30 * night : 30 * night + 30]]
        uploads = [Upload(f"late-{night}", image, 5, predicted=3) for image in images]
        intake.accept_many(made.store, uploads, 0.0, utc_now())  # something new to teach
        teacher = teachers(made)[0]
        go = made.settings.home / "go"
        go.unlink(missing_ok=True)
        running = start_night(made, small_corpus, "wait:teach", monkeypatch)
        reaches(made, "teach")
        erasure.erase(made, teacher, "a phone", utc_now())
        go.touch()
        run = running.watch()
        assert run is not None
        assert run.status is RunStatus.FINISHED, run.reason
        assert slot_of(made, running).run_id == run.id
        with made.store.read() as tx:
            assert versions.every(tx)[0].number == 2 + night
