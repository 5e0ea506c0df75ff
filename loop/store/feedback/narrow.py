"""The uploads that may judge, without their pixels and read in parts, and the pixels of the few that were drawn.

Drawing among a million uploads needs some sixty bytes of each; their pictures would take a gigabyte. Use one
``Store.frozen`` transaction for both: then no upload can vanish in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.asking.values import Arm
from loop.store.feedback import jurors
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Kind, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_ONCE = 10_000
"""Rows that exist as Python objects at a time: about 10 MB."""
PICTURES_AT_ONCE = 1_000
UPLOAD, QUESTION = tables.Correction, tables.Question


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """Uploads, ordered by id; row i of each array belongs to upload i.

    ``ids (n,) int64``, ``sources (n,) int64`` (opaque numbers), ``labels (n,) uint8``, ``corrected (n,) bool`` (False:
    a confirmation), ``has_prediction (n,) bool``, ``versions (n,) int32`` (0: not stated), ``rates (n,) float64`` in
    (0, 1], ``digests (n, 32) uint8`` (SHA-256 of the 784 pixels).
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    labels: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    has_prediction: NDArray[np.bool_]
    versions: NDArray[np.int32]
    rates: NDArray[np.float64]
    digests: NDArray[np.uint8]

    def __len__(self) -> int:
        """The number of uploads."""
        return len(self.ids)


def judging(tx: Session, days: int) -> Iterator[Narrow]:
    """The uploads that may judge, ordered by id, in parts: accepted ones, without a flag, of holdout sources that were
    seen on ``days`` UTC days or that an operator vouches for. ``population.by_lot`` reads drawings of the random arm.
    """
    by_lot = exists().where(QUESTION.correction_id == UPLOAD.id, QUESTION.arm == Arm.RANDOM)
    return map(part, rows(tx, query(days).where(~((UPLOAD.kind == Kind.DRAWING) & by_lot))))


def pixels(tx: Session, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The pictures of these uploads, ``(n, 28, 28) uint8``, in the order of ``ids``.

    Raises ``LookupError``, a bug in our own code, if one is not stored: read ids and pixels in one transaction.
    """
    found = np.zeros((len(ids), 28, 28), np.uint8)
    upload, sought = tables.Correction, given(dialect(tx), id=Id)
    stored = select(upload.id, upload.pixels).join(sought, sought.c.id == upload.id)
    for begin in range(0, len(ids), PICTURES_AT_ONCE):
        some = ids[begin : begin + PICTURES_AT_ONCE].tolist()
        bytes_of = dict(tx.execute(stored, listed({"id": number} for number in some)).all())
        if missing := set(some) - bytes_of.keys():
            raise LookupError(f"corrections: expected pixels of {len(some)} ids, {len(missing)} of them do not exist")
        joined = b"".join(bytes_of[number] for number in some)
        found[begin : begin + len(some)] = np.frombuffer(joined, np.uint8).reshape(-1, 28, 28)
    return found


def query(days: int) -> Select[Any]:
    """The columns of ``part`` of what may judge, whatever its kind, ordered by id."""
    columns: tuple[Any, ...] = (
        UPLOAD.id,
        UPLOAD.source_id,
        UPLOAD.label,
        UPLOAD.kind,
        UPLOAD.predicted.is_not(None),
        UPLOAD.version,
        UPLOAD.rate,
        UPLOAD.digest,
    )
    found = select(*columns).join(tables.Source, tables.Source.id == UPLOAD.source_id)
    found = found.where(jurors.seasoned(days), UPLOAD.status == Status.ACCEPTED, UPLOAD.flag.is_(None))
    return found.order_by(UPLOAD.id)


def rows(tx: Session, which: Select[Any]) -> Iterator[Sequence[Any]]:
    """The rows of a query, ``ROWS_AT_ONCE`` at a time; none is empty."""
    return tx.execute(which.execution_options(yield_per=ROWS_AT_ONCE)).partitions()


def part(found: Sequence[Any]) -> Narrow:
    """Rows of ``query`` as arrays; at least one."""
    ids, sources, labels, kinds, predicted, versions, rates, digests = zip(*found, strict=True)
    return Narrow(
        ids=np.array(ids, np.int64),
        sources=np.array(sources, np.int64),
        labels=np.array(labels, np.uint8),
        corrected=np.array([kind != Kind.CONFIRMATION for kind in kinds], np.bool_),
        has_prediction=np.array(predicted, np.bool_),
        versions=np.array([version or 0 for version in versions], np.int32),
        rates=np.array(rates, np.float64),
        digests=np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32),
    )
