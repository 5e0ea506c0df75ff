"""Reviewers answer questions: places, quorum, escalation, undo, and what becomes of the drawing."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from loop import intake
from loop.asking import review
from loop.errors import AlreadyAnswered, NothingToUndo, QuestionClosed, UnknownQuestion
from loop.store import Store, tables
from loop.store.asking import questions
from loop.store.asking.values import Arm, Flag, QuestionStatus, Word
from loop.store.feedback import erasures, own_uploads
from loop.store.values import Kind, Status
from tests.asking.conftest import ask, ask_gold, drawing, send
from tests.conftest import NOW

SEVEN, ONE, SKIP, UNREADABLE = Word(7), Word(1), Word(), Word(flag=Flag.UNREADABLE)
HOLD_SECONDS = 300.0
LATER = NOW + timedelta(seconds=HOLD_SECONDS + 1)


def asked(store: Store, count: int = 1, quorum: int = 1) -> list[int]:
    """Questions about new drawings; their numbers."""
    receipts = send(store, *(drawing("a phone", seed) for seed in range(count)))
    ask(store, [receipt.id for receipt in receipts], quorum)
    with store.read() as tx:
        return list(tx.scalars(select(tables.Question.id).order_by(tables.Question.id)))


def hand_out(store: Store, reviewer: str, most: int = 10, gold_every: int = 0) -> list[int]:
    """The numbers of the questions that a reviewer gets."""
    return [each.id for each in review.hand_out(store, reviewer, most, NOW, HOLD_SECONDS, gold_every)]


def answer(store: Store, reviewer: str, question: int, word: Word) -> QuestionStatus:
    """Answer; the state of the question."""
    return review.answer(store, reviewer, question, word, NOW).status


def upload(store: Store, number: int = 1) -> tuple[Status, int | None]:
    """Status and label of an upload."""
    with store.read() as tx:
        row = tx.get_one(tables.Correction, number)
        return Status(row.status), row.label


def test_an_answer_labels_the_drawing(store: Store) -> None:
    """A drawing waits, unlabelled; one answer that is agreed on makes it an accepted upload with that label."""
    (question,) = asked(store)
    assert upload(store) == (Status.PENDING, None)
    assert hand_out(store, "ada") == [question]
    assert answer(store, "ada", question, SEVEN) is QuestionStatus.ANSWERED
    assert upload(store) == (Status.ACCEPTED, 7)
    assert hand_out(store, "ada") == []


def test_a_flag_keeps_the_drawing_from_the_lesson(store: Store) -> None:
    """A drawing that nobody can read is kept as noted."""
    (question,) = asked(store)
    answer(store, "ada", question, UNREADABLE)
    assert upload(store) == (Status.NOTED, None)


def test_a_place_is_held_and_freed(store: Store) -> None:
    """What one reviewer holds no other gets, until it is given back or the hold expires; it is handed out again."""
    first, second = asked(store, 2)
    assert hand_out(store, "ada", 1) == [first]
    assert hand_out(store, "ada", 1) == [first]
    assert hand_out(store, "ben") == [second]
    review.give_back(store, "ada", [first])
    assert hand_out(store, "ben") == [first, second]
    assert [each.id for each in review.hand_out(store, "ada", 10, LATER, HOLD_SECONDS)] == [first, second]


def test_a_skip_frees_the_place(store: Store) -> None:
    """A skipped question is not asked of the same reviewer again, and stays open for others."""
    (question,) = asked(store)
    hand_out(store, "ada")
    assert answer(store, "ada", question, SKIP) is QuestionStatus.OPEN
    assert hand_out(store, "ada") == []
    assert hand_out(store, "ben") == [question]


def test_a_quorum_of_equal_answers(store: Store) -> None:
    """With a quorum of two, one answer leaves the drawing waiting; the second, equal one labels it."""
    (question,) = asked(store, quorum=2)
    assert hand_out(store, "ada") == hand_out(store, "ben") == [question]
    assert hand_out(store, "cyd") == []
    assert answer(store, "ada", question, SEVEN) is QuestionStatus.OPEN
    assert upload(store) == (Status.PENDING, None)
    assert answer(store, "ben", question, SEVEN) is QuestionStatus.ANSWERED
    assert upload(store) == (Status.ACCEPTED, 7)


def test_a_disagreement_asks_one_more(store: Store) -> None:
    """7 and 1 need a third; two of three decide."""
    (question,) = asked(store, quorum=2)
    answer(store, "ada", question, SEVEN)
    assert answer(store, "ben", question, ONE) is QuestionStatus.OPEN
    assert hand_out(store, "cyd") == [question]
    assert answer(store, "cyd", question, ONE) is QuestionStatus.ANSWERED
    assert upload(store) == (Status.ACCEPTED, 1)


def test_endless_disagreement_ends(store: Store) -> None:
    """Reviewers who never agree leave the question disputed; the drawing waits no more, and has no label."""
    (question,) = asked(store, quorum=2)
    for number in range(review.MOST_ANSWERS):
        status = answer(store, f"reviewer {number}", question, Word(number))
    assert status is QuestionStatus.DISPUTED
    assert upload(store) == (Status.NOTED, None)
    assert hand_out(store, "zoe") == []


def test_the_same_answer_again_is_the_first(store: Store) -> None:
    """A page that resends gets its first answer; another digit is refused and changes nothing."""
    (question,) = asked(store, quorum=2)
    first = review.answer(store, "ada", question, SEVEN, NOW)
    again = review.answer(store, "ada", question, SEVEN, NOW)
    assert again == replace(first, repeated=True)
    with pytest.raises(AlreadyAnswered, match="already answered with 7"):
        review.answer(store, "ada", question, ONE, NOW)
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(tables.Answer)) == 1


def test_an_answer_after_its_hold(store: Store) -> None:
    """It is accepted while a place is free, and refused while another reviewer holds the place or has answered."""
    (question,) = asked(store)
    review.hand_out(store, "ada", 1, NOW, HOLD_SECONDS)
    review.hand_out(store, "ben", 1, LATER, HOLD_SECONDS)
    with pytest.raises(QuestionClosed, match="your hold has expired"):
        review.answer(store, "ada", question, SEVEN, LATER)
    review.answer(store, "ben", question, ONE, LATER)
    with pytest.raises(QuestionClosed, match="it is answered"):
        review.answer(store, "ada", question, SEVEN, LATER)
    assert upload(store) == (Status.ACCEPTED, 1)


def test_undo_reopens_what_the_answer_closed(store: Store) -> None:
    """The drawing waits again, the question is handed out again, and the first answer stays as history."""
    (question,) = asked(store)
    answer(store, "ada", question, SEVEN)
    assert review.undo(store, "ada", NOW).question_id == question
    assert upload(store) == (Status.PENDING, None)
    assert hand_out(store, "ada") == [question]
    answer(store, "ada", question, ONE)
    assert upload(store) == (Status.ACCEPTED, 1)
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(tables.Answer)) == 2


def test_nothing_to_undo(store: Store) -> None:
    """A reviewer without an answer, and an answer that a night has taught."""
    (question,) = asked(store)
    with pytest.raises(NothingToUndo, match="no answer that stands"):
        review.undo(store, "ada", NOW)
    answer(store, "ada", question, SEVEN)
    with store.write() as tx:
        tx.add(tables.Snapshot(id=1, digest="1" * 64, corpus_digest="2" * 64, size=1, frozen_at=NOW))
        tx.flush()
        tx.add(tables.SnapshotItem(snapshot_id=1, correction_id=1, label=7, weight=1.0))
    with pytest.raises(NothingToUndo, match="a night has taught"):
        review.undo(store, "ada", NOW)
    assert upload(store) == (Status.ACCEPTED, 7)


def test_a_drawing_that_was_taken_back(store: Store) -> None:
    """Its question is dropped, and an answer to it is refused."""
    first, second = asked(store, 2)
    assert hand_out(store, "ada") == [first, second]
    with store.exclusive() as tx:
        own_uploads.withdraw(tx, "a phone", 1)
    with pytest.raises(QuestionClosed, match="took the drawing back"):
        review.answer(store, "ada", first, SEVEN, NOW)
    assert hand_out(store, "ada") == [second]
    assert upload(store) == (Status.WITHDRAWN, None)


def test_a_word_of_the_user_ends_the_question(store: Store) -> None:
    """Its user says what it is: that word stands, and the question is dropped; a repeated drawing changes nothing."""
    (question,) = asked(store)
    said = replace(drawing("a phone", 0), label=7, kind=Kind.ASKED, key="said")
    send(store, said)
    assert upload(store, 1) == (Status.SUPERSEDED, None)
    with pytest.raises(QuestionClosed):
        review.answer(store, "ada", question, ONE, NOW)
    again = intake.accept(store, replace(drawing("a phone", 0), key="again"), 0.0, NOW)
    assert (again.id, again.duplicate) == (2, True)
    assert upload(store, 2) == (Status.ACCEPTED, 7)


def test_an_erased_source(store: Store) -> None:
    """Its questions and their answers are gone; an answer that comes late names that."""
    first, second = asked(store, 2)
    answer(store, "ada", first, SEVEN)
    hand_out(store, "ada")
    with store.exclusive() as tx:
        erasures.erase(tx, "a phone", "ops", NOW)
    with pytest.raises(UnknownQuestion, match="erased"):
        review.answer(store, "ada", second, SEVEN, NOW)
    with store.read() as tx:
        for table in (tables.Question, tables.Answer, tables.Hold):
            assert tx.scalar(select(func.count()).select_from(table)) == 0


def test_gold_questions_are_mixed_in(store: Store) -> None:
    """One of three; each reviewer gets each once, it decides about no upload, and it never closes."""
    questions_ = asked(store, 6)
    ask_gold(store, 5)
    handed = review.hand_out(store, "ada", 8, NOW, HOLD_SECONDS, gold_every=3)
    assert [each.known is not None for each in handed] == [False, False, True, False, False, False, True, False]
    gold = [each.id for each in handed if each.known is not None]
    for number in gold:
        assert answer(store, "ada", number, Word(3)) is QuestionStatus.OPEN
        assert answer(store, "ben", number, SEVEN) is QuestionStatus.OPEN
    more = review.hand_out(store, "ada", 8, NOW, HOLD_SECONDS, gold_every=3)
    assert not {each.id for each in more if each.known is not None} & set(gold)
    assert {each.id for each in more if each.known is None} == set(questions_)


def test_gold_questions_are_counted_over_requests(store: Store) -> None:
    """A reviewer who fetches two at a time gets one gold question in four, too, and none twice."""
    asked(store, 12)
    ask_gold(store, 5)
    golds: list[int] = []
    for _ in range(8):
        for each in review.hand_out(store, "ada", 2, NOW, HOLD_SECONDS, gold_every=4):
            golds += [each.id] if each.known is not None else []
            answer(store, "ada", each.id, Word(3))
    assert len(golds) == len(set(golds)) == 3


def test_uploads_in_quarantine_are_judged(store: Store) -> None:
    """The digit that it claims accepts the upload, another rejects it; undo holds it back again."""
    claimed = [replace(drawing("a phone", seed), label=7, kind=Kind.ASKED) for seed in range(2)]
    ids = [receipt.id for receipt in send(store, *claimed)]
    with store.write() as tx:
        for number in ids:
            tx.get_one(tables.Correction, number).status = Status.QUARANTINED
            tx.add(tables.Quarantine(correction_id=number, reasons=[], found_at=NOW))
    ask(store, ids, arm=Arm.QUARANTINE)
    first, second = hand_out(store, "ada")
    answer(store, "ada", first, SEVEN)
    answer(store, "ada", second, ONE)
    assert upload(store, ids[0]) == (Status.ACCEPTED, 7)
    assert upload(store, ids[1]) == (Status.REJECTED, 7)
    review.undo(store, "ada", NOW)
    assert upload(store, ids[1]) == (Status.QUARANTINED, 7)


@pytest.mark.slow
def test_many_reviewers_at_once(store: Store) -> None:
    """Each question gets exactly its quorum, none twice from one person, whatever the order of the threads."""
    asked(store, 60, quorum=2)
    failures: list[BaseException] = []

    def work(reviewer: str) -> None:
        try:
            while handed := hand_out(store, reviewer, 3):
                for number in handed:
                    answer(store, reviewer, number, SEVEN)
        except Exception as error:  # noqa: BLE001 (raised again below, in the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"reviewer {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.read() as tx:
        each = tx.execute(
            select(func.count(), func.count(tables.Answer.reviewer.distinct())).group_by(tables.Answer.question_id)
        ).all()
        assert {tuple(row) for row in each} == {(2, 2)}
        assert questions.counts(tx) == {(Arm.ASKED, QuestionStatus.ANSWERED): 60}
        accepted = select(func.count()).where(tables.Correction.status == Status.ACCEPTED)
        assert tx.scalar(accepted) == 60
