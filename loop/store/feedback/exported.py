"""Stored uploads with their pictures, for study elsewhere: filtered, in parts, in order of arrival.

No column says on which side of the split a source is, directly or by what it implies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.asking.values import Arm
from loop.store.values import Kind, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_ONCE = 2_000
NONE = 255
"""No label, or no prediction."""
UPLOAD, QUESTION, SOURCE = tables.Correction, tables.Question, tables.Source


@dataclass(frozen=True, slots=True)
class Filter:
    """Which uploads; an empty tuple or None: any. ``arms`` selects uploads that were asked about in these arms.

    ``since`` and ``until`` bound the time of arrival: from ``since`` on, before ``until``.
    """

    statuses: tuple[Status, ...] = (Status.ACCEPTED,)
    kinds: tuple[Kind, ...] = ()
    arms: tuple[Arm, ...] = ()
    version: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Uploads; row i of each column belongs to upload i.

    ``images (n, 28, 28) uint8``; ``labels``, ``predicted (n,) uint8``, ``NONE`` if there is none; ``confidences (n,)
    float32``, NaN if unknown; ``versions (n,) int32``, 0 if not stated; ``rates (n,) float64``: the chance with which
    the phone sent it; ``chances (n,) float64``: of the random arm's lottery, else NaN; ``received (n,)
    datetime64[us]``, UTC; texts for ``kinds``, ``statuses``, ``arms`` (empty: nobody was asked) and, only where they
    were asked for, ``sources``. Beside sources the arm ``quarantine`` is left empty: it tells that they teach.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    confidences: NDArray[np.float32]
    versions: NDArray[np.int32]
    rates: NDArray[np.float64]
    chances: NDArray[np.float64]
    received: NDArray[np.datetime64]
    kinds: Sequence[str]
    statuses: Sequence[str]
    arms: Sequence[str]
    sources: Sequence[str] | None


def count(tx: Session, wanted: Filter) -> int:
    """How many uploads the filter selects."""
    query = select(func.count()).select_from(UPLOAD).outerjoin(QUESTION, QUESTION.correction_id == UPLOAD.id)
    return tx.scalar(query.where(*_conditions(wanted))) or 0


def parts(tx: Session, wanted: Filter, *, with_sources: bool = False) -> Iterator[Part]:
    """The selected uploads in parts, at least one, which may be empty. ``tx`` must see one state throughout
    (``Store.frozen``).
    """
    columns: tuple[Any, ...] = (
        UPLOAD.id,
        UPLOAD.pixels,
        UPLOAD.label,
        UPLOAD.predicted,
        UPLOAD.confidence,
        UPLOAD.version,
        UPLOAD.rate,
        QUESTION.chance,
        UPLOAD.received_at,
        UPLOAD.kind,
        UPLOAD.status,
        QUESTION.arm,
        SOURCE.name,
    )
    query = select(*columns).join(SOURCE, SOURCE.id == UPLOAD.source_id)
    query = query.outerjoin(QUESTION, QUESTION.correction_id == UPLOAD.id).where(*_conditions(wanted))
    last = 0
    while True:
        rows = tx.execute(query.where(UPLOAD.id > last).order_by(UPLOAD.id).limit(ROWS_AT_ONCE)).all()
        if rows or not last:
            yield _part(rows, with_sources)
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1].id


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.statuses:
        found.append(UPLOAD.status.in_(wanted.statuses))
    if wanted.kinds:
        found.append(UPLOAD.kind.in_(wanted.kinds))
    if wanted.arms:
        found.append(QUESTION.arm.in_(wanted.arms))
    if wanted.version is not None:
        found.append(UPLOAD.version == wanted.version)
    if wanted.since is not None:
        found.append(UPLOAD.received_at >= wanted.since)
    if wanted.until is not None:
        found.append(UPLOAD.received_at < wanted.until)
    return found


def _part(rows: Sequence[Any], with_sources: bool) -> Part:
    return Part(
        images=np.frombuffer(b"".join(row.pixels for row in rows), np.uint8).reshape(-1, 28, 28),
        labels=np.array([NONE if row.label is None else row.label for row in rows], np.uint8),
        predicted=np.array([NONE if row.predicted is None else row.predicted for row in rows], np.uint8),
        confidences=np.array([np.nan if row.confidence is None else row.confidence for row in rows], np.float32),
        versions=np.array([row.version or 0 for row in rows], np.int32),
        rates=np.array([row.rate for row in rows], np.float64),
        chances=np.array([np.nan if row.chance is None else row.chance for row in rows], np.float64),
        received=np.array([row.received_at.replace(tzinfo=None) for row in rows], "datetime64[us]"),
        kinds=[row.kind for row in rows],
        statuses=[row.status for row in rows],
        arms=["" if with_sources and row.arm == Arm.QUARANTINE else row.arm or "" for row in rows],
        sources=[row.name for row in rows] if with_sources else None,
    )
