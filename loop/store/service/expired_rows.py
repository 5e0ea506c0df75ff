"""Rows past their retention: counted, and deleted a few at a time, so that no writer waits long.

Beside its age, a delivery must be delivered or given up, and an event must have no delivery left. A replay only
answers a resent upload (the upload keeps its own key). A heartbeat of an ended process is no longer
needed, nor the quota that an erased source had used on a day that is over. Erasures
are never deleted: they refuse late uploads, and keep a restored backup from bringing a source back.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.tables import Base

ROWS_PER_DELETE = 2_000
"""Rows deleted by one transaction."""

Where = Callable[[datetime], ColumnElement[bool]]


def _settled(before: datetime) -> ColumnElement[bool]:
    delivery = tables.Delivery
    return (delivery.status != "waiting") & (func.coalesce(delivery.tried_at, delivery.next_at) < before)


def _delivered(before: datetime) -> ColumnElement[bool]:
    left = select(tables.Delivery.id).where(tables.Delivery.event_id == tables.Event.id)
    return (tables.Event.happened_at < before) & ~left.exists()


EXPIRED: dict[str, tuple[type[Base], Where]] = {
    "deliveries": (tables.Delivery, _settled),
    "events": (tables.Event, _delivered),
    "replays": (tables.Replay, lambda before: tables.Replay.answered_at < before),
    "quotas": (tables.Quota, lambda before: tables.Quota.day < before.date()),
    "signs of life": (tables.Beat, lambda before: tables.Beat.beat_at < before),
}
"""In the order of deletion: events after the deliveries that point at them."""


def count(tx: Session, what: str, before: datetime) -> int:
    """How many rows of this kind are older than ``before`` and no longer needed."""
    kind, old = EXPIRED[what]
    return tx.scalar(select(func.count()).select_from(kind).where(old(before))) or 0


def drop(tx: Session, what: str, before: datetime) -> int:
    """Delete at most ``ROWS_PER_DELETE`` of them; the number deleted."""
    kind, old = EXPIRED[what]
    keys: list[Any] = [getattr(kind, column.key) for column in kind.__table__.primary_key]
    few = tx.execute(select(*keys).where(old(before)).limit(ROWS_PER_DELETE)).all()
    if few:
        tx.execute(delete(kind).where(tuple_(*keys).in_(few)))
    return len(few)
