"""Rows that nobody will ask for again: counted, and deleted a few at a time, so that no writer waits long.

What is asked of an old row: a delivery must have been taken or given up, an event must have no delivery left, a replay
only answers a resent upload (the upload keeps its own key), a process that is gone gives no more signs of life.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.tables import Base

ROWS_PER_DELETE = 2_000
"""Rows a transaction."""

Where = Callable[[datetime], ColumnElement[bool]]


def _taken(before: datetime) -> ColumnElement[bool]:
    delivery = tables.Delivery
    return (delivery.status != "waiting") & (func.coalesce(delivery.tried_at, delivery.next_at) < before)


def _told(before: datetime) -> ColumnElement[bool]:
    left = select(tables.Delivery.id).where(tables.Delivery.event_id == tables.Event.id)
    return (tables.Event.happened_at < before) & ~left.exists()


EXPIRED: dict[str, tuple[type[Base], Where]] = {
    "deliveries": (tables.Delivery, _taken),
    "events": (tables.Event, _told),
    "replays": (tables.Replay, lambda before: tables.Replay.answered_at < before),
    "signs of life": (tables.Beat, lambda before: tables.Beat.beat_at < before),
}
"""In the order in which they go: events after the deliveries that point at them."""


def count(tx: Session, what: str, before: datetime) -> int:
    """How many rows of this kind are older than ``before`` and nobody's."""
    kind, old = EXPIRED[what]
    return tx.scalar(select(func.count()).select_from(kind).where(old(before))) or 0


def drop(tx: Session, what: str, before: datetime) -> int:
    """Delete at most ``FEW`` of them; how many."""
    kind, old = EXPIRED[what]
    keys: list[Any] = [getattr(kind, column.key) for column in kind.__table__.primary_key]
    few = tx.execute(select(*keys).where(old(before)).limit(ROWS_PER_DELETE)).all()
    if few:
        tx.execute(delete(kind).where(tuple_(*keys).in_(few)))
    return len(few)
