"""Events, and the outbox of their deliveries.

``record`` is called in the transaction that causes the event. It also stores one waiting delivery for each webhook
that subscribes to the kind, so that a reader of the outbox never has to work out which events are new.
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
    """A recorded event."""

    id: int
    kind: Kind
    body: Body
    happened_at: datetime


def record(tx: Session, kind: Kind, body: Body, now: datetime) -> Event:
    """Store an event, and a delivery for each webhook that subscribes to its kind."""
    live = tx.execute(select(tables.Hook.id, tables.Hook.kinds).where(tables.Hook.removed_at.is_(None)))
    return record_for(tx, kind, body, [hook for hook, kinds in live if kind in kinds], now)


def record_for(tx: Session, kind: Kind, body: Body, hooks: list[int], now: datetime) -> Event:
    """Store an event, and a delivery for each of these webhooks, whatever kinds they subscribe to."""
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
    """A row as a value."""
    return Event(row.id, Kind(row.kind), row.body, row.happened_at)
