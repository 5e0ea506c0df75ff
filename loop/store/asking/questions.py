"""Questions, who holds them, and the answers to them. Transactions that change any of it must be exclusive."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from loop.store import tables
from loop.store.asking.values import Arm, Flag, GivenAnswer, Question, QuestionStatus, Word
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Status

QUESTION, ANSWER, HOLD, UPLOAD = tables.Question, tables.Answer, tables.Hold, tables.Correction


def add(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store new questions; each row has the columns of the table except ``id``."""
    if rows:
        tx.execute(insert(QUESTION), list(rows))


def unasked(tx: Session, ids: Collection[int]) -> set[int]:
    """Those of these uploads that are accepted and have no question."""
    sought = given(dialect(tx), id=Id)
    query = select(UPLOAD.id).join(sought, sought.c.id == UPLOAD.id)
    query = query.where(UPLOAD.status == Status.ACCEPTED, ~exists().where(QUESTION.correction_id == UPLOAD.id))
    return set(tx.scalars(query, listed({"id": number} for number in ids)))


def get(tx: Session, question_id: int) -> Question | None:
    """A question with its digit."""
    found = _questions(tx, QUESTION.id == question_id, 1)
    return found[0] if found else None


def open_for(tx: Session, reviewer: str, most: int, now: datetime) -> list[Question]:
    """Open questions that still have a place for this reviewer, oldest first; gold questions are not among them.

    A question has a place while its standing answers and the live holds of others are fewer than its quorum. What the
    reviewer answered or skipped is not asked of them again. What they hold already is handed out again.
    """
    answered = select(func.count()).where(_standing(), ANSWER.question_id == QUESTION.id, _says_something())
    other = aliased(HOLD)
    held = select(func.count()).where(
        other.question_id == QUESTION.id, other.reviewer != reviewer, other.expires_at > now
    )
    free = answered.scalar_subquery() + held.scalar_subquery() < QUESTION.quorum
    mine = exists().where(_standing(), ANSWER.question_id == QUESTION.id, ANSWER.reviewer == reviewer)
    return _questions(tx, and_(QUESTION.status == QuestionStatus.OPEN, QUESTION.arm != Arm.GOLD, free, ~mine), most)


def open_ones(tx: Session, most: int) -> list[Question]:
    """Open questions about uploads, oldest first, held by a reviewer or not."""
    return _questions(tx, and_(QUESTION.status == QuestionStatus.OPEN, QUESTION.arm != Arm.GOLD), most)


def gold_for(tx: Session, reviewer: str, most: int) -> list[Question]:
    """Gold questions that this reviewer has not answered yet, oldest first."""
    mine = exists().where(_standing(), ANSWER.question_id == QUESTION.id, ANSWER.reviewer == reviewer)
    return _questions(tx, and_(QUESTION.status == QuestionStatus.OPEN, QUESTION.arm == Arm.GOLD, ~mine), most)


def answered_by(tx: Session, reviewer: str) -> tuple[int, int]:
    """How many standing answers and skips of a reviewer are to other questions, and how many to gold questions."""
    gold = func.count(QUESTION.known)
    query = select(func.count() - gold, gold).select_from(ANSWER).join(QUESTION, QUESTION.id == ANSWER.question_id)
    others, golds = tx.execute(query.where(_standing(), ANSWER.reviewer == reviewer)).one()
    return others, golds


def places(tx: Session, question: Question, reviewer: str, now: datetime) -> int:
    """How many more answers the question needs that no other reviewer holds."""
    answered = len([each for each in answers(tx, [question.id]) if not each.word.skips])
    held = select(func.count()).where(HOLD.question_id == question.id, HOLD.reviewer != reviewer, HOLD.expires_at > now)
    return question.quorum - answered - (tx.scalar(held) or 0)


def hold(tx: Session, reviewer: str, ids: Iterable[int], until: datetime) -> None:
    """Hand these questions to a reviewer until then."""
    ids = list(ids)
    release(tx, reviewer, ids)
    if ids:
        tx.execute(insert(HOLD), [{"question_id": id_, "reviewer": reviewer, "expires_at": until} for id_ in ids])


def release(tx: Session, reviewer: str, ids: Collection[int]) -> None:
    """Take these questions back from a reviewer."""
    tx.execute(delete(HOLD).where(HOLD.reviewer == reviewer, HOLD.question_id.in_(ids)))


def expire_holds(tx: Session, now: datetime) -> int:
    """Delete holds that have expired; the number of them."""
    return len(tx.scalars(delete(HOLD).where(HOLD.expires_at <= now).returning(HOLD.question_id)).all())


def answer(tx: Session, question_id: int, reviewer: str, word: Word, seconds: float | None, now: datetime) -> int:
    """Store an answer; its id. The reviewer must have no standing one."""
    row = ANSWER(
        question_id=question_id,
        reviewer=reviewer,
        label=word.label,
        flag=word.flag,
        seconds=seconds,
        answered_at=now,
    )
    tx.add(row)
    tx.flush()
    return row.id


def answers(tx: Session, question_ids: Collection[int]) -> list[GivenAnswer]:
    """The standing answers to these questions, in the order in which they were given."""
    rows = tx.execute(_answers().where(ANSWER.question_id.in_(question_ids)).order_by(ANSWER.id))
    return [_given(row) for row in rows]


def last_of(tx: Session, reviewer: str) -> GivenAnswer | None:
    """The reviewer's last standing answer."""
    row = tx.execute(_answers().where(ANSWER.reviewer == reviewer).order_by(ANSWER.id.desc()).limit(1)).first()
    return None if row is None else _given(row)


def last_undone(tx: Session, reviewer: str, question_id: int) -> int | None:
    """The reviewer's last answer to a question that no longer stands."""
    mine = ANSWER.reviewer == reviewer, ANSWER.question_id == question_id, ANSWER.undone_at.is_not(None)
    return tx.scalar(select(func.max(ANSWER.id)).where(*mine))


def undo(tx: Session, answer_id: int, now: datetime) -> None:
    """An answer no longer stands; it stays as history."""
    tx.execute(update(ANSWER).where(ANSWER.id == answer_id).values(undone_at=now))


def close(tx: Session, question_id: int, status: QuestionStatus, word: Word, now: datetime) -> None:
    """End a question with the word that was agreed on, and take it back from everybody who holds it."""
    closed = update(QUESTION).where(QUESTION.id == question_id)
    tx.execute(closed.values(status=status, label=word.label, flag=word.flag, closed_at=now))
    tx.execute(delete(HOLD).where(HOLD.question_id == question_id))


def reopen(tx: Session, question_id: int) -> None:
    """Ask a question again."""
    again = update(QUESTION).where(QUESTION.id == question_id)
    tx.execute(again.values(status=QuestionStatus.OPEN, label=None, flag=None, closed_at=None))


def ask_more(tx: Session, question_id: int, quorum: int) -> None:
    """Raise the number of answers that a question needs."""
    tx.execute(update(QUESTION).where(QUESTION.id == question_id).values(quorum=quorum))


def gold_counts(tx: Session) -> tuple[int, int]:
    """How many gold questions there are, and how many of them the reviewer who answered most has answered."""
    there = tx.scalar(select(func.count()).where(QUESTION.arm == Arm.GOLD)) or 0
    each = (
        select(func.count())
        .select_from(ANSWER)
        .join(QUESTION, QUESTION.id == ANSWER.question_id)
        .where(_standing(), QUESTION.arm == Arm.GOLD)
        .group_by(ANSWER.reviewer)
    )
    return there, max(tx.scalars(each), default=0)


def gold_pixels(tx: Session) -> set[bytes]:
    """The pictures of all gold questions, 784 bytes each."""
    return {bytes(pixels) for pixels in tx.scalars(select(QUESTION.pixels).where(QUESTION.arm == Arm.GOLD)) if pixels}


def counts(tx: Session) -> dict[tuple[Arm, QuestionStatus], int]:
    """The number of questions by arm and status."""
    rows = tx.execute(select(QUESTION.arm, QUESTION.status, func.count()).group_by(QUESTION.arm, QUESTION.status))
    return {(Arm(arm), QuestionStatus(status)): n for arm, status, n in rows}


def _questions(tx: Session, which: ColumnElement[bool], most: int) -> list[Question]:
    rows = tx.execute(
        select(
            QUESTION.id,
            QUESTION.correction_id,
            QUESTION.arm,
            QUESTION.status,
            QUESTION.quorum,
            QUESTION.known,
            func.coalesce(QUESTION.pixels, UPLOAD.pixels).label("pixels"),
            UPLOAD.predicted,
            UPLOAD.runner_up,
            QUESTION.reason,
            UPLOAD.status.label("upload_status"),
        )
        .outerjoin(UPLOAD, UPLOAD.id == QUESTION.correction_id)
        .where(which)
        .order_by(QUESTION.id)
        .limit(most)
    ).mappings()
    return [Question(**dict(row) | {"arm": Arm(row["arm"]), "status": QuestionStatus(row["status"])}) for row in rows]


def _answers() -> Any:
    return select(ANSWER.id, ANSWER.question_id, ANSWER.reviewer, ANSWER.label, ANSWER.flag, ANSWER.answered_at).where(
        _standing()
    )


def _given(row: Any) -> GivenAnswer:
    word = Word(row.label, None if row.flag is None else Flag(row.flag))
    return GivenAnswer(row.id, row.question_id, row.reviewer, word, row.answered_at)


def _standing() -> ColumnElement[bool]:
    return ANSWER.undone_at.is_(None)


def _says_something() -> ColumnElement[bool]:
    return or_(ANSWER.label.is_not(None), ANSWER.flag.is_not(None))
