"""Each night is due exactly once by the clock, even if the clock jumps."""

import time as wall
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.errors import BadSettings, OpsError
from loop.home import Home
from loop.schedule import slots
from loop.store import Store
from loop.store.nights import slots as stored
from loop.store.nights.slots import Slot
from tests.helpers import stores
from tests.helpers.slot_homes import AT_THREE, DAY, HOUR, THREE, each, every, founded, names, night_after_night, take


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home whose base was trained in January, on each database."""
    return founded(store, tmp_path)


def test_a_time_makes_one_slot(home: Home) -> None:
    """A time creates one slot: not before that time, the same one while it waits, and never again once taken."""
    with home.store.exclusive() as tx:  # the nights of the year until now
        stored.add(tx, Slot("clock/cnn/2026-11-19T03:00Z", "cnn", "clock", "clock", THREE - DAY))
    take(home, "clock/cnn/2026-11-19T03:00Z", THREE - DAY)
    assert names(home, THREE - timedelta(seconds=1)) == []
    assert names(home, THREE) == names(home, THREE + HOUR) == [AT_THREE]
    take(home, AT_THREE, THREE + HOUR)
    assert names(home, THREE + 2 * HOUR) == []
    assert names(home, THREE + DAY) == ["clock/cnn/2026-11-21T03:00Z"]


def test_three_missed_nights_are_caught_up_once(home: Home) -> None:
    """After three days without a scheduler one night is due, for the newest time."""
    take(home, names(home, THREE)[0], THREE)
    assert names(home, THREE + 3 * DAY + HOUR) == ["clock/cnn/2026-11-23T03:00Z"]
    assert len(every(home)) == 2


def test_no_night_for_times_before_the_beginning(store: Store, tmp_path: Path) -> None:
    """A base trained at ten creates no slot for three o'clock of the same day."""
    young = founded(store, tmp_path, at=THREE + 7 * HOUR)
    assert names(young, THREE + 8 * HOUR) == []
    assert names(young, THREE + DAY) == ["clock/cnn/2026-11-21T03:00Z"]


def test_no_night_without_a_base(store: Store, tmp_path: Path) -> None:
    """A family without a base has no slot, and a request is refused with the command to run."""
    svm = founded(store, tmp_path, family="svm")  # cnn has a base, the family of its nights has none
    assert names(svm, THREE) == []
    with pytest.raises(OpsError, match="loop init --family svm"):
        slots.ask(svm, "svm", "ops", THREE)


@pytest.mark.slow
def test_the_clock_jumps_ahead_and_comes_back(home: Home) -> None:
    """If the clock jumps by +7 h at 22:00 and back after half an hour, three days have three nights, each once."""
    night_after_night(home, iter([THREE - DAY]))
    evening = THREE - 5 * HOUR
    jumped = [*each(evening + 7 * HOUR, 0.5), *each(evening + HOUR / 2, 72)]
    assert night_after_night(home, iter(jumped)) == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21, 22)]


@pytest.mark.slow
def test_the_clock_is_set_back(home: Home) -> None:
    """If the clock is set back by 7 h just after a night, neither that night nor an older one runs again."""
    night_after_night(home, iter([THREE - 2 * DAY]))  # yesterday had none, and must not be caught up
    moments = [THREE, *each(THREE - 7 * HOUR + HOUR / 6, 48)]
    assert night_after_night(home, iter(moments)) == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21)]


@pytest.mark.slow
def test_a_clock_that_was_wrong_by_years_costs_no_nights(home: Home) -> None:
    """A slot of 2099 blocks no night once the clock is right."""
    night_after_night(home, iter([THREE - DAY, datetime(2099, 1, 1, 3, 0, tzinfo=UTC)]))
    taken = night_after_night(home, each(THREE - HOUR, 72))
    assert taken == [f"clock/cnn/2026-11-{day}T03:00Z" for day in (20, 21, 22)]


def test_a_slot_of_the_future_waits_for_its_time(home: Home) -> None:
    """A slot that was created by a clock ahead of time is not due before its own time."""
    with home.store.exclusive() as tx:
        stored.add(tx, Slot("clock/cnn/2026-11-22T03:00Z", "cnn", "clock", "clock", THREE + 2 * DAY))
    assert names(home, THREE) == [AT_THREE]
    assert names(home, THREE + 2 * DAY) == ["clock/cnn/2026-11-22T03:00Z"]


@pytest.mark.slow
def test_in_autumn_no_night_is_repeated(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 2026-10-25 in Helsinki, which has 03:30 twice, one night runs; a cron in that zone fires twice (control)."""
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
    local, now, fired = CronTrigger.from_crontab("30 3 * * *", timezone="Europe/Helsinki"), begin, []
    for _ in range(2):
        now = local.get_next_fire_time(None, now.astimezone(UTC) + timedelta(seconds=1))
        fired.append(f"{now:%d %H:%M}")
    assert fired == ["25 03:30", "25 03:30"]


Jump = st.timedeltas(min_value=-40 * HOUR, max_value=40 * HOUR)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 30), Jump), min_size=1, max_size=5))
def test_after_any_jumps_of_the_clock(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[float, timedelta]]
) -> None:
    """After any jumps no night runs early, no slot runs twice, and a correct clock soon brings a new night."""
    folder = tmp_path_factory.mktemp("jumps")
    store = Store(f"sqlite:///{folder / 'loop.db'}")
    stores.migrate(store)
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
    assert last, "expected a night from a correct clock, got none"
    assert not set(last) & set(taken)
    store.close()


def test_newest_equals_a_linear_search() -> None:
    """The bisection of ``newest`` gives the result of a linear search, for every kind of expression."""
    for cron in ("0 3 * * *", "*/7 1-3 * * *", "15 4 1 * *", "30 2 * * mon-fri", "* * * * *", "0 0 29 2 *"):
        times = slots.trigger(cron)
        since = datetime(2026, 2, 27, 2, 3, tzinfo=UTC)
        now, walked = since + 2 * DAY + 5 * HOUR, None
        step = slots.following(times, since)
        while step is not None and step <= now:
            walked, step = step, slots.following(times, step)
        assert slots.newest(times, since, now) == walked


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 3 * * 0", "weekdays by name"),
        ("0 3 * * 1-5", "weekdays by name"),
        ("61 3 * * *", "expected five fields"),
        ("0 3 31 2 *", "does not exist"),
        ("x y z a b", "expected five fields"),
    ],
)
def test_cron_expressions_that_are_refused(cron: str, message: str) -> None:
    """Malformed expressions and numbered weekdays are refused with a reason."""
    with pytest.raises(BadSettings, match=message):
        slots.trigger(cron)


def test_apscheduler_s_sunday_is_monday() -> None:
    """Control: APScheduler reads weekday 0 as Monday."""
    sunday = CronTrigger.from_crontab("0 3 * * 0", timezone=UTC).get_next_fire_time(None, THREE)
    assert sunday.strftime("%A") == "Monday"
