"""Open questions about uploads: which of them somebody can still answer, and which have stood too long.

A reviewer is *active* if they answered or skipped a question in the last week. A question is *stuck* if every active
reviewer has answered or skipped it: until somebody else reviews, nobody is handed it. Where no reviewer is active, no
question is stuck: whoever comes back can answer it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.asking.values import Arm, QuestionStatus

ACTIVE = timedelta(days=7)
QUESTION, ANSWER, HOLD = tables.Question, tables.Answer, tables.Hold


@dataclass(frozen=True, slots=True)
class Open:
    """How many questions about uploads are open, and how many of them are stuck."""

    all: int
    stuck: int


def count(tx: Session, now: datetime) -> Open:
    """The open questions about uploads."""
    stuck = func.count().filter(_stuck(tx, now))
    return Open(*tx.execute(select(func.count(), stuck).where(*_open())).one())


def filling(tx: Session, now: datetime, arm: Arm | None = None) -> int:
    """How many open questions, of this arm or of all, fill the queue: those that are not stuck, and those of this UTC
    day. A stuck question keeps its place until midnight, so that skips bring no more than a day's questions.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    fills = select(func.count()).where(*_open(), or_(~_stuck(tx, now), QUESTION.asked_at >= midnight))
    return tx.scalar(fills if arm is None else fills.where(QUESTION.arm == arm)) or 0


def asked_before(tx: Session, moment: datetime, most: int) -> list[int]:
    """Open questions that were asked before then and that no reviewer holds, the oldest first."""
    held = exists().where(HOLD.question_id == QUESTION.id)
    query = select(QUESTION.id).where(*_open(), QUESTION.asked_at < moment, ~held)
    return list(tx.scalars(query.order_by(QUESTION.id).limit(most)))


def _open() -> tuple[ColumnElement[bool], ...]:
    return QUESTION.status == QuestionStatus.OPEN, QUESTION.correction_id.is_not(None)


def _stuck(tx: Session, now: datetime) -> ColumnElement[bool]:
    active = select(ANSWER.reviewer).where(ANSWER.answered_at >= now - ACTIVE).distinct()
    reviewers = tx.scalar(select(func.count()).select_from(active.subquery())) or 0
    theirs = select(func.count()).where(
        ANSWER.question_id == QUESTION.id, ANSWER.undone_at.is_(None), ANSWER.reviewer.in_(active)
    )
    return theirs.scalar_subquery() >= max(reviewers, 1)
