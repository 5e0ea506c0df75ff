"""The sources, with the number of their uploads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.errors import UnknownSource
from loop.store import tables
from loop.store.values import Kind, Role, Status


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """One source. ``accepted`` counts its uploads that train or judge, ``last_at`` is None without any upload."""

    name: str
    role: Role
    seen_at: datetime
    uploads: int
    corrections: int
    confirmations: int
    accepted: int
    last_at: datetime | None


def listing(tx: Session, limit: int) -> list[SourceCounts]:
    """At most ``limit`` sources, the one with the newest upload first."""
    upload = tables.Correction
    query = _counts().order_by(func.max(upload.id).desc().nulls_last(), tables.Source.id).limit(limit)
    return [SourceCounts(row[0], Role(row[1]), *row[2:]) for row in tx.execute(query).all()]


def of(tx: Session, name: str) -> SourceCounts:
    """One source. Raises ``UnknownSource``."""
    row = tx.execute(_counts().where(tables.Source.name == name)).first()
    if row is None:
        raise UnknownSource(f"source: expected one that is stored, got {name[:80]!r}; `loop sources` lists them")
    return SourceCounts(row[0], Role(row[1]), *row[2:])


def _counts() -> Any:
    source, upload = tables.Source, tables.Correction
    counts = (
        func.count(upload.id),
        func.count(upload.id).filter(upload.kind == Kind.CORRECTION),
        func.count(upload.id).filter(upload.kind == Kind.CONFIRMATION),
        func.count(upload.id).filter(upload.status == Status.ACCEPTED),
        func.max(upload.received_at),
    )
    query = select(source.name, source.role, source.seen_at, *counts)
    return query.outerjoin(upload, upload.source_id == source.id).group_by(source.id)
