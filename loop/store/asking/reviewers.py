"""How reviewers answered: narrow columns of their standing answers."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from loop.store import tables
from loop.store.asking.values import Flag, QuestionStatus, Word

QUESTION, ANSWER = tables.Question, tables.Answer


@dataclass(frozen=True, slots=True)
class Judged:
    """A standing answer beside what is known of its question.

    ``known``: the right digit of a gold question, else None. ``agreed``: the word that closed the question, else None.
    ``others``: how many other reviewers answered it.
    """

    question_id: int
    reviewer: str
    word: Word
    seconds: float | None
    known: int | None
    agreed: Word | None
    others: int


def answered_on_day(tx: Session, reviewer: str, now: datetime) -> int:
    """How many standing answers the reviewer gave on the UTC day of ``now``; skips are none."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    count = select(func.count()).where(ANSWER.reviewer == reviewer, ANSWER.answered_at >= midnight, *_says(ANSWER))
    return tx.scalar(count) or 0


def judged(tx: Session, most: int, reviewer: str | None = None) -> list[Judged]:
    """The last ``most`` standing answers and skips, of one reviewer or of all, newest first."""
    other = aliased(ANSWER)
    others = select(func.count()).where(
        other.question_id == ANSWER.question_id, other.reviewer != ANSWER.reviewer, *_says(other)
    )
    query = (
        select(
            ANSWER.question_id,
            ANSWER.reviewer,
            ANSWER.label,
            ANSWER.flag,
            ANSWER.seconds,
            QUESTION.known,
            QUESTION.status,
            QUESTION.label.label("agreed_label"),
            QUESTION.flag.label("agreed_flag"),
            others.scalar_subquery().label("others"),
        )
        .join(QUESTION, QUESTION.id == ANSWER.question_id)
        .where(ANSWER.undone_at.is_(None))
        .order_by(ANSWER.id.desc())
        .limit(most)
    )
    if reviewer is not None:
        query = query.where(ANSWER.reviewer == reviewer)
    return [
        Judged(
            row.question_id,
            row.reviewer,
            _word(row.label, row.flag),
            row.seconds,
            row.known,
            _word(row.agreed_label, row.agreed_flag) if row.status == QuestionStatus.ANSWERED else None,
            row.others,
        )
        for row in tx.execute(query)
    ]


def _word(label: int | None, flag: str | None) -> Word:
    return Word(label, None if flag is None else Flag(flag))


def _says(answer: type[tables.Answer]) -> tuple[ColumnElement[bool], ...]:
    return answer.undone_at.is_(None), or_(answer.label.is_not(None), answer.flag.is_not(None))
