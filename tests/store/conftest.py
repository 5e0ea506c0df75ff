"""A store with one version and one ledger entry."""

from pathlib import Path

import pytest

from loop.registry import promote_in, register
from loop.store import Store, values
from loop.store.nights import runs
from loop.store.values import Attribution
from tests.conftest import NOW
from tests.helpers import stores

ORDER = Attribution("tester", "because")


def version(run: values.Run, **changes: object) -> values.Version:
    """A version as a run would register it, with invented digests."""
    columns: dict[str, object] = {
        "number": run.reserved,
        "family": run.family,
        "run_id": run.id,
        "snapshot_id": None,
        "snapshot_digest": None,
        "champion": None,
        "artifact_bytes": 10,
        "recipe": {"epochs": 1},
        "seed": 0,
        "summary": {"slices": []},
        "registered_at": NOW,
    }
    names = ("artifact", "weights", "base", "report", "golden", "recipe")
    columns |= {f"{name}_digest": f"{run.reserved:064x}" for name in names}
    return values.Version(**(columns | changes))


def add_version(store: Store, outcome: str = "passed", family: str = "cnn") -> values.Version:
    """Register one more version with this verdict."""
    with store.exclusive() as tx:
        run = runs.claim(tx, family, "night", runs.me(), 60, NOW)
        runs.reserve(tx, run.id)
        run = runs.get(tx, run.id)
        runs.finish(tx, run.id, values.RunStatus.FINISHED, None, {}, NOW)
        new = version(run)
        register(tx, new, [values.Verdict(new.number, "good enough", outcome, {"reasons": []}, NOW)], ORDER, NOW)
    return new


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with nothing in it, not even tables, on each backend in turn."""
    if request.param == "postgresql":
        return stores.emptied(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'loop.db'}"


@pytest.fixture
def filled(store: Store) -> Store:
    """One version, promoted."""
    new = add_version(store)
    with store.exclusive() as tx:
        promote_in(tx, new, ORDER, NOW)
    return store
