"""The asking policies that were set; the newest counts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from loop.store import tables


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """A policy as plain JSON values, and why it was set."""

    document: dict[str, Any]
    reasons: tuple[str, ...]
    actor: str
    set_at: datetime


def latest(tx: Session) -> SetPolicy | None:
    """The policy that counts, or None if none was ever set."""
    row = tx.scalars(select(tables.AskingPolicy).order_by(tables.AskingPolicy.id.desc()).limit(1)).first()
    return None if row is None else SetPolicy(dict(row.document), tuple(row.reasons), row.actor, row.set_at)


def begun_at(tx: Session) -> datetime | None:
    """When the first policy was set: before, phones sent no drawings."""
    return tx.scalar(select(tables.AskingPolicy.set_at).order_by(tables.AskingPolicy.id).limit(1))


def sending(tx: Session) -> list[tuple[datetime, datetime | None]]:
    """When policies asked for unsure and for other drawings: from, until (None: until now); no two overlap."""
    found: list[tuple[datetime, datetime | None]] = []
    begun: datetime | None = None
    for _, each in after(tx, 0):
        sends = each.document["unsure_ppm"] > 0 and each.document["other_ppm"] > 0
        if sends and begun is None:
            begun = each.set_at
        if not sends and begun is not None:
            found.append((begun, each.set_at))
            begun = None
    return found if begun is None else [*found, (begun, None)]


def after(tx: Session, last: int) -> list[tuple[int, SetPolicy]]:
    """The policies that were set after the one with this id, with their ids, oldest first; all after 0."""
    row = tables.AskingPolicy
    rows = tx.scalars(select(row).where(row.id > last).order_by(row.id))
    return [(each.id, SetPolicy(dict(each.document), tuple(each.reasons), each.actor, each.set_at)) for each in rows]


def add(tx: Session, policy: SetPolicy) -> None:
    """Set a policy."""
    tx.add(
        tables.AskingPolicy(
            document=policy.document, reasons=list(policy.reasons), actor=policy.actor, set_at=policy.set_at
        )
    )
    tx.flush()
