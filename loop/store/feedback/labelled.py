"""Every labelled upload, whatever its status, as flat columns without its picture, and every source.

An upload takes 28 bytes, and rows are read in parts. From these a night assesses the sources and chooses its lesson.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.asking.values import QuestionStatus
from loop.store.values import Kind, Role, Status

PART = 10_000  # rows that are in memory as Python objects at once
SECONDS_A_DAY = 86_400
STATUSES = tuple(Status)


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """All sources, ordered by id; row i of each array belongs to source i.

    ``ids (m,) int64``, ``teaches (m,) bool``, ``seen (m,) float64`` (first seen, in days since 1970), ``days_seen
    (m,) int32`` (UTC days on which it stored uploads), ``vouched (m,) bool``, ``attested (m,) bool``.
    """

    ids: NDArray[np.int64]
    teaches: NDArray[np.bool_]
    seen: NDArray[np.float64]
    days_seen: NDArray[np.int32]
    vouched: NDArray[np.bool_]
    attested: NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of sources."""
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Labelled uploads, ordered by id; row i of each array belongs to upload i.

    ``ids (n,) int64``, ``sources (n,) int32`` (rows of ``Sources``), ``labels (n,) uint8``, ``corrected (n,) bool``,
    ``digests (n,) uint64`` (the first eight bytes of the image's SHA-256), ``days (n,) float32`` (received, in days
    since 1970), ``statuses (n,) uint8`` (places in ``STATUSES``).
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int32]
    labels: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    digests: NDArray[np.uint64]
    days: NDArray[np.float32]
    statuses: NDArray[np.uint8]

    def __len__(self) -> int:
        """The number of uploads."""
        return len(self.ids)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Columns":
        """The uploads at these rows."""
        return Columns(*(getattr(self, field.name)[rows] for field in fields(self)))

    def are(self, *statuses: Status) -> NDArray[np.bool_]:
        """Which uploads have one of these statuses."""
        found: NDArray[np.bool_] = np.isin(self.statuses, [STATUSES.index(status) for status in statuses])
        return found


def read(tx: Session) -> tuple[Sources, Columns]:
    """All sources and all uploads with a label. ``tx`` must see one state throughout (``Store.frozen``)."""
    sources = _sources(tx)
    upload = tables.Correction
    columns = (upload.id, upload.source_id, upload.label, upload.kind, upload.digest, upload.received_at)
    labelled = upload.label.is_not(None)
    count = tx.scalar(select(func.count()).where(labelled)) or 0
    # Each column is one array from the start: joining parts would need every column twice.
    whole = tuple(np.empty(count, each.dtype) for each in _part([], sources.ids))
    begin = 0
    for rows in _paged(tx, select(*columns, upload.status).where(labelled), upload.id):
        for array, part in zip(whole, _part(rows, sources.ids), strict=True):
            array[begin : begin + len(rows)] = part
        begin += len(rows)
    return sources, Columns(*whole)


def reviewed(tx: Session) -> NDArray[np.int64]:
    """The uploads whose label reviewers gave or confirmed, ``(n,) int64`` ids, ascending."""
    upload, question, quarantine = tables.Correction, tables.Question, tables.Quarantine
    answered = select(upload.id).join(question, question.correction_id == upload.id)
    answered = answered.where(question.status == QuestionStatus.ANSWERED, question.label == upload.label)
    accepted = select(quarantine.correction_id).where(quarantine.decision == "accepted")
    return np.unique(np.array(tx.scalars(union(answered, accepted)).all(), np.int64))


def _sources(tx: Session) -> Sources:
    source = tables.Source
    columns = (source.id, source.role, source.seen_at, source.days_seen, source.vouched_at, source.attested_at)
    parts = [
        (
            np.array([row.id for row in rows], np.int64),
            np.array([row.role == Role.TRAIN for row in rows], np.bool_),
            np.array([row.seen_at.timestamp() / SECONDS_A_DAY for row in rows], np.float64),
            np.array([row.days_seen for row in rows], np.int32),
            np.array([row.vouched_at is not None for row in rows], np.bool_),
            np.array([row.attested_at is not None for row in rows], np.bool_),
        )
        for rows in _paged(tx, select(*columns), source.id)
    ]
    if not parts:
        return Sources(np.empty(0, np.int64), *(np.empty(0, kind) for kind in (bool, float, np.int32, bool, bool)))
    return Sources(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _part(rows: Sequence[Any], source_ids: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    first_bytes = bytes.fromhex("".join(row.digest[:16] for row in rows))
    return (
        np.array([row.id for row in rows], np.int64),
        np.searchsorted(source_ids, np.array([row.source_id for row in rows], np.int64)).astype(np.int32),
        np.array([row.label for row in rows], np.uint8),
        np.array([row.kind != Kind.CONFIRMATION for row in rows], np.bool_),
        np.frombuffer(first_bytes, ">u8").astype(np.uint64),
        np.array([row.received_at.timestamp() / SECONDS_A_DAY for row in rows], np.float32),
        np.array([STATUSES.index(Status(row.status)) for row in rows], np.uint8),
    )


def _paged(tx: Session, query: Any, key: Any) -> Iterator[Sequence[Any]]:
    """The rows of a query in parts, ordered by its first column ``key``, which is an id."""
    last = 0
    while rows := tx.execute(query.where(key > last).order_by(key).limit(PART)).all():
        yield rows
        last = rows[-1].id
