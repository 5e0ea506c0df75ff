"""What an agreed answer makes of its upload, and how it is taken back.

A drawing gets its label and is accepted: it teaches or judges, as its source does. A flagged drawing is kept and never
taught. An upload that was held back or doubted is accepted if the reviewers read the digit that it claims, and rejected
otherwise. If a question ends without an agreed answer, its drawing is kept as a flagged one is, since nobody is asked
again; an upload that claims a digit stays as it is: held back, for `loop quarantine` to decide, or accepted.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from loop.errors import NothingToUndo
from loop.store.asking import drawings
from loop.store.asking.values import Arm, Question, Word
from loop.store.values import Status

WAITING = frozenset({Status.PENDING, Status.QUARANTINED})
"""The statuses of uploads that an answer decides about; doubted ones are accepted while they wait."""
DECIDED = frozenset({Status.ACCEPTED, Status.REJECTED, Status.NOTED})
CLAIMED = frozenset({Arm.QUARANTINE, Arm.DISPUTED})
"""The arms of uploads that claim a digit."""


def waits(question: Question) -> bool:
    """Whether the upload still waits for an answer: its source has neither taken it back nor sent another word."""
    doubted = question.arm is Arm.DISPUTED and question.upload_status == Status.ACCEPTED
    return doubted or question.upload_status in WAITING


def decide(tx: Session, question: Question, word: Word, now: datetime) -> None:
    """Apply the word that reviewers agreed on."""
    if question.correction_id is None:
        return
    if question.arm in CLAIMED:
        drawings.judge(tx, question.correction_id, word.label, now)
    elif word.label is None:
        drawings.note(tx, question.correction_id)
    else:
        drawings.label(tx, question.correction_id, word.label)


def leave(tx: Session, question_id: int) -> None:
    """A question ends without an agreed answer."""
    drawings.note_unanswered(tx, question_id)


def take_back(tx: Session, question: Question) -> None:
    """The upload waits again, unless its source took it back. Raises ``NothingToUndo`` if a night has taught the
    answer; what a doubted upload claims could be taught all the time.
    """
    if question.correction_id is None or question.upload_status not in DECIDED | WAITING:
        return
    if question.arm is not Arm.DISPUTED and drawings.taught(tx, question.correction_id):
        raise NothingToUndo(f"question {question.id}: a night has taught the answer; correct it with `loop taint`")
    if question.arm in CLAIMED:
        drawings.doubt(tx, question.correction_id)
    else:
        drawings.wait(tx, question.correction_id)
