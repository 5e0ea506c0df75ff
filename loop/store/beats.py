"""Signs of life of long-running processes: the API, a scheduler."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from loop.store import tables

KEPT = timedelta(days=7)
"""How long a process that is gone is remembered."""


def beat(tx: Session, holder: str, what: str, now: datetime) -> None:
    """This process lives."""
    tx.merge(tables.Beat(holder=holder, what=what, beat_at=now))
    tx.execute(delete(tables.Beat).where(tables.Beat.what == what, tables.Beat.beat_at < now - KEPT))


def every(tx: Session, what: str) -> dict[str, datetime]:
    """When each process of this kind last gave a sign of life, the latest first."""
    rows = tx.execute(
        select(tables.Beat.holder, tables.Beat.beat_at)
        .where(tables.Beat.what == what)
        .order_by(tables.Beat.beat_at.desc())
    )
    return {row.holder: row.beat_at for row in rows}
