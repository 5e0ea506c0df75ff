"""A small database as a released schema revision left it, as SQL text: ``tests/store/test_released.py`` upgrades it.

Run ``python -m tests.helpers.old_database`` when a revision is released, and commit the file that it writes. The rows
are made by the loop's own code, so a file is true of its revision while that revision is the newest. A file that exists
is never written again. For an older revision (``... old_database 0002``), rows of today fill the columns of that time.
"""

import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, insert, select

from loop.feed import authority
from loop.intake import erasure, live_accuracy
from loop.schedule import slots as due
from loop.store import Store, schema, tables
from loop.store.asking import rounds
from loop.store.asking.rounds import KeptPool, Round
from loop.store.nights import slots
from loop.store.service import heartbeats
from tests.operations.conftest import WHY, Site

FOLDER = Path(__file__).parents[1] / "store" / "released"
MADE_AT = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
ERASURES = "0003"
"""Since this revision a snapshot knows how many of its items were erased."""
BOOKKEEPING = {"alembic_version", "sqlite_sequence"}


def upgrade(store: Store, revision: str) -> None:
    """Migrate up to any revision; ``schema.migrate`` knows only the newest."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def live(site: Site, *, erases: bool) -> None:
    """A home in which each table has rows: two nights' versions, a feed, a webhook, a withdrawal, an erasure."""
    site.upload(people=2, each=2)
    site.upload(people=1, each=2, first=7)
    site.register()
    site.register()
    live_accuracy.score_waiting(site.home, site.now)
    if erases:
        erasure.erase(site.home, "person-1", "ops", site.now)
    site.create_keys()
    site.publish()
    site.connect()
    authority.withdraw(site.home, 1, WHY, site.now)
    with site.home.store.write() as tx:
        slots.add(tx, slots.Slot("clock/cnn/2026-11-02", "cnn", "clock", "clock", site.now + timedelta(days=1)))
        heartbeats.beat(tx, "host:1", "scheduler", site.now)
    due.pause(site.home, WHY, site.now)
    with site.home.store.write() as tx:
        upload = tx.scalars(select(tables.Correction).order_by(tables.Correction.id).limit(1)).one()
        why = [{"signal": "ink", "text": "ink in a corner, where digits have none", "numbers": {"pixels": 16}}]
        row = tables.Quarantine(correction_id=upload.id, reasons=why, found_at=site.now)
        row.decision, row.decided_at, row.decided_by = "accepted", site.now, "ops"
        tx.add(row)
        tx.add(tables.Trust(source_id=upload.source_id, value=0.5, reasons=[], assessed_at=site.now))
        tx.add(tables.Challenge(source_name="s" + "0" * 40, digest="0" * 64, expires_at=site.now))
        attested = tx.get_one(tables.Source, upload.source_id)
        attested.attested_at, attested.attested_key, attested.attested_app = (
            site.now,
            "0" * 64,
            "ABCDE12345.org.example",
        )
        tx.add(tables.Quota(name_digest="0" * 64, day=site.now.date(), used=4))
        tx.add(tables.AskingPolicy(document={"margin_ppm": 1}, reasons=["first"], actor="ops", set_at=site.now))
        asked = {"arm": "asked", "strategy": "margin", "score": 0.5, "reason": "margin", "seed": 0, "quorum": 1}
        gone = {"pool_digest": "0" * 64, "status": "dropped", "asked_at": site.now, "closed_at": site.now}
        columns = KeptPool(
            np.array([upload.id]), np.ones(1), np.zeros(1, np.bool_), np.zeros(1, np.bool_), np.array([upload.id])
        )
        held = Round("cnn", 1, ("0" * 64,), {"count": 1}, 0, 1, 1, "0" * 64, columns, site.now)
        tx.add(tables.Question(id=1, correction_id=upload.id, round_id=rounds.add(tx, held), **asked, **gone))
        tx.flush()
        tx.add(tables.Answer(question_id=1, reviewer="ada", label=7, answered_at=site.now))
        tx.add(tables.Hold(question_id=1, reviewer="ben", expires_at=site.now))


def copy(source: Connection, target: Connection) -> None:
    """Insert the rows of every table that both have, in the columns that both have."""
    theirs, ours = _reflected(source), _reflected(target)
    if target.dialect.name == "postgresql":
        target.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")  # SQLite's times have no zone
    for table in ours.sorted_tables:
        if table.name in theirs.tables and table.name not in BOOKKEEPING:
            shared = [column.name for column in table.columns if column.name in theirs.tables[table.name].columns]
            rows = source.execute(select(*(theirs.tables[table.name].columns[name] for name in shared))).mappings()
            if found := [dict(row) for row in rows]:
                target.execute(insert(table), found)


def _reflected(connection: Connection) -> MetaData:
    found = MetaData()
    found.reflect(connection)
    return found


def dumped(revision: str) -> str:
    """The SQL of a lived-in SQLite database at the revision."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = Site(f"sqlite:///{folder / 'new.db'}", folder, MADE_AT, sealed=False)
        live(site, erases=revision >= ERASURES)
        old = Store(f"sqlite:///{folder / 'old.db'}")
        upgrade(old, revision)
        with site.home.store.engine.connect() as source, old.engine.begin() as target:
            copy(source, target)
        for store in (site.home.store, old):
            store.compact()
            store.close()
        with closing(sqlite3.connect(folder / "old.db")) as connection:
            return "\n".join(connection.iterdump()) + "\n"


def main(revision: str = "") -> None:
    """Write the file of the revision, by default of the newest."""
    revision = revision or schema.head()
    path = FOLDER / f"{revision}.sql"
    with path.open("x", encoding="utf-8") as file:
        file.write(dumped(revision))
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
