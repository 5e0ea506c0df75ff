"""A home with an old base that has only a row, because slots need no more, and clocks for the tests of slots."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Schedule
from loop.home.settings import Settings
from loop.schedule import slots as due
from loop.store import Store, tables, values
from loop.store.nights import runs, slots, versions
from loop.store.nights.slots import Slot
from loop.store.values import RunStatus

THREE = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT_THREE = "clock/cnn/2026-11-20T03:00Z"
FOUNDED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def founded(store: Store, folder: Path, at: datetime = FOUNDED, **changes: object) -> Home:
    """The home; ``changes`` apply to the schedule."""
    schedule = Schedule(**({"volume": 0} | changes))
    settings = Settings(home=folder / "home", database_url=str(store.url), schedule=schedule, actor="tester")
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "base", "nobody:-:1", 60, at)
        versions.add(tx, version(runs.reserve(tx, run.id), run.id, at))
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, at)
    return Home(settings, store, Artifacts(settings.home / "artifacts"))


def version(number: int, run_id: int, at: datetime) -> values.Version:
    """A version's row without files."""
    digest = f"{number:064x}"
    return values.Version(
        number=number,
        family="cnn",
        run_id=run_id,
        snapshot_id=None,
        snapshot_digest=None,
        champion=None,
        artifact_digest=digest,
        artifact_bytes=1,
        weights_digest=digest,
        base_digest=digest,
        report_digest=digest,
        golden_digest=digest,
        recipe_digest=digest,
        recipe={},
        seed=0,
        summary={},
        registered_at=at,
    )


def take(home: Home, name: str, now: datetime, status: RunStatus = RunStatus.FINISHED) -> int:
    """Run a night that takes the slot and ends; returns the run's number."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now, name)
        slots.take(tx, name, run.id, home.settings.schedule.attempts)
        if status is not RunStatus.RUNNING:
            runs.finish(tx, run.id, status, None, {}, now)
    return run.id


def names(home: Home, now: datetime) -> list[str]:
    """The names of the due slots."""
    return [slot.name for slot in due.due(home, now)]


def every(home: Home) -> list[Slot]:
    """All slots, by due time."""
    with home.store.read() as tx:
        rows = tx.query(tables.Slot).order_by(tables.Slot.due_at)
        return [slots.get(tx, row.name) for row in rows]


def night_after_night(home: Home, moments: Iterator[datetime]) -> list[str]:
    """At each moment, let a night take the due slot; returns the taken slots in order."""
    taken = []
    for now in moments:
        slot = due.ready(home, now)
        if slot is not None:
            take(home, slot.name, now)
            taken.append(slot.name)
    return taken


def each(start: datetime, hours: float, minutes: float = 20) -> Iterator[datetime]:
    """The moments of a correct clock."""
    for step in range(int(hours * 60 / minutes)):
        yield start + timedelta(minutes=minutes) * step
