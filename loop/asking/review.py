"""Reviewers answer questions: hand out, answer, skip, flag, undo, agree or escalate.

Rules:

- A question is handed to a reviewer for ``hold_seconds``. As long as the hold lasts, its place in the quorum is theirs.
  Handing out again renews what they hold, so a page may ask for the next few at any time; ``give_back`` frees the rest.
- Nobody answers one question twice. The same answer again is accepted as a repetition of the first.
- ``quorum`` equal answers close a question. If answers differ, it needs one more, until ``MOST_ANSWERS``; then it is
  ``disputed`` and has no label.
- An answer that arrives after its hold is accepted if there is still a place for it, and refused otherwise; an answer
  to a question that has been closed, dropped or erased is refused. A refused answer changes nothing.
- Undo takes back a reviewer's last answer. It reopens a question that the answer closed, unless a night has taught it.
- A question that stood open for ``ask.pool_days`` is closed without a label: ``disputed`` if its answers differ, else
  ``dropped``. Its answers stay as history. In the random arm, the picture leaves out what is ``disputed``, as a drawing
  that reviewers flag; for what is ``dropped`` the other answers stand (``store.feedback.population``). Its age and what
  reviewers said decide, never what a model reads.
- What closed a question decides about its upload: ``loop.asking.outcomes``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from loop.asking import outcomes
from loop.errors import AlreadyAnswered, NothingToUndo, QuestionClosed, UnknownQuestion
from loop.store import Store
from loop.store.asking import questions, unanswered
from loop.store.asking.values import GivenAnswer, Question, QuestionStatus, Word

MOST_ANSWERS = 7
"""After so many answers without a quorum of equal ones, a question stays disputed."""
AT_ONCE = 1_000
"""Questions that expire in one transaction; the next upkeep closes the rest."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an answer: the state of its question, and the reviewer's answer.

    ``predicted`` and ``runner_up`` are what the phone's model said; a reviewer sees them only after the answer.
    """

    question_id: int
    status: QuestionStatus
    answer_id: int
    repeated: bool = False
    predicted: int | None = None
    runner_up: int | None = None


def hand_out(
    store: Store, reviewer: str, most: int, now: datetime, hold_seconds: float, gold_every: int = 0
) -> list[Question]:
    """At most ``most`` questions for this reviewer, held for ``hold_seconds``; what they hold already comes first.

    One of ``gold_every`` questions is a gold one, as long as there are gold questions that they have not answered.
    """
    with store.exclusive() as tx:
        found = questions.open_for(tx, reviewer, most, now)
        found = [question for question in found if not _dropped(tx, question, now)]
        if gold_every and found:
            others, golds = questions.answered_by(tx, reviewer)
            due = max(0, (others + len(found)) // gold_every - golds)
            found = _mixed(found, questions.gold_for(tx, reviewer, due), gold_every, others)[:most]
        questions.hold(tx, reviewer, [question.id for question in found], now + timedelta(seconds=hold_seconds))
    return found


def give_back(store: Store, reviewer: str, question_ids: Sequence[int]) -> None:
    """Free questions that were handed out and not answered."""
    with store.exclusive() as tx:
        questions.release(tx, reviewer, question_ids)


def answer(
    store: Store, reviewer: str, question_id: int, word: Word, now: datetime, seconds: float | None = None
) -> Answered:
    """Store an answer, and close the question if it is agreed on.

    Raises ``UnknownQuestion``, ``QuestionClosed``, ``AlreadyAnswered``.
    """
    with store.exclusive() as tx:
        return answer_in(tx, reviewer, question_id, word, now, seconds)


def answer_in(
    tx: Session, reviewer: str, question_id: int, word: Word, now: datetime, seconds: float | None = None
) -> Answered:
    """``answer`` within an exclusive transaction; a refusal changes nothing."""
    question = questions.get(tx, question_id)
    if question is None:
        raise UnknownQuestion(f"question {question_id}: there is none, or its source was erased; take the next one")
    given = {each.reviewer: each for each in questions.answers(tx, [question_id])}
    if reviewer in given:
        return _again(question, given[reviewer], word)
    _require_open(tx, question, reviewer, now)
    answer_id = questions.answer(tx, question_id, reviewer, word, seconds, now)
    questions.release(tx, reviewer, [question_id])
    status = _settle(tx, question, [*(each.word for each in given.values()), word], now)
    return Answered(question_id, status, answer_id, False, question.predicted, question.runner_up)


def expire(tx: Session, before: datetime, now: datetime) -> int:
    """Close open questions that were asked before then, at most ``AT_ONCE``; the number of them. What a reviewer holds
    is left for the next time. ``tx`` must be exclusive, and without expired holds.
    """
    old = unanswered.asked_before(tx, before, AT_ONCE)
    said: dict[int, set[Word]] = {}
    for each in questions.answers(tx, old):
        if not each.word.skips:
            said.setdefault(each.question_id, set()).add(each.word)
    for number in old:
        differ = len(said.get(number, ())) > 1
        _leave(tx, number, QuestionStatus.DISPUTED if differ else QuestionStatus.DROPPED, now)
    return len(old)


def undo(store: Store, reviewer: str, now: datetime, question_id: int | None = None) -> Answered:
    """Take back the reviewer's last answer; its question is asked again. Raises ``NothingToUndo``.

    With ``question_id`` the last answer must be to this question. If that one was undone already, this is a repetition,
    which changes nothing: a page that resends undoes one answer only.
    """
    with store.exclusive() as tx:
        last = questions.last_of(tx, reviewer)
        if question_id is not None and (last is None or last.question_id != question_id):
            return _undone_before(tx, reviewer, question_id)
        question = None if last is None else questions.get(tx, last.question_id)
        if last is None or question is None:
            raise NothingToUndo(f"{reviewer} has given no answer that stands; nothing was undone")
        if question.status in {QuestionStatus.ANSWERED, QuestionStatus.DISPUTED}:
            outcomes.take_back(tx, question)
            questions.reopen(tx, question.id)
        questions.undo(tx, last.id, now)
    return Answered(question.id, QuestionStatus.OPEN, last.id)


def _undone_before(tx: Session, reviewer: str, question_id: int) -> Answered:
    undone = questions.last_undone(tx, reviewer, question_id)
    question = questions.get(tx, question_id)
    if (
        undone is None
        or question is None
        or any(each.reviewer == reviewer for each in questions.answers(tx, [question_id]))
    ):
        raise NothingToUndo(
            f"question {question_id}: expected the one that {reviewer} answered last, got another; nothing was undone"
        )
    return Answered(question_id, question.status, undone, repeated=True)


def _again(question: Question, given: GivenAnswer, word: Word) -> Answered:
    if given.word != word:
        raise AlreadyAnswered(
            f"question {question.id}: already answered with {_said(given.word)}; undo that answer before another"
        )
    return Answered(question.id, question.status, given.id, True, question.predicted, question.runner_up)


def _require_open(tx: Session, question: Question, reviewer: str, now: datetime) -> None:
    if question.status is not QuestionStatus.OPEN:
        raise QuestionClosed(
            f"question {question.id}: expected an open question, it is {question.status}; take another"
        )
    if _dropped(tx, question, now):
        raise QuestionClosed(f"question {question.id}: its source took the drawing back; take another")
    if question.known is None and questions.places(tx, question, reviewer, now) < 1:
        raise QuestionClosed(f"question {question.id}: others are answering it and your hold has expired; take another")


def _dropped(tx: Session, question: Question, now: datetime) -> bool:
    """Close a question about an upload that no longer waits for an answer."""
    if question.correction_id is None or outcomes.waits(question):
        return False
    questions.close(tx, question.id, QuestionStatus.DROPPED, Word(), now)
    return True


def _settle(tx: Session, question: Question, words: Sequence[Word], now: datetime) -> QuestionStatus:
    """Close the question if enough answers are equal, or if there are too many different ones."""
    if question.known is not None:
        return question.status
    said = Counter(word for word in words if not word.skips)
    if not said:
        return question.status
    word, equal = said.most_common(1)[0]
    agree = _agreement(question, len(said), said.total())
    if equal >= agree:
        questions.close(tx, question.id, QuestionStatus.ANSWERED, word, now)
        outcomes.decide(tx, question, word, now)
        return QuestionStatus.ANSWERED
    if said.total() >= MOST_ANSWERS:
        _leave(tx, question.id, QuestionStatus.DISPUTED, now)
        return QuestionStatus.DISPUTED
    if said.total() >= question.quorum:
        questions.ask_more(tx, question.id, said.total() + 1)
    return QuestionStatus.OPEN


def _leave(tx: Session, question_id: int, status: QuestionStatus, now: datetime) -> None:
    """Close a question on which nobody agreed."""
    questions.close(tx, question_id, status, Word(), now)
    outcomes.leave(tx, question_id)


def _agreement(question: Question, different: int, total: int) -> int:
    """How many equal answers close the question: its quorum, or after a disagreement a majority of two."""
    return question.quorum if different == 1 else max(2, total // 2 + 1)


def _mixed(found: list[Question], gold: list[Question], every: int, answered: int) -> list[Question]:
    """Gold questions at every ``every``-th place, counted over all that the reviewer answers, not over one request."""
    mixed: list[Question] = []
    for i, question in enumerate(found, answered):
        if gold and i % every == every - 1:
            mixed.append(gold.pop(0))
        mixed.append(question)
    return mixed


def _said(word: Word) -> str:
    return "a skip" if word.skips else str(word.flag or word.label)
