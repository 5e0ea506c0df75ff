"""Questions that nobody is left to answer neither fill the queue nor stay open for ever."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from loop.asking import nightly, review, suspects, upkeep
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Asking, Review
from loop.home.settings import Settings
from loop.store import Store, tables
from loop.store.asking import questions, unanswered
from loop.store.asking.unanswered import Open
from loop.store.asking.values import Arm, QuestionStatus, Word
from loop.store.feedback import quarantines
from loop.store.values import Kind, Status
from tests.asking.conftest import ask, ask_gold, drawing, send
from tests.conftest import NOW
from tests.feed.conftest import Office

DAY = timedelta(days=1)
SKIP = Word()


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home with a champion, a hundred drawings, and reviewers who give twenty answers a day."""
    found = with_rules(Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts")), 1)
    Office(found, tmp_path / "feed").register()
    send(store, *(drawing(f"person {seed % 10}", seed) for seed in range(100)))
    return found


def with_rules(home: Home, min_agree: int) -> Home:
    """The home with this quorum."""
    rules = {"ask": Asking(per_day=20, adapt=False), "review": Review(min_agree=min_agree, gold_every=0)}
    return replace(home, settings=home.settings.model_copy(update=rules))


def review_all(home: Home, reviewer: str, word: Word, now: datetime) -> int:
    """Answer everything that this reviewer is handed, with one word."""
    found = review.hand_out(home.store, reviewer, 1_000, now, 300)
    for question in found:
        review.answer(home.store, reviewer, question.id, word, now)
    return len(found)


def new(home: Home, now: datetime) -> int:
    """How many questions a night asks."""
    asked = nightly.ask(home, "cnn", now)
    return asked.random + asked.asked


def opened(home: Home, now: datetime) -> Open:
    """What is open."""
    with home.store.read() as tx:
        return unanswered.count(tx, now)


def states(home: Home, ids: Sequence[int]) -> list[tuple[str, str]]:
    """Of these uploads: the status of the question, and that of the upload."""
    with home.store.read() as tx:
        question, upload = tables.Question, tables.Correction
        query = select(question.correction_id, question.status, upload.status)
        rows = tx.execute(query.join(upload, upload.id == question.correction_id)).all()
    found = {number: (its, status) for number, its, status in rows}
    return [found[number] for number in ids]


def test_skipped_questions_make_room_the_next_day(home: Home) -> None:
    """One reviewer who skips everything gets a day's questions each day, and not more."""
    assert new(home, NOW) == 20
    assert review_all(home, "ada", SKIP, NOW) == 20
    assert opened(home, NOW) == Open(20, 20)
    assert new(home, NOW) == 0
    assert upkeep.refill(home, "cnn", NOW + DAY) is not None
    assert opened(home, NOW + DAY) == Open(40, 20)
    assert review_all(home, "ada", SKIP, NOW + DAY) == 20
    assert upkeep.refill(home, "cnn", NOW + DAY) is None
    assert review_all(home, "ben", Word(3), NOW + DAY) == 40


def test_a_disagreement_without_a_third_makes_room(home: Home) -> None:
    """Two reviewers who disagree about everything, with a quorum of two, go on with other questions."""
    strict = with_rules(home, 2)
    assert new(strict, NOW) == 20
    assert review_all(strict, "ada", Word(1), NOW) == 20
    assert opened(strict, NOW) == Open(20, 20)
    assert review_all(strict, "ben", Word(7), NOW) == 20
    assert opened(strict, NOW) == Open(20, 20)
    assert new(strict, NOW + DAY) == 20
    assert [review_all(strict, who, Word(1), NOW + DAY) for who in ("ada", "ben")] == [20, 20]
    assert opened(strict, NOW + DAY) == Open(20, 20)


def test_who_can_still_answer(home: Home) -> None:
    """A second reviewer counts for a week after their last word, also about a gold question; an undone skip counts as
    none; and where nobody reviews any more, open questions wait and fill the queue.
    """
    new(home, NOW)
    ask_gold(home.store, 1)
    with home.store.read() as tx:
        (gold,) = questions.gold_for(tx, "ben", 1)
    review.answer(home.store, "ben", gold.id, Word(3), NOW - 3 * DAY)
    review_all(home, "ada", SKIP, NOW)
    assert opened(home, NOW) == Open(20, 0)
    assert new(home, NOW + DAY) == 0
    assert opened(home, NOW + 5 * DAY) == Open(20, 20)
    review.undo(home.store, "ada", NOW)
    assert opened(home, NOW + 5 * DAY) == Open(20, 19)
    assert opened(home, NOW + 8 * DAY) == Open(20, 0)
    assert new(home, NOW + 8 * DAY) == 0


def test_questions_about_held_uploads_make_room(home: Home) -> None:
    """One reviewer cannot close them alone: the next day others are asked about, a quarter of the day at a time."""
    claims = [replace(drawing("a phone", seed), label=7, kind=Kind.ASKED) for seed in range(500, 512)]
    held = [receipt.id for receipt in send(home.store, *claims)]
    with home.store.exclusive() as tx:
        quarantines.hold(tx, {number: [{"signal": "x", "text": "y", "numbers": {}}] for number in held}, None, NOW)
    assert suspects.ask_held_back(home, NOW) == 5
    assert review_all(home, "ada", Word(7), NOW) == 5
    assert suspects.ask_held_back(home, NOW) == 0
    assert suspects.ask_held_back(home, NOW + DAY) == 5
    assert review_all(home, "ben", Word(7), NOW + DAY) == 10


def test_questions_expire(home: Home) -> None:
    """After ``ask.pool_days``: disputed if the answers differ, else dropped; a drawing is kept as noted, a claim stays
    held back or accepted; one that its source took back stays so; answers remain, and one that is held is left open.
    """
    claims = [replace(drawing("a phone", seed), label=7, kind=Kind.ASKED) for seed in range(500, 502)]
    back, doubted = (receipt.id for receipt in send(home.store, *claims))
    with home.store.exclusive() as tx:
        quarantines.hold(tx, {back: [{"signal": "x", "text": "y", "numbers": {}}]}, None, NOW)
        tx.get_one(tables.Correction, 4).status = Status.WITHDRAWN
    ask(home.store, [1, 2, 3, 4], quorum=2)
    ask(home.store, [back], quorum=2, arm=Arm.QUARANTINE)
    ask(home.store, [doubted], quorum=2, arm=Arm.DISPUTED)
    for reviewer, word in (("ada", Word(1)), ("ben", Word(7))):
        review.answer(home.store, reviewer, 1, word, NOW)
    review.answer(home.store, "ada", 2, Word(1), NOW)
    review.answer(home.store, "ben", 2, SKIP, NOW)
    late = NOW + 30 * DAY
    upkeep.refill(home, "cnn", late)
    assert {status for status, _ in states(home, [1, 2, 3, 4, back, doubted])} == {QuestionStatus.OPEN}
    late += timedelta(seconds=1)
    assert [each.correction_id for each in review.hand_out(home.store, "cyd", 3, late, 300)][2] == 3
    upkeep.refill(home, "cnn", late)
    assert states(home, [1, 2, 3]) == [(QuestionStatus.OPEN, Status.PENDING)] * 3
    review.give_back(home.store, "cyd", [1, 2, 3])
    upkeep.follow(home, "cnn", late)
    assert states(home, [1, 2, 3, 4, back, doubted]) == [
        (QuestionStatus.DISPUTED, Status.NOTED),
        (QuestionStatus.DROPPED, Status.NOTED),
        (QuestionStatus.DROPPED, Status.NOTED),
        (QuestionStatus.DROPPED, Status.WITHDRAWN),
        (QuestionStatus.DROPPED, Status.QUARANTINED),
        (QuestionStatus.DROPPED, Status.ACCEPTED),
    ]
    with home.store.read() as tx:
        assert len(questions.answers(tx, [1, 2, 3])) == 4
        assert quarantines.count(tx) == 1
    review.undo(home.store, "ben", late, 2)
    review.undo(home.store, "ben", late, 1)
    assert states(home, [1]) == [(QuestionStatus.OPEN, Status.PENDING)]


def test_refill_reads_no_model_when_nothing_is_wanted(home: Home) -> None:
    """Once the day's questions were asked and answered, the pool is not scored again before tomorrow."""
    assert new(home, NOW) == 20
    assert review_all(home, "ada", Word(3), NOW) == 20
    assert upkeep.refill(home, "cnn", NOW) is None
    assert upkeep.refill(home, "cnn", NOW + DAY) is not None
