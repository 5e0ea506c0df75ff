"""Corrections as arrays: an upload is stored once, by (source, key), and by (source, image, label)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import String, func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Kind, Pool, Role, Status

PART = 2_000  # pictures that are in memory twice at once


def pool(tx: Session, role: Role) -> Pool:
    """Every accepted upload of the sources on one side, ordered by id."""
    columns = (
        tables.Correction.id,
        tables.Correction.source_id,
        tables.Correction.pixels,
        tables.Correction.label,
        tables.Correction.kind,
        tables.Correction.predicted,
        tables.Correction.rate,
    )
    rows = tx.execute(
        select(*columns)
        .join(tables.Source)
        .where(tables.Source.role == role, tables.Correction.status == Status.ACCEPTED)
        .order_by(tables.Correction.id)
    ).all()
    return _pool(rows)


def chosen(tx: Session, ids: NDArray[np.int64]) -> Pool:
    """Those of these uploads that are still accepted, with their pictures, ordered by id."""
    return _chosen(tx, ids, lambda row: row.status == Status.ACCEPTED)


def pictures(tx: Session, ids: NDArray[np.int64]) -> Pool:
    """Those of these uploads that are still stored, whatever their status, ordered by id."""
    return _chosen(tx, ids, lambda row: row.label is not None)


def _chosen(tx: Session, ids: NDArray[np.int64], which: Callable[[Any], bool]) -> Pool:
    upload, parts = tables.Correction, []
    sought = given(dialect(tx), id=Id)
    names = (upload.id, upload.source_id, upload.pixels, upload.label, upload.kind, upload.predicted, upload.rate)
    # No other condition and no order: with either, SQLite would compare every upload with every id.
    query = select(*names, upload.status).join(sought, sought.c.id == upload.id)
    ordered = np.sort(ids)
    for start in range(0, len(ordered), PART):
        part = ordered[start : start + PART]
        rows = tx.execute(query, listed({"id": int(number)} for number in part)).all()
        parts.append(_pool([row for row in rows if which(row)]))
    return joined(parts)


def joined(parts: Sequence[Pool]) -> Pool:
    """Several pools as one, ordered by id."""
    if not parts:
        return _pool([])
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in Pool.__slots__)
    whole = Pool(*columns)
    return whole[np.argsort(whole.ids)]


def ids_of_sources(tx: Session, names: Collection[str]) -> list[int]:
    """The ids of these sources; names that are unknown are left out."""
    sought = given(dialect(tx), name=String())
    query = select(tables.Source.id).join(sought, sought.c.name == tables.Source.name)
    return list(tx.scalars(query, listed({"name": name} for name in names)))


def counts(tx: Session) -> dict[tuple[Role, Kind, Status], int]:
    """The number of uploads by side, kind and status."""
    key = (tables.Source.role, tables.Correction.kind, tables.Correction.status)
    rows = tx.execute(select(*key, func.count()).join(tables.Source).group_by(*key))
    return {(Role(role), Kind(kind), Status(status)): n for role, kind, status, n in rows}


def _pool(rows: Sequence[Any]) -> Pool:
    pixels = np.frombuffer(b"".join(row.pixels for row in rows), np.uint8)
    return Pool(
        ids=np.array([row.id for row in rows], np.int64),
        sources=np.array([row.source_id for row in rows], np.int64),
        pixels=pixels.reshape(-1, 28, 28),
        labels=np.array([row.label for row in rows], np.uint8),
        corrected=np.array([row.kind != Kind.CONFIRMATION for row in rows], np.bool_),
        has_prediction=np.array([row.predicted is not None for row in rows], np.bool_),
        rates=np.array([row.rate for row in rows], np.float64),
    )
