"""The drawings that wait for a question: narrow columns first, pixels only of those that are scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from loop.store import tables
from loop.store.asking.values import QuestionStatus
from loop.store.values import Kind, Role, Status

ROWS_AT_ONCE = 10_000
UPLOAD, QUESTION, SOURCE = tables.Correction, tables.Question, tables.Source


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Drawings without a label and without a question, by id; row i of each array belongs to drawing i.

    ``ids (n,) int64``, ``sources (n,) int64``, ``rates (n,) float64``, ``drawn (n,) bool``: its lottery was held;
    ``received (n,) float64`` in seconds since 1970, ``digests (n, 32) uint8``: SHA-256 of the pixels, ``repeats (n,)
    bool``: another upload with the same pixels was asked about, or has a label that counts.
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    rates: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    received: NDArray[np.float64]
    digests: NDArray[np.uint8]
    repeats: NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of drawings."""
        return len(self.ids)


def waiting(tx: Session) -> Waiting:
    """Every drawing that waits for a question. Flagged ones take part in no lottery: their claims cannot be true."""
    query = select(
        UPLOAD.id,
        UPLOAD.source_id,
        UPLOAD.rate,
        UPLOAD.lottery.is_not(None) | UPLOAD.flag.is_not(None),
        UPLOAD.received_at,
        UPLOAD.digest,
        _repeats(),
    )
    query = query.where(*_waits()).order_by(UPLOAD.id)
    parts = [_columns([])]
    parts += map(_columns, tx.execute(query.execution_options(yield_per=ROWS_AT_ONCE)).partitions())
    return Waiting(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Waiting)))


def _columns(rows: Sequence[Any]) -> Waiting:
    ids, sources, rates, drawn, received, digests, repeats = zip(*rows, strict=True) if rows else ((),) * 7
    return Waiting(
        np.array(ids, np.int64),
        np.array(sources, np.int64),
        np.array(rates, np.float64),
        np.array(drawn, np.bool_),
        np.array([moment.timestamp() for moment in received], np.float64),
        np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32),
        np.array(repeats, np.bool_),
    )


def hold_lottery(tx: Session, ids: NDArray[np.int64], chances: NDArray[np.float64]) -> None:
    """Record that these drawings took part in their lottery, with these chances. Left out are those that no longer wait
    without a question, and those that took part in another one.
    """
    mine = update(UPLOAD).where(UPLOAD.id == bindparam("number"), UPLOAD.lottery.is_(None), *_waits())
    mine = mine.values(lottery=bindparam("chance"))
    for begin in range(0, len(ids), ROWS_AT_ONCE):
        part = slice(begin, begin + ROWS_AT_ONCE)
        pairs = zip(ids[part].tolist(), chances[part].tolist(), strict=True)
        tx.connection().execute(mine, [{"number": number, "chance": chance} for number, chance in pairs])


def unasked(tx: Session, ids: NDArray[np.int64], *, undrawn: bool = False) -> set[int]:
    """Those of these drawings that still wait without a question, or with ``undrawn`` also without a lottery."""
    found: set[int] = set()
    which = (*_waits(), UPLOAD.lottery.is_(None)) if undrawn else _waits()
    for part in _parts(ids):
        found |= set(tx.scalars(select(UPLOAD.id).where(UPLOAD.id.in_(part), *which)))
    return found


def drop(tx: Session, ids: NDArray[np.int64]) -> int:
    """Delete drawings that still wait without a question; the number of them. ``tx`` must be exclusive.

    The first upload of a source under the policy only stops waiting (``noted``): it shows since when the source follows
    the policy (``feedback/population``). That holds for both sides of the split, or a phone could tell which one it is.
    """
    dropped = 0
    for part in _parts(ids):
        waits = sorted(unasked(tx, np.array(part, np.int64)))
        kept = _firsts(tx, waits)
        gone = [number for number in waits if number not in kept]
        tx.execute(update(UPLOAD).where(UPLOAD.id.in_(kept)).values(status=Status.NOTED))
        tx.execute(update(UPLOAD).where(UPLOAD.supersedes.in_(gone)).values(supersedes=None))
        tx.execute(delete(tables.Replay).where(tables.Replay.correction_id.in_(gone)))
        tx.execute(delete(UPLOAD).where(UPLOAD.id.in_(gone)))
        dropped += len(waits)
    return dropped


def _firsts(tx: Session, ids: Sequence[int]) -> set[int]:
    """Those of these drawings that are the first upload of their source under the policy."""
    earlier = aliased(tables.Correction)
    before = exists().where(
        earlier.source_id == UPLOAD.source_id,
        earlier.id < UPLOAD.id,
        earlier.kind.in_((Kind.DRAWING, Kind.ASKED)),
    )
    return set(tx.scalars(select(UPLOAD.id).where(UPLOAD.id.in_(ids), ~before)))


def any_waiting(tx: Session) -> bool:
    """Whether a drawing waits for a question."""
    return bool(tx.scalar(select(exists().where(*_waits()))))


def open_questions(tx: Session) -> int:
    """How many questions about drawings still wait for answers."""
    found = select(func.count()).where(QUESTION.status == "open", QUESTION.correction_id.is_not(None))
    return tx.scalar(found) or 0


def asked_since(tx: Session, moment: datetime) -> int:
    """How many questions about drawings were asked since then."""
    found = select(func.count()).where(QUESTION.asked_at >= moment, QUESTION.correction_id.is_not(None))
    return tx.scalar(found) or 0


def labelled_ids(tx: Session, most: int) -> NDArray[np.int64]:
    """The newest accepted uploads of teaching sources: what the model has been taught."""
    query = (
        select(UPLOAD.id)
        .join(SOURCE)
        .where(SOURCE.role == Role.TRAIN, UPLOAD.status == Status.ACCEPTED)
        .order_by(UPLOAD.id.desc())
        .limit(most)
    )
    return np.array(tx.scalars(query).all(), np.int64)


def phone_margins(tx: Session, since: datetime) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the drawings that phones chose to send since then: the difference of the two best, and the chance of sending.

    An answer of the user arrives instead of its drawing, and states the best digit's probability p only. Its margin is
    taken as the least that p allows, 2p - 1: its user was asked about two digits, which share nearly all of it.
    """
    drawing = aliased(tables.Correction)
    sent_before = exists().where(drawing.id == UPLOAD.supersedes, drawing.kind == Kind.DRAWING)
    query = select(UPLOAD.confidence, UPLOAD.runner_up_confidence, UPLOAD.rate, UPLOAD.kind).where(
        UPLOAD.received_at >= since,
        or_(
            and_(UPLOAD.kind == Kind.DRAWING, UPLOAD.runner_up_confidence.is_not(None)),
            and_(UPLOAD.kind == Kind.ASKED, ~sent_before),  # else its drawing counts already
        ),
    )
    rows: Sequence[Any] = tx.execute(query).all()
    margins = [
        best - second if kind == Kind.DRAWING else max(2 * (best or 0.0) - 1, 0.0) for best, second, _, kind in rows
    ]
    return np.array(margins, np.float64), np.array([row.rate for row in rows], np.float64)


def _waits() -> tuple[ColumnElement[bool], ...]:
    asked = exists().where(QUESTION.correction_id == UPLOAD.id)
    return UPLOAD.status == Status.PENDING, UPLOAD.kind == Kind.DRAWING, ~asked


def _repeats() -> ColumnElement[bool]:
    other = aliased(UPLOAD)
    asked = exists().where(QUESTION.correction_id == other.id, QUESTION.status != QuestionStatus.DROPPED)
    same = other.digest == UPLOAD.digest, other.id != UPLOAD.id
    return exists().where(*same, or_(other.status == Status.ACCEPTED, asked))


def _parts(ids: NDArray[np.int64], size: int = 500) -> Iterator[list[int]]:
    for begin in range(0, len(ids), size):
        yield ids[begin : begin + size].tolist()
