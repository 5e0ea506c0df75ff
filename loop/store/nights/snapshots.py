"""Frozen training sets: which corrections, with which weights."""

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session, aliased

from loop.store import tables
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Pool, RunStatus, Status


def keep(tx: Session, digest: str, corpus_digest: str, pool: Pool, weights: NDArray[np.float64], now: datetime) -> int:
    """The id of the snapshot with this digest, stored if it is new.

    A snapshot that lost items is completed again: other uploads have the same images, labels and weights. ``tx`` must
    be exclusive, and all uploads ``accepted`` in it.
    """
    row = tx.scalar(select(tables.Snapshot).where(tables.Snapshot.digest == digest))
    if row is not None and row.erased == 0:
        return row.id
    if row is None:
        row = tables.Snapshot(digest=digest, corpus_digest=corpus_digest, size=len(pool), frozen_at=now)
        tx.add(row)
    else:
        tx.execute(delete(tables.SnapshotItem).where(tables.SnapshotItem.snapshot_id == row.id))
        row.erased = 0
    tx.flush()
    items = [
        {"snapshot_id": row.id, "correction_id": int(i), "label": int(label), "weight": float(weight)}
        for i, label, weight in zip(pool.ids, pool.labels, weights, strict=True)
    ]
    if items:
        tx.execute(insert(tables.SnapshotItem), items)
    return row.id


def items(tx: Session, snapshot_id: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ids of a snapshot's uploads that were not erased, ascending, and their weights."""
    item = tables.SnapshotItem
    query = select(item.correction_id, item.weight).where(item.snapshot_id == snapshot_id).order_by(item.correction_id)
    rows = tx.execute(query).all()
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)


def accepted(tx: Session, ids: NDArray[np.int64]) -> list[int]:
    """Those of these uploads that are still there and accepted."""
    return [number for number, status in _statuses(tx, ids) if status == Status.ACCEPTED]


def kept(tx: Session, ids: NDArray[np.int64]) -> list[int]:
    """Those of these uploads that are still there and were not withdrawn."""
    return [number for number, status in _statuses(tx, ids) if status != Status.WITHDRAWN]


def _statuses(tx: Session, ids: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Id and status of those of these uploads that are stored.

    The status is no condition of the query: SQLite would walk through all accepted uploads, and for each through the
    ids.
    """
    upload, sought = tables.Correction, given(dialect(tx), id=Id)
    query = select(upload.id, upload.status).join(sought, sought.c.id == upload.id)
    return [(row[0], row[1]) for row in tx.execute(query, listed({"id": int(number)} for number in ids))]


def erased(tx: Session, snapshot_id: int) -> int:
    """How many uploads of this snapshot were erased or withdrawn after it was frozen."""
    return tx.scalar(select(tables.Snapshot.erased).where(tables.Snapshot.id == snapshot_id)) or 0


def untaught(tx: Session, family: str, snapshot_id: int) -> int:
    """How many uploads of this snapshot no finished night of the family has taught yet."""
    item, earlier = aliased(tables.SnapshotItem), aliased(tables.SnapshotItem)
    taught = (
        select(earlier.correction_id)
        .join(tables.Run, tables.Run.snapshot_id == earlier.snapshot_id)
        .where(
            earlier.correction_id == item.correction_id,
            tables.Run.family == family,
            tables.Run.kind == "night",
            tables.Run.status == RunStatus.FINISHED,
        )
    )
    found = select(func.count()).select_from(item).where(item.snapshot_id == snapshot_id, ~taught.exists())
    return tx.scalar(found) or 0
