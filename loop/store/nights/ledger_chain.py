"""The ledger with its hash chain, and the rows that must agree with it: for ``loop verify``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.nights.versions import CHAINED_COLUMNS
from loop.store.values import Status


@dataclass(frozen=True, slots=True)
class Line:
    """A ledger entry: its chained columns, the digest of the artifact that it points at, its link, its family."""

    id: int
    says: Mapping[str, Any]
    artifact: str | None
    family: str | None
    """Of the version that the entry points at; None if that version does not exist."""
    link: str


@dataclass(frozen=True, slots=True)
class Items:
    """A snapshot with another number of items than expected."""

    snapshot: int
    expected: int
    found: int


def lines(tx: Session) -> list[Line]:
    """The whole ledger, oldest first."""
    query = (
        select(tables.Move, tables.Version.artifact_digest, tables.Version.family)
        .join(tables.Version, tables.Version.number == tables.Move.after, isouter=True)
        .order_by(tables.Move.id)
    )
    return [
        Line(row.id, {name: getattr(row, name) for name in CHAINED_COLUMNS}, artifact, family, row.link)
        for row, artifact, family in tx.execute(query)
    ]


def uneven(tx: Session) -> list[Items]:
    """The snapshots with a number of items other than their size minus the uploads that were erased or withdrawn."""
    item, upload = tables.SnapshotItem, tables.Correction
    kept = select(item.snapshot_id, func.count().label("n")).join(upload, upload.id == item.correction_id)
    found = kept.where(upload.status != Status.WITHDRAWN).group_by(item.snapshot_id).subquery()
    n = func.coalesce(found.c.n, 0)
    expected = tables.Snapshot.size - tables.Snapshot.erased
    query = (
        select(tables.Snapshot.id, expected, n)
        .join(found, found.c.snapshot_id == tables.Snapshot.id, isouter=True)
        .where(n != expected)
        .order_by(tables.Snapshot.id)
    )
    return [Items(*row) for row in tx.execute(query)]
