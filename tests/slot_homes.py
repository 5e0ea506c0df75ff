"""A home whose family was founded long ago, without the founding: slots look at the base's row and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

from loop.artifacts import Artifacts
from loop.home import Home
from loop.knobs import Schedule
from loop.settings import Settings
from loop.store import Store, runs, slots, values, versions
from loop.store.values import RunStatus

FOUNDED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def founded(store: Store, folder: Path, at: datetime = FOUNDED, **knobs: object) -> Home:
    """The home; ``knobs`` are the schedule's."""
    schedule = Schedule(**({"volume": 0} | knobs))
    settings = Settings(home=folder / "home", database_url=str(store.url), schedule=schedule, actor="tester")
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "base", "nobody:-:1", 60, at)
        versions.add(tx, version(runs.reserve(tx, run.id), run.id, at))
        runs.finish(tx, run.id, RunStatus.FINISHED, None, {}, at)
    return Home(settings, store, Artifacts(settings.home / "artifacts"))


def version(number: int, run_id: int, at: datetime) -> values.Version:
    """A row that names no files."""
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
    """A night that takes the slot and ends; the run's number."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now, name)
        slots.take(tx, name, run.id, home.settings.schedule.attempts)
        if status is not RunStatus.RUNNING:
            runs.finish(tx, run.id, status, None, {}, now)
    return run.id
