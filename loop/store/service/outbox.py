"""Events, and the outbox of deliveries that comes with them.

``record`` is called in the transaction that makes the event's fact. It also writes one waiting delivery for each hook
that asked for the kind: whoever reads the outbox later never has to guess which events it has not seen yet.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.service.messages import Body, Kind


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    id: int
    kind: Kind
    body: Body
    happened_at: datetime


def record(tx: Session, kind: Kind, body: Body, now: datetime) -> Event:
    """Write an event down, and who is to hear of it."""
    live = tx.execute(select(tables.Hook.id, tables.Hook.kinds).where(tables.Hook.removed_at.is_(None)))
    return record_for(tx, kind, body, [hook for hook, kinds in live if kind in kinds], now)


def record_for(tx: Session, kind: Kind, body: Body, hooks: list[int], now: datetime) -> Event:
    """Write an event down for these hooks, whatever they asked for."""
    event = tables.Event(kind=kind, body=body, happened_at=now)
    tx.add(event)
    tx.flush()
    for hook in hooks:
        tx.add(tables.Delivery(event_id=event.id, hook_id=hook, status="waiting", next_at=now))
    tx.flush()
    return Event(event.id, kind, body, now)


def recent(tx: Session, kind: Kind | None = None, limit: int = 20) -> list[Event]:
    """The last events (of one kind), newest first."""
    query = select(tables.Event).order_by(tables.Event.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(tables.Event.kind == kind)
    return [of(row) for row in tx.scalars(query)]


def of(row: Any) -> Event:
    """The value of a row."""
    return Event(row.id, Kind(row.kind), row.body, row.happened_at)
