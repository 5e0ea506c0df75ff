"""A database as each released revision left it, upgraded: the same schema as a new one, nothing lost, work goes on."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from loop.data.digits import digit
from loop.errors import StoreUnavailable
from loop.intake import Receipt, Upload, accept_many
from loop.operations import ledger_check
from loop.store import Store, schema, tables
from loop.store.backup import sequences
from loop.store.feedback import corrections, live_scores
from loop.store.nights import ledger_chain, runs, slots, versions
from loop.store.phones import feeds
from loop.store.service import health, hooks, key_values, keys, outbox
from loop.store.values import Role
from tests.conftest import NOW
from tests.helpers import old_database, stores
from tests.helpers.postgres import database
from tests.store.conftest import add_version

REVISIONS = sorted(path.stem for path in old_database.FOLDER.glob("*.sql"))
APPEND_ONLY = {"versions", "moves", "feed_roots", "feed_entries", "withdrawals"}
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Old:
    """A store that was upgraded, and the rows by table as they were before, as SQLite returns them."""

    store: Store
    rows: dict[str, Rows]

    def column(self, table: str, name: str) -> list[Any]:
        """One column of a table as it was; empty where the revision had no such table."""
        return [row[name] for row in self.rows.get(table, [])]


def loaded(revision: str, path: Path) -> None:
    """Make a SQLite file of the revision's SQL."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((old_database.FOLDER / f"{revision}.sql").read_text(encoding="utf-8"))


def all_rows(path: Path) -> dict[str, Rows]:
    """Every row of every table of ours."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        ours = sorted(set(names) - old_database.BOOKKEEPING)
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in ours}  # noqa: S608 (our own names)


@contextmanager
def upgraded(revision: str, url: str, folder: Path) -> Iterator[Old]:
    """The revision's database at the URL, upgraded to the newest."""
    path = folder / "loop.db"
    loaded(revision, path)
    rows, store = all_rows(path), Store(url)
    if not store.is_sqlite:
        old_database.upgrade(store, revision)
        with Store(f"sqlite:///{path}").engine.connect() as source, store.engine.begin() as target:
            old_database.copy(source, target)
    schema.migrate(store)
    if not store.is_sqlite:
        with store.write() as tx:
            sequences.raise_to(tx, {})  # rows that were copied with their numbers use none up
    yield Old(store, rows)
    store.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], str]]:
    """Where a database in a folder is, on each backend in turn."""
    if request.param == "sqlite":
        yield lambda folder: f"sqlite:///{folder / 'loop.db'}"
        return
    with database() as url:
        yield lambda _: stores.emptied(url)


@pytest.fixture(scope="module", params=REVISIONS)
def old(
    request: pytest.FixtureRequest, place: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Old]:
    """The database of each revision, on each backend in turn, upgraded to the newest; to read only."""
    folder = tmp_path_factory.mktemp("old")
    with upgraded(request.param, place(folder), folder) as found:
        yield found


def utc(stored: str) -> datetime:
    """A time as SQLite keeps it."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)


def test_each_revision_has_a_file() -> None:
    """A new revision comes with its database; `python -m tests.helpers.old_database` writes it."""
    known = ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()
    assert sorted(script.revision for script in known) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_file_is_what_its_revision_makes(revision: str, tmp_path: Path) -> None:
    """A released revision is never edited: tables, indexes and triggers in the file are those that it makes today."""
    loaded(revision, tmp_path / "file.db")
    store = Store(f"sqlite:///{tmp_path / 'made.db'}")
    old_database.upgrade(store, revision)
    store.close()
    found = []
    for name in ("file.db", "made.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
            found.append({name: " ".join(sql.replace('"', "").split()) for name, sql in connection.execute(query)})
    assert found[0] == found[1]


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_table_of_a_file_is_empty(revision: str, tmp_path: Path) -> None:
    """An upgrade is tried on rows of every table that the revision had."""
    loaded(revision, tmp_path / "loop.db")
    assert [name for name, rows in all_rows(tmp_path / "loop.db").items() if not rows] == []


def test_upgraded_is_as_good_as_new(old: Old) -> None:
    """The upgraded schema is the newest, has what the tables need, and no row points at nothing."""
    schema.require_head(old.store)
    with old.store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.Base.metadata) == []
    with old.store.read() as tx:
        assert health.quick_check(tx) == []
        assert health.dangling(tx) == {}


def test_uploads_are_kept(old: Old) -> None:
    """Each upload has its pixels, label, side and weight; what was scored on arrival stays scored."""
    with old.store.read() as tx:
        pools = [corrections.pool(tx, role) for role in Role]
        counted = corrections.counts(tx)
        assert key_values.get(tx, "holdout salt") == "salt"
        assert live_scores.backlog(tx) == 0
        scored = select(tables.Arrival.said).order_by(tables.Arrival.correction_id)
        assert tx.scalars(scored).all() == old.column("arrivals", "said")
    uploads, sides = old.rows["corrections"], {row["id"]: row["role"] for row in old.rows["sources"]}
    for role, pool in zip(Role, pools, strict=True):
        theirs = [row for row in uploads if sides[row["source_id"]] == role]
        assert pool.ids.tolist() == [row["id"] for row in theirs]
        assert pool.pixels.tobytes() == b"".join(row["pixels"] for row in theirs)
        assert pool.labels.tolist() == [row["label"] for row in theirs]
        assert pool.rates.tolist() == [row["rate"] for row in theirs]
    assert sum(counted.values()) == len(uploads)


def test_nights_are_kept(old: Old) -> None:
    """Runs, versions, verdicts and the ledger are what they were, and the ledger is chained from its first line."""
    with old.store.read() as tx:
        past, known, lines = runs.recent(tx), versions.every(tx), versions.ledger(tx)
        chain, outcomes = ledger_chain.lines(tx), versions.outcomes(tx)
        assert ledger_chain.uneven(tx) == []
        assert versions.holder(tx, "cnn") == 2
        assert [slots.get(tx, name).name for name in old.column("slots", "name")] == old.column("slots", "name")
    assert {run.id: run.started_at for run in past} == {row["id"]: utc(row["started_at"]) for row in old.rows["runs"]}
    digests = [(each.number, each.artifact_digest, each.snapshot_digest) for each in reversed(known)]
    snapshots = dict(zip(old.column("snapshots", "id"), old.column("snapshots", "digest"), strict=True))
    assert digests == [(v["number"], v["artifact_digest"], snapshots[v["snapshot_id"]]) for v in old.rows["versions"]]
    assert outcomes == dict.fromkeys(old.column("versions", "number"), "passed")
    assert len(lines) == len(old.rows["moves"])
    assert ledger_check.chained(chain) == []
    assert ledger_check.consistent(chain, known, outcomes, set()) == []


def test_the_feed_is_kept(old: Old) -> None:
    """Roots, signed feeds and withdrawals are the same text: a phone checks their signatures."""
    with old.store.read() as tx:
        assert [each.document.decode() for each in feeds.roots(tx)] == old.column("feed_roots", "document")
        assert [each.document.decode() for each in feeds.entries(tx)] == old.column("feed_entries", "document")
        assert [each.version for each in feeds.withdrawn(tx)] == old.column("withdrawals", "version")
        last = max(old.column("feed_entries", "sequence"), default=0)
        assert feeds.last_sequence(tx, 1) == last


def test_the_service_is_kept(old: Old) -> None:
    """Keys, erasures, events, webhooks, deliveries and signs of life are what they were."""
    with old.store.read() as tx:
        assert [key.name for key in keys.every(tx).values()] == old.column("keys", "name")
        assert [each.kind for each in reversed(outbox.recent(tx))] == old.column("events", "kind")
        assert [hook.url for hook in hooks.live(tx)] == old.column("hooks", "url")
        assert [each.status for each in hooks.deliveries(tx)] == old.column("deliveries", "status")
        assert [beat.holder for beat in health.beats(tx)] == old.column("beats", "holder")
        assert tx.scalars(select(tables.Erasure.name_digest)).all() == old.column("erasures", "name_digest")


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_loop_goes_on(revision: str, empty_url: str, tmp_path: Path) -> None:
    """An upload and a version are added under numbers that were never used, and the ledger takes them."""
    with upgraded(revision, empty_url, tmp_path) as old:
        goes_on(old)


def goes_on(old: Old) -> None:
    """Add an upload and a version."""
    upload = Upload("somebody new", digit(np.eye(28, dtype=np.uint8) * 255), label=3, key="first")
    (receipt,) = accept_many(old.store, [upload], 0.4, NOW)
    assert isinstance(receipt, Receipt)
    assert receipt.id > max(old.column("corrections", "id"))
    assert add_version(old.store).number == 3
    with old.store.read() as tx:
        assert ledger_check.chained(ledger_chain.lines(tx)) == []


def test_what_is_append_only_stays_so(old: Old) -> None:
    """No upgrade loses the triggers that keep versions, the ledger and the feed as they are."""
    for table in APPEND_ONLY & old.rows.keys():
        with pytest.raises((DBAPIError, StoreUnavailable), match="append-only"), old.store.write() as tx:
            tx.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (our own names)
