"""Heartbeats of long-running processes: the API, a scheduler. ``service.health`` reads them."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from loop.store import tables

RETENTION = timedelta(days=7)
"""How long the heartbeat of an ended process is kept."""


def beat(tx: Session, holder: str, what: str, now: datetime) -> None:
    """Record that this process is alive."""
    tx.merge(tables.Beat(holder=holder, what=what, beat_at=now))
    tx.execute(delete(tables.Beat).where(tables.Beat.what == what, tables.Beat.beat_at < now - RETENTION))
