"""Which nights are due: by the clock whatever the clock does, by volume, by request; and paused."""

import time as wall
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from loop import digits, intake, slots, snapshot
from loop.errors import BadReason, BadSettings, KeyConflict, OpsError, RunInProgress, SlotTaken
from loop.home import Home
from loop.intake import Upload
from loop.registry import Order
from loop.store import Store, feedback, runs, schema, tables
from loop.store import slots as stored
from loop.store.slots import Slot
from loop.store.values import Role, RunStatus, Status
from tests.slot_homes import founded, take

THREE = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT_THREE = "clock/cnn/2026-11-20T03:00Z"


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home founded in January, on each database."""
    return founded(store, tmp_path)


def names(home: Home, now: datetime) -> list[str]:
    """What is due."""
    return [slot.name for slot in slots.due(home, now)]


def every(home: Home) -> list[Slot]:
    """All slots, by the time they were due."""
    with home.store.read() as tx:
        rows = tx.query(tables.Slot).order_by(tables.Slot.due_at)
        return [stored.get(tx, row.name) for row in rows]


def night_after_night(home: Home, moments: Iterator[datetime]) -> list[str]:
    """Look at each moment, and let a night take what is due; the slots that were taken, in order."""
    taken = []
    for now in moments:
        slot = slots.ready(home, now)
        if slot is not None:
            take(home, slot.name, now)
            taken.append(slot.name)
    return taken


def each(start: datetime, hours: float, minutes: float = 10) -> Iterator[datetime]:
    """A clock that runs as it should."""
    for step in range(int(hours * 60 / minutes)):
        yield start + timedelta(minutes=minutes) * step


def test_a_time_makes_one_slot(home: Home) -> None:
    """Not before its time, once at it, the same one while it waits, never again once it was taken."""
    with home.store.exclusive() as tx:  # the nights of the year until now
        stored.add(tx, Slot("clock/cnn/2026-11-19T03:00Z", "cnn", "clock", "clock", THREE - DAY))
    take(home, "clock/cnn/2026-11-19T03:00Z", THREE - DAY)
    assert names(home, THREE - timedelta(seconds=1)) == []
    assert names(home, THREE) == names(home, THREE + HOUR) == [AT_THREE]
    take(home, AT_THREE, THREE + HOUR)
    assert names(home, THREE + 2 * HOUR) == []
    assert names(home, THREE + DAY) == ["clock/cnn/2026-11-21T03:00Z"]


def test_three_missed_nights_are_caught_up_once(home: Home) -> None:
    """Nothing ran for three days: one night, for the newest time."""
    take(home, names(home, THREE)[0], THREE)
    assert names(home, THREE + 3 * DAY + HOUR) == ["clock/cnn/2026-11-23T03:00Z"]
    assert len(every(home)) == 2


def test_no_night_for_times_before_the_beginning(store: Store, tmp_path: Path) -> None:
    """Founded at ten: this morning's three o'clock was before its time."""
    young = founded(store, tmp_path, at=THREE + 7 * HOUR)
    assert names(young, THREE + 8 * HOUR) == []
    assert names(young, THREE + DAY) == ["clock/cnn/2026-11-21T03:00Z"]


def test_no_night_without_a_base(store: Store, tmp_path: Path) -> None:
    """A home that was never founded has nothing due, and whoever asks is told what to run."""
    svm = founded(store, tmp_path, family="svm")  # its cnn is founded, the family of its nights is not
    assert names(svm, THREE) == []
    with pytest.raises(OpsError, match="loop init --family svm"):
        slots.ask(svm, "svm", "ops", THREE)


def test_the_clock_jumps_ahead_and_comes_back(home: Home) -> None:
    """+7 h at 22:00 and back after half an hour: three nights in three days, each slot once."""
    night_after_night(home, iter([THREE - DAY]))
    evening = THREE - 5 * HOUR
    jumped = [*each(evening + 7 * HOUR, 0.5), *each(evening + HOUR / 2, 72)]
    assert night_after_night(home, iter(jumped)) == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21, 22)]


def test_the_clock_is_set_back(home: Home) -> None:
    """−7 h just after a night: not that night again, none older, and the next one at its time."""
    night_after_night(home, iter([THREE - 2 * DAY]))  # and none yesterday: what must not be made up for
    moments = [THREE, *each(THREE - 7 * HOUR + HOUR / 6, 48)]
    assert night_after_night(home, iter(moments)) == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21)]


def test_a_clock_that_was_wrong_by_years_costs_no_nights(home: Home) -> None:
    """A slot of 2099 holds up nothing once the clock is right; every night comes."""
    night_after_night(home, iter([THREE - DAY, datetime(2099, 1, 1, 3, 0, tzinfo=UTC)]))
    taken = night_after_night(home, each(THREE - HOUR, 72))
    assert taken == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21, 22)]


def test_a_slot_of_the_future_waits_for_its_time(home: Home) -> None:
    """Made by a clock that had jumped ahead, and not taken then: not before its time."""
    with home.store.exclusive() as tx:
        stored.add(tx, Slot("clock/cnn/2026-11-22T03:00Z", "cnn", "clock", "clock", THREE + 2 * DAY))
    assert names(home, THREE) == [AT_THREE]
    assert names(home, THREE + 2 * DAY) == ["clock/cnn/2026-11-22T03:00Z"]


def test_in_autumn_no_night_comes_twice(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2026-10-25 in Helsinki, where 03:30 comes twice: one night. A cron in that zone would fire twice (control)."""
    monkeypatch.setenv("TZ", "Europe/Helsinki")
    wall.tzset()
    try:
        begin = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
        home = founded(store, tmp_path, cron="30 3 * * *")
        night_after_night(home, iter([begin]))
        assert night_after_night(home, each(begin, 24)) == ["clock/cnn/2026-10-25T03:30Z"]
    finally:
        monkeypatch.undo()
        wall.tzset()
    local, fired, now = CronTrigger.from_crontab("30 3 * * *", timezone="Europe/Helsinki"), [], begin
    while (now := local.get_next_fire_time(None, now + timedelta(seconds=1))) < begin + DAY:
        fired.append(now.astimezone(ZoneInfo("Europe/Helsinki")).strftime("%H:%M"))
    assert fired == ["03:30", "03:30"]


Jump = st.timedeltas(min_value=-40 * HOUR, max_value=40 * HOUR)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 30), Jump), min_size=1, max_size=5))
def test_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[float, timedelta]]
) -> None:
    """However often the clock jumps: a night never before its time, no slot twice, and within 48 h of a clock that
    runs as it should at least one night that is its own.
    """
    folder = tmp_path_factory.mktemp("jumps")
    store = Store(f"sqlite:///{folder / 'loop.db'}")
    schema.migrate(store)
    home, now, taken = founded(store, folder), THREE, []
    for hours, jump in story:
        for moment in each(now, hours, 100):
            before = len(every(home))
            taken += (new := night_after_night(home, iter([moment])))
            assert len(every(home)) <= before + 1
            assert all(slot.due_at <= moment for slot in every(home) if slot.name in new)
        now += timedelta(hours=hours) + jump
    assert len(taken) == len(set(taken))
    last = night_after_night(home, each(now, 72 + 40 * len(story), 100))
    assert last, "a clock that runs as it should brings nights"
    assert not set(last) & set(taken)
    store.close()


def test_newest_is_what_a_walk_finds() -> None:
    """Bisection against walking, for expressions of every kind."""
    for cron in ("0 3 * * *", "*/7 1-3 * * *", "15 4 1 * *", "30 2 * * mon-fri", "* * * * *", "0 0 29 2 *"):
        times = slots.trigger(cron)
        since = datetime(2026, 2, 27, 2, 3, tzinfo=UTC)
        now, walked = since + 2 * DAY + 5 * HOUR, None
        step = slots.following(times, since)
        while step is not None and step <= now:
            walked, step = step, slots.following(times, step)
        assert slots.newest(times, since, now) == walked


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 3 * * 0", "weekdays by name"),
        ("0 3 * * 1-5", "weekdays by name"),
        ("61 3 * * *", "expected five fields"),
        ("0 3 31 2 *", "never comes"),
        ("x y z a b", "expected five fields"),
    ],
)
def test_cron_expressions_that_are_refused(cron: str, said: str) -> None:
    """In one line, before a scheduler starts. Numbered weekdays too: cron's 0 is Sunday, APScheduler's is Monday."""
    with pytest.raises(BadSettings, match=said):
        slots.trigger(cron)


def test_apscheduler_s_sunday_is_monday() -> None:
    """The control: what a numbered weekday would have meant."""
    sunday = CronTrigger.from_crontab("0 3 * * 0", timezone=UTC).get_next_fire_time(None, THREE)
    assert sunday.strftime("%A") == "Monday"


def uploads(home: Home, role: Role, numbers: range, now: datetime) -> None:
    """A digit for each number, of a source on that side."""
    with home.store.write() as tx:
        feedback.set_salt(tx, "salt")
    source = next(name for name in map(str, range(99)) if feedback.role_of(name, "salt", 0.2) is role)
    images = (np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8) for number in numbers)
    sent = [Upload(source=source, image=digits.digit(image), label=3) for image in images]
    answers = intake.accept_many(home.store, sent, 0.2, now)
    assert all(isinstance(one, intake.Receipt) and one.status is Status.ACCEPTED for one in answers)


def taught(home: Home, name: str, now: datetime) -> None:
    """A night of the slot that freezes what there is, and finishes."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now, name)
        stored.take(tx, name, run.id, 2)
    snapshot.freeze(home.store, run.id, "0" * 64, 5000, 500, now)
    with home.store.write() as tx:
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, now)


def test_volume(store: Store, tmp_path: Path) -> None:
    """Enough new uploads that teach make a night due before its time; not more often than so many hours apart; and what
    a night has taught is not new any more.
    """
    home = founded(store, tmp_path, volume=5, volume_hours=6.0, cron="0 3 29 2 *")
    now = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    uploads(home, Role.TRAIN, range(4), now)
    uploads(home, Role.HOLDOUT, range(10), now)  # judge, never teach
    assert names(home, now) == []
    uploads(home, Role.TRAIN, range(4, 5), now)
    (name,) = names(home, now)
    assert name == "volume/cnn/2026-11-20T08:00:00Z"
    assert names(home, now + 5 * HOUR) == [name]  # it waits; another hour makes no second
    taught(home, name, now + HOUR)
    uploads(home, Role.TRAIN, range(10, 14), now + HOUR)
    assert names(home, now + 7 * HOUR) == []
    uploads(home, Role.TRAIN, range(14, 15), now + HOUR)
    assert names(home, now + 5 * HOUR) == []
    assert names(home, now + 7 * HOUR) == ["volume/cnn/2026-11-20T15:00:00Z"]


def test_volume_after_a_clock_that_was_ahead(store: Store, tmp_path: Path) -> None:
    """A volume slot of a wrong future holds up none of the present."""
    home = founded(store, tmp_path, volume=5, cron="0 3 29 2 *")
    uploads(home, Role.TRAIN, range(5), THREE)
    (ahead,) = names(home, THREE + 30 * DAY)
    take(home, ahead, THREE + 30 * DAY, RunStatus.SKIPPED)
    assert names(home, THREE) == ["volume/cnn/2026-11-20T03:00:00Z"]


def test_one_name_one_slot(home: Home) -> None:
    """UNIQUE in the schema, not only in our code; writing a slot down twice gives the first."""
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
    """A second claim is refused, whatever became of the first run, as long as it said something."""
    slot = slots.ask(home, "cnn", "ops", THREE)
    take(home, slot.name, THREE, RunStatus.FAILED)
    with pytest.raises(SlotTaken, match="took it"):
        take(home, slot.name, THREE)
    assert names(home, THREE + HOUR) == [AT_THREE]
    with home.store.read() as tx:
        assert [run.slot for run in runs.recent(tx, 1)] == [slot.name]


def test_a_silent_death_gives_the_slot_back(home: Home) -> None:
    """Its lease run out: the run is failed, the slot free, twice; then it was tried often enough."""
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
    """The same actor and key: the same slot. Another actor's key is another. Without a key each is new."""
    first = slots.ask(home, "cnn", "ops", THREE, "key")
    assert slots.ask(home, "cnn", "ops", THREE + HOUR, "key") == first
    others = {slots.ask(home, "cnn", actor, THREE, key).name for actor, key in (("app", "key"), ("ops", None))}
    assert len(others | {first.name, slots.ask(home, "cnn", "ops", THREE).name}) == 4


def test_a_key_for_another_family(home: Home) -> None:
    """One key asks for one thing."""
    slots.ask(home, "cnn", "ops", THREE, "key")
    with home.store.exclusive() as tx:
        row = tx.query(tables.Slot).one()
        row.family = "svm"  # as if it had been asked of the other family
    with pytest.raises(KeyConflict, match="night of svm"):
        slots.ask(home, "cnn", "ops", THREE, "key")


def test_paused(home: Home) -> None:
    """Nothing starts, slots become due all the same, and after the pause the newest runs, once."""
    assert slots.paused(home) is None
    made = slots.pause(home, Order("ops", "the gate looks odd"), THREE - HOUR)
    assert slots.paused(home) == made == slots.Pause("ops", "the gate looks odd", THREE - HOUR)
    assert night_after_night(home, each(THREE - HOUR, 72)) == []
    assert len(every(home)) == 4  # the one before the pause, too
    assert slots.resume(home) == made
    assert slots.paused(home) is None
    assert night_after_night(home, each(THREE + 3 * DAY - 2 * HOUR, 1)) == ["clock/cnn/2026-11-22T03:00Z"]


def test_pausing_twice_keeps_the_first_reason(home: Home) -> None:
    """Whoever comes second is told who was first; a reason too long for the fact is refused, never cut."""
    slots.pause(home, Order("ops", "first"), THREE)
    with pytest.raises(OpsError, match="by ops: first"):
        slots.pause(home, Order("other", "second"), THREE)
    assert slots.resume(home) is not None
    assert slots.resume(home) is None
    with pytest.raises(BadReason, match="at most"):
        slots.pause(home, Order("ops", "x" * 480), THREE)
