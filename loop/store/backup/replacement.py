"""Replace every row of the store, in the transaction of the caller.

Only this module and the migrations change append-only tables. They drop the triggers and create them again in the same
transaction, so that no other transaction ever sees the tables without them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.backup import dump
from loop.store.engine import BUSY_SECONDS
from loop.store.nights import slots
from loop.store.values import RunStatus

MAY_BE_THERE = {"facts"}
"""Tables that may contain rows in a store that counts as empty: one that was only migrated."""


def empty(tx: Session) -> bool:
    """Whether the store contains nothing that a replacement would lose."""
    return not any(n for name, n in dump.counts(tx).items() if name not in MAY_BE_THERE)


@contextmanager
def unlocked(tx: Session) -> Iterator[None]:
    """Lock out other writers, and lift the append-only triggers, until the block ends. ``tx`` must be exclusive."""
    if tx.get_bind().dialect.name == "sqlite":  # BEGIN IMMEDIATE has locked out other writers
        triggers = tx.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _ in triggers:
            tx.execute(text(f'DROP TRIGGER "{name}"'))
        yield
        for _, made in triggers:
            tx.connection().exec_driver_sql(made)
        return
    names = [table.name for table in tables.Base.metadata.sorted_tables]
    tx.execute(
        text(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
    )  # an idle transaction of another client must not block the restore for ever
    tx.execute(text(f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE"))
    for name in names:
        tx.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
    yield
    for name in names:
        tx.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))


def clear(tx: Session) -> None:
    """Delete every row."""
    for table in reversed(tables.Base.metadata.sorted_tables):
        tx.execute(delete(table))


def settle(tx: Session, reason: str, holder: str, number: int, now: datetime) -> None:
    """End every run of the backup, and never again reserve a version number up to ``number``.

    The run that records this is also the record of the restoration.
    """
    for run in tx.scalars(select(tables.Run).where(tables.Run.status == RunStatus.RUNNING)):
        run.status, run.finished_at, run.reason = RunStatus.FAILED, now, f"interrupted: {reason}"
        slots.free(tx, run.id)
    highest = tx.scalar(select(func.max(tables.Run.reserved))) or 0
    tx.add(
        tables.Run(
            family="all",
            kind="dry-run",
            status=RunStatus.SKIPPED,
            reason=reason,
            reserved=number if number > highest else None,
            holder=holder,
            lease_until=now,
            started_at=now,
            finished_at=now,
            seconds={},
        )
    )
    tx.flush()
