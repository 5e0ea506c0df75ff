"""Drawings that wait for a label, and what an answer makes of them."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Kind, Status

UPLOAD, QUARANTINE = tables.Correction, tables.Quarantine


def label(tx: Session, correction_id: int, digit: int) -> None:
    """A drawing is accepted with this label."""
    _set(tx, correction_id, label=digit, status=Status.ACCEPTED)


def note(tx: Session, correction_id: int) -> None:
    """A drawing is no single digit: it is kept, and never taught."""
    _set(tx, correction_id, label=None, status=Status.NOTED)


def note_unanswered(tx: Session, question_id: int) -> None:
    """The drawing of this question, if it still waits, is kept and never taught. Any other upload stays as it is."""
    its = select(tables.Question.correction_id).where(tables.Question.id == question_id).scalar_subquery()
    mine = update(UPLOAD).where(UPLOAD.id == its, UPLOAD.kind == Kind.DRAWING, UPLOAD.status == Status.PENDING)
    tx.execute(mine.values(status=Status.NOTED), execution_options={"synchronize_session": False})


def wait(tx: Session, correction_id: int) -> None:
    """A drawing waits for a label again."""
    _set(tx, correction_id, label=None, status=Status.PENDING)


def judge(tx: Session, correction_id: int, digit: int | None, now: datetime) -> None:
    """An upload that was held back or doubted: accepted if this is the digit that it claims, else rejected."""
    claimed = tx.scalar(select(UPLOAD.label).where(UPLOAD.id == correction_id))
    right = digit is not None and digit == claimed
    _set(tx, correction_id, status=Status.ACCEPTED if right else Status.REJECTED)
    decision = {"decision": "accepted" if right else "rejected", "decided_at": now, "decided_by": "reviewers"}
    tx.execute(update(QUARANTINE).where(QUARANTINE.correction_id == correction_id).values(**decision))


def doubt(tx: Session, correction_id: int) -> None:
    """An upload is in quarantine again if it was held back, else accepted."""
    held = tx.scalar(select(exists().where(QUARANTINE.correction_id == correction_id)))
    _set(tx, correction_id, status=Status.QUARANTINED if held else Status.ACCEPTED)
    undecided = {"decision": None, "decided_at": None, "decided_by": None}
    tx.execute(update(QUARANTINE).where(QUARANTINE.correction_id == correction_id).values(**undecided))


def taught(tx: Session, correction_id: int) -> bool:
    """Whether a snapshot contains it."""
    item = tables.SnapshotItem
    return bool(tx.scalar(select(exists().where(item.correction_id == correction_id))))


def _set(tx: Session, correction_id: int, **columns: object) -> None:
    tx.execute(update(UPLOAD).where(UPLOAD.id == correction_id).values(**columns))
