"""Slots are taken once, are created by volume and by request, and can be paused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from loop import intake
from loop.data import digits
from loop.errors import BadReason, KeyConflict, OpsError, RunInProgress, SlotTaken
from loop.home import Home
from loop.intake import Upload
from loop.night import snapshot
from loop.schedule import slots
from loop.store import Store, tables
from loop.store.feedback import corrections, split
from loop.store.nights import runs
from loop.store.nights import slots as stored
from loop.store.values import Attribution, Role, RunStatus, Status
from tests.helpers.slot_homes import AT_THREE, DAY, HOUR, THREE, each, every, founded, names, night_after_night, take


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home whose base was trained in January, on each database."""
    return founded(store, tmp_path)


def uploads(home: Home, role: Role, numbers: range, now: datetime) -> None:
    """Upload one digit for each number, from a source with this role."""
    with home.store.write() as tx:
        split.set_salt(tx, "salt")
    source = next(name for name in map(str, range(99)) if split.role_of(name, "salt", 0.2) is role)
    images = (np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8) for number in numbers)
    sent = [Upload(source=source, image=digits.digit(image), label=3) for image in images]
    answers = intake.accept_many(home.store, sent, 0.2, now)
    assert all(isinstance(one, intake.Receipt) and one.status is Status.ACCEPTED for one in answers)


def taught(home: Home, name: str, now: datetime) -> None:
    """Run a night of the slot that freezes a snapshot and finishes."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now, name)
        stored.take(tx, name, run.id, 2)
    with home.store.read() as tx:
        pool = corrections.pool(tx, Role.TRAIN)
    snapshot.freeze(home.store, run.id, "0" * 64, pool, now)
    with home.store.write() as tx:
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, now)


def test_volume(store: Store, tmp_path: Path) -> None:
    """Enough new training uploads make a night due early, at most once per ``volume_hours``."""
    home = founded(store, tmp_path, volume=5, volume_hours=6.0, cron="0 3 29 2 *")
    now = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    uploads(home, Role.TRAIN, range(4), now)
    uploads(home, Role.HOLDOUT, range(10), now)  # these never train
    assert names(home, now) == []
    uploads(home, Role.TRAIN, range(4, 5), now)
    (name,) = names(home, now)
    assert name == "volume/cnn/2026-11-20T08:00:00Z"
    assert names(home, now + 5 * HOUR) == [name]  # it waits, and no second one is created
    taught(home, name, now + HOUR)
    uploads(home, Role.TRAIN, range(10, 14), now + HOUR)
    assert names(home, now + 7 * HOUR) == []
    uploads(home, Role.TRAIN, range(14, 15), now + HOUR)
    assert names(home, now + 5 * HOUR) == []
    assert names(home, now + 7 * HOUR) == ["volume/cnn/2026-11-20T15:00:00Z"]


@pytest.mark.slow
def test_volume_after_a_clock_that_was_ahead(store: Store, tmp_path: Path) -> None:
    """A volume slot that a wrong clock created in the future blocks no present one."""
    home = founded(store, tmp_path, volume=5, cron="0 3 29 2 *")
    uploads(home, Role.TRAIN, range(5), THREE)
    (ahead,) = names(home, THREE + 30 * DAY)
    take(home, ahead, THREE + 30 * DAY, RunStatus.SKIPPED)
    assert names(home, THREE) == ["volume/cnn/2026-11-20T03:00:00Z"]


def test_one_name_one_slot(home: Home) -> None:
    """The schema allows one slot per name, and adding a slot twice returns the first."""
    first = slots.ask(home, "cnn", "ops", THREE)
    with home.store.exclusive() as tx:
        assert stored.add(tx, replace(first, actor="another")) == first
    with pytest.raises(IntegrityError), home.store.write() as tx:
        tx.execute(
            tables.Slot.__table__.insert().values(
                name=first.name, family="cnn", cause="asked", actor="x", due_at=THREE, attempts=0
            )
        )


def test_a_slot_is_taken_once(home: Home) -> None:
    """A second claim is refused after any recorded end of the first run."""
    slot = slots.ask(home, "cnn", "ops", THREE)
    take(home, slot.name, THREE, RunStatus.FAILED)
    with pytest.raises(SlotTaken, match="took it"):
        take(home, slot.name, THREE)
    assert names(home, THREE + HOUR) == [AT_THREE]
    with home.store.read() as tx:
        assert [run.slot for run in runs.recent(tx, 1)] == [slot.name]


def test_an_expired_lease_frees_the_slot(home: Home) -> None:
    """An expired lease fails the run and frees the slot, until the number of attempts is reached."""
    slot = slots.ask(home, "cnn", "ops", THREE)
    for attempt in (1, 2):
        now = THREE + attempt * HOUR
        assert slot.name in names(home, now)
        with home.store.exclusive() as tx:
            run = runs.claim(tx, "cnn", "night", f"elsewhere:-:{attempt}", 60, now, slot.name)
            stored.take(tx, slot.name, run.id, home.settings.schedule.attempts)
        with pytest.raises(RunInProgress):
            take(home, slot.name, now + timedelta(seconds=59))
        assert slot.name not in names(home, now + timedelta(seconds=59))
    assert slot.name not in names(home, THREE + 3 * HOUR)
    with pytest.raises(SlotTaken, match="tried 2 times"):
        take(home, slot.name, THREE + 3 * HOUR)


def test_asking_twice_with_one_key(home: Home) -> None:
    """One actor and key give one slot; another actor's key, or no key, gives a new slot."""
    first = slots.ask(home, "cnn", "ops", THREE, "key")
    assert slots.ask(home, "cnn", "ops", THREE + HOUR, "key") == first
    others = {slots.ask(home, "cnn", actor, THREE, key).name for actor, key in (("app", "key"), ("ops", None))}
    assert len(others | {first.name, slots.ask(home, "cnn", "ops", THREE).name}) == 4


def test_a_key_for_another_family(home: Home) -> None:
    """A key that was used for another family is refused."""
    slots.ask(home, "cnn", "ops", THREE, "key")
    with home.store.exclusive() as tx:
        row = tx.query(tables.Slot).one()
        row.family = "svm"  # as if it had been requested for the other family
    with pytest.raises(KeyConflict, match="night of svm"):
        slots.ask(home, "cnn", "ops", THREE, "key")


@pytest.mark.slow
def test_paused(home: Home) -> None:
    """During a pause slots become due but do not start; after it the newest one runs, once."""
    assert slots.paused(home) is None
    made = slots.pause(home, Attribution("ops", "the gate looks odd"), THREE - HOUR)
    assert slots.paused(home) == made == slots.Pause("ops", "the gate looks odd", THREE - HOUR)
    assert night_after_night(home, each(THREE - HOUR, 72)) == []
    assert len(every(home)) == 4  # including the one before the pause
    assert slots.resume(home) == made
    assert slots.paused(home) is None
    assert night_after_night(home, each(THREE + 3 * DAY - 2 * HOUR, 1)) == ["clock/cnn/2026-11-22T03:00Z"]


def test_pausing_twice_keeps_the_first_reason(home: Home) -> None:
    """A second pause is refused with the first one's actor and reason; a reason that is too long is refused."""
    slots.pause(home, Attribution("ops", "first"), THREE)
    with pytest.raises(OpsError, match="by ops: first"):
        slots.pause(home, Attribution("other", "second"), THREE)
    assert slots.resume(home) is not None
    assert slots.resume(home) is None
    with pytest.raises(BadReason, match="at most"):
        slots.pause(home, Attribution("ops", "x" * 480), THREE)
