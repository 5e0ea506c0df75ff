"""Webhooks, and their deliveries: one row for each event and webhook.

A process takes a delivery by raising its ``attempts`` and moving its ``next_at`` past the time that one attempt may
last. So no other process takes it in between, a killed process leaves it for later, and a process that was paused until
another took over finds ``attempts`` changed and does not overwrite the other's result with a failure.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from loop.errors import BadHook
from loop.store import sealing, tables
from loop.store.service import outbox
from loop.store.service.messages import Kind
from loop.store.service.outbox import Event


class Status(StrEnum):
    """The state of a delivery; one that was given up is not attempted again by itself."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook. ``secret`` is empty once it is removed; only ``add`` and ``take`` fill it in."""

    id: int
    url: str
    secret: str
    kinds: tuple[Kind, ...]
    actor: str
    added_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook; ``answer`` is the result of the last attempt."""

    id: int
    event: Event
    hook: Hook
    status: Status
    attempts: int
    next_at: datetime
    answer: str | None
    tried_at: datetime | None


def add(tx: Session, url: str, secret: str, kinds: Collection[Kind], actor: str, now: datetime) -> Hook:
    """Store a webhook; it receives the events that are recorded from now on."""
    since = tx.scalar(select(func.max(tables.Event.id))) or 0
    row = tables.Hook(url=url, secret="", kinds=list(kinds), since=since, actor=actor, added_at=now)
    tx.add(row)
    tx.flush()  # which gives it the number that its secret is sealed for
    row.secret = sealing.seal(tx, secret, purpose_of(row.id))
    tx.flush()
    return _hook(row, secret)


def purpose_of(hook: int) -> str:
    """What a webhook's secret is sealed for."""
    return f"secret of webhook {hook}"


def live(tx: Session) -> list[Hook]:
    """The webhooks that were not removed, oldest first."""
    query = select(tables.Hook).where(tables.Hook.removed_at.is_(None)).order_by(tables.Hook.id)
    return [_hook(row) for row in tx.scalars(query)]


def get(tx: Session, hook: int) -> Hook:
    """A webhook that was not removed. Raises ``BadHook``."""
    return _hook(_row(tx, hook))


def remove(tx: Session, hook: int, now: datetime) -> None:
    """Stop its deliveries, delete its secret, give up what waits for it. Raises ``BadHook``."""
    row = _row(tx, hook)
    row.removed_at, row.secret = now, ""
    tx.execute(
        update(tables.Delivery)
        .where(tables.Delivery.hook_id == hook, tables.Delivery.status == Status.WAITING)
        .values(status=Status.GIVEN_UP, answer="the webhook was removed")
    )


def take(
    tx: Session,
    now: datetime,
    again_at: Callable[[int], datetime],
    without: Collection[int] = (),
    event: int | None = None,
) -> Delivery | None:
    """Take the delivery of the oldest event (or the given one) that is due, leaving out the webhooks ``without``.

    ``again_at(attempts)`` is when it is due again unless this attempt succeeds. None if nothing is due.
    """
    due = select(tables.Delivery).where(
        tables.Delivery.status == Status.WAITING,
        tables.Delivery.next_at <= now,
        tables.Delivery.hook_id.not_in(without),
    )
    if event is not None:
        due = due.where(tables.Delivery.event_id == event)
    oldest = due.order_by(tables.Delivery.event_id, tables.Delivery.id).limit(1)
    found = tx.scalar(oldest.with_for_update(skip_locked=True))
    if found is None:
        return None
    found.attempts += 1
    found.next_at = again_at(found.attempts)
    tx.flush()
    hook = tx.get_one(tables.Hook, found.hook_id)
    return _delivery(tx, found, sealing.opened(tx, hook.secret, purpose_of(hook.id)))


def settle(tx: Session, taken: Delivery, status: Status, answer: str, now: datetime) -> bool:
    """Store the result of an attempt; whether it was stored. A failure is dropped if another process took over."""
    mine = [tables.Delivery.id == taken.id, tables.Delivery.status == Status.WAITING]
    if status != Status.DELIVERED:
        mine.append(tables.Delivery.attempts == taken.attempts)
    result = {"status": status, "answer": answer[:200], "tried_at": now}
    done: Any = tx.execute(update(tables.Delivery).where(*mine).values(**result))
    return isinstance(done, CursorResult) and done.rowcount == 1


def deliveries(tx: Session, hook: int | None = None, status: Status | None = None, limit: int = 20) -> list[Delivery]:
    """The last deliveries (of one webhook, of one status), newest first."""
    query = select(tables.Delivery).order_by(tables.Delivery.id.desc()).limit(limit)
    if hook is not None:
        query = query.where(tables.Delivery.hook_id == hook)
    if status is not None:
        query = query.where(tables.Delivery.status == status)
    return [_delivery(tx, row) for row in tx.scalars(query)]


def again(tx: Session, hook: int, now: datetime) -> int:
    """Retry every delivery that was given up for a webhook; how many. Raises ``BadHook``."""
    _row(tx, hook)
    done: Any = tx.execute(
        update(tables.Delivery)
        .where(tables.Delivery.hook_id == hook, tables.Delivery.status == Status.GIVEN_UP)
        .values(status=Status.WAITING, attempts=0, next_at=now)
    )
    return int(done.rowcount)


def queue(tx: Session) -> tuple[dict[Status, int], datetime | None]:
    """The number of deliveries by status, and the time of the oldest event that still waits."""
    counted = tx.execute(select(tables.Delivery.status, func.count()).group_by(tables.Delivery.status))
    oldest = select(func.min(tables.Delivery.event_id)).where(tables.Delivery.status == Status.WAITING)
    since = tx.scalar(select(tables.Event.happened_at).where(tables.Event.id == oldest.scalar_subquery()))
    return {Status(status): n for status, n in counted}, since


def _row(tx: Session, hook: int) -> tables.Hook:
    row = tx.get(tables.Hook, hook) if 0 < hook < 2**63 else None
    if row is None or row.removed_at is not None:
        raise BadHook(f"no webhook {hook}; `loop webhooks list` shows them")
    return row


def _hook(row: tables.Hook, secret: str = "") -> Hook:
    kinds = tuple(Kind(kind) for kind in row.kinds)
    return Hook(row.id, row.url, secret, kinds, row.actor, row.added_at, row.removed_at)


def _delivery(tx: Session, row: tables.Delivery, secret: str = "") -> Delivery:
    event, hook = tx.get_one(tables.Event, row.event_id), tx.get_one(tables.Hook, row.hook_id)
    return Delivery(
        id=row.id,
        event=outbox.of(event),
        hook=_hook(hook, secret),
        status=Status(row.status),
        attempts=row.attempts,
        next_at=row.next_at,
        answer=row.answer,
        tried_at=row.tried_at,
    )
