"""The slice ``users``: answered drawings of the random arm, weighted by their chances, and what takes one out again."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import update

from loop import intake
from loop.asking import review
from loop.evaluation import scoring, users
from loop.evaluation.scoring import Slice
from loop.home import Home
from loop.home.sections import Jury
from loop.intake import Receipt
from loop.night import jury, publishing, retrain
from loop.store import Store, tables
from loop.store.asking import pool
from loop.store.asking.values import Arm, Flag, Word
from loop.store.feedback import erasures, population, split
from loop.store.values import Role, Status
from tests.asking.conftest import ask, drawing
from tests.helpers.people import season
from tests.night.test_jury import some_corpus
from tests.night.test_retrain import home
from tests.night.test_worth import answered

__all__ = ["answered", "home"]  # the fixtures

NAMES = [f"s{number}" for number in range(8)]
JUDGES = [name for name in NAMES if split.role_of(name, "salt", 0.5) is Role.HOLDOUT]
LOT, ASKED = range(1, 3), range(3, 6)
"""The numbers of each person's drawings that are asked about by lot, and by a strategy; 0 is the first."""


@pytest.fixture
def asked(store: Store, now: datetime) -> Store:
    """Eight people, each with six drawings: the first, two asked about by lot with chance 0.5, three by margin; 3s."""
    with store.write() as tx:
        split.set_salt(tx, "salt")
    drawings = [drawing(name, 100 * who + number) for who, name in enumerate(NAMES) for number in range(6)]
    receipts = intake.accept_many(store, drawings, 0.5, now)
    ids = [receipt.id for receipt in receipts if isinstance(receipt, Receipt)]
    assert len(ids) == len(drawings)
    ask(store, [ids[at] for at in range(len(ids)) if at % 6 in LOT], arm=Arm.RANDOM)
    ask(store, [ids[at] for at in range(len(ids)) if at % 6 in ASKED])
    with store.exclusive() as tx:
        pool.hold_lottery(tx, np.array(ids[::6]), np.full(len(NAMES), 0.5))
    season(store)
    answer(store, now, [Word(3)] * (5 * len(NAMES)))
    return store


def answer(store: Store, now: datetime, words: Iterable[Word]) -> None:
    """Answer the open questions with these words."""
    said = list(words)
    for question, word in zip(review.hand_out(store, "ada", len(said), now, 300), said, strict=True):
        review.answer(store, "ada", question.id, word, now)


def drawn(store: Store, now: datetime, **rules: float) -> jury.Drawn:
    """The slices under these rules."""
    return jury.draw(store, some_corpus(), replace(Jury(), **rules), 0.05, now)


def users_of(found: jury.Drawn) -> Slice:
    """The slice."""
    (part,) = (part for part in found.slices if part.name == "users")
    return part


def test_the_random_arm_is_a_slice_of_its_own(asked: Store, now: datetime) -> None:
    """Only holdout sources judge: by lot in ``users`` with 1/chance, by a strategy in ``feedback`` with weight 1."""
    found = drawn(asked, now)
    assert 3 <= len(JUDGES) <= 6
    assert [part.name for part in found.slices] == ["tiny", "feedback", "users"]
    _, feedback, by_lot = found.slices
    assert (len(feedback.labels), len(by_lot.labels)) == (3 * len(JUDGES), 2 * len(JUDGES))
    assert (found.items, found.users) == (3 * len(JUDGES), 2 * len(JUDGES))
    assert set(feedback.weights) == {1.0}
    assert set(by_lot.weights) == {2.0}
    assert feedback.confirmed is not None
    assert not feedback.confirmed.any()
    assert by_lot.sources is not None
    assert len(set(by_lot.sources.tolist())) == len(JUDGES)
    assert set(by_lot.labels) == {3}
    assert not set(map(bytes, by_lot.images)) & set(map(bytes, feedback.images))
    assert f"{2 * len(JUDGES)} answers drawn by lot picture all users" in found.text
    np.testing.assert_array_equal(jury.users(asked, Jury()).keys, by_lot.keys)


def test_a_drawing_weighs_the_inverse_of_both_chances(asked: Store, now: datetime) -> None:
    """The phone sent one drawing in four, the lottery drew one in two: each stands for eight; infinity for none."""
    upload, question = tables.Correction, tables.Question
    with asked.write() as tx:
        ids = [row.correction_id for row in tx.query(question).where(question.arm == "random")]
        tx.execute(update(upload).where(upload.id.in_(ids)).values(rate=0.25))
    by_lot = users_of(drawn(asked, now))
    assert set(by_lot.weights) == {8.0}
    with asked.write() as tx:
        judged = population.by_lot(tx, 0)
        first = int(next(judged)[0].ids[0])
        tx.execute(update(upload).where(upload.id == first).values(rate=1e-300))
        tx.execute(update(question).where(question.correction_id == first).values(chance=1e-300))
    assert len(users_of(drawn(asked, now)).labels) == len(by_lot.labels) - 1


def test_undo_withdrawal_and_erasure_take_an_answer_out(asked: Store, now: datetime) -> None:
    """The slice follows: what has no label any more, is flagged, not from a known hand, or erased, judges nothing."""
    before = len(users_of(drawn(asked, now)).labels)
    upload, question = tables.Correction, tables.Question
    with asked.read() as tx:
        names = dict(tx.query(tables.Source.name, tables.Source.id).all())
        first, second = (
            row.id
            for row in tx.query(upload)
            .join(question, question.correction_id == upload.id)
            .where(question.arm == "random", upload.source_id == names[JUDGES[0]])
        )
        number = tx.query(question.id).where(question.correction_id == first).scalar()
        last = tx.query(tables.Answer.id).where(tables.Answer.question_id == number).scalar()
    with asked.write() as tx:  # so that it is the last answer
        tx.execute(update(tables.Answer).where(tables.Answer.id == last).values(id=10_000))
    assert review.undo(asked, "ada", now).question_id == number
    assert len(users_of(drawn(asked, now)).labels) == before - 1
    answer(asked, now, [Word(flag=Flag.UNREADABLE)])
    assert len(users_of(drawn(asked, now)).labels) == before - 1
    with asked.write() as tx:
        tx.execute(update(upload).where(upload.id == second).values(status=Status.WITHDRAWN, label=None))
    assert len(users_of(drawn(asked, now)).labels) == before - 2
    with asked.exclusive() as tx:
        erasures.erase(tx, JUDGES[1], "ops", now)
    assert len(users_of(drawn(asked, now)).labels) == before - 4
    season(asked, 0, JUDGES[2])
    assert len(users_of(drawn(asked, now)).labels) == before - 6


def test_without_an_answer_by_lot_there_is_no_such_slice(store: Store, now: datetime) -> None:
    """A deployment that asks nobody has the two slices that it had."""
    assert [part.name for part in drawn(store, now).slices] == ["tiny", "feedback"]
    assert len(jury.users(store, Jury()).labels) == 0


def test_the_slice_is_bounded_and_a_cut_hand_keeps_its_weight(asked: Store, now: datetime) -> None:
    """At most so many items in all and of one hand; what is left out does not depend on what it shows."""
    one_each = users_of(drawn(asked, now, items=100, hand_share=0.01))
    assert len(one_each.labels) == len(JUDGES)
    assert set(one_each.weights) == {4.0}
    assert len(users_of(drawn(asked, now, items=3, hand_share=1)).labels) == 3


def test_its_interval_counts_hands(asked: Store, now: datetime) -> None:
    """A report states the interval of ``evaluation/users``, also in its summary."""
    part = users_of(drawn(asked, now))

    def answers(images: scoring.Images) -> np.ndarray:  # type: ignore[type-arg]
        rows = np.full((len(images), 10), 0.01)
        rows[np.arange(len(images)), np.where(np.arange(len(images)) % 3, 3, 4)] = 0.91
        return rows

    report = scoring.score(answers, "0" * 64, [part])
    assert part.sources is not None
    expected = users.interval(report.scores[0].right, part.weights, part.sources)
    assert report.scores[0].interval == expected
    assert scoring.summary(report)["slices"][0]["interval"] == list(expected)


def test_the_gate_and_the_report_see_the_slice(answered: Home) -> None:
    """A night that is taught answers: its verdict says what users gained, and its report has the interval of hands."""
    done = retrain.run(answered)
    assert done.judged is not None
    verdict = done.judged.verdicts[publishing.GOOD_ENOUGH]
    (reason,) = (each for each in verdict.reasons if each.check == "users")
    assert reason.text.startswith("users: ")
    assert reason.numbers["hands"] >= 3
    (part,) = (each for each in scoring.summary(done.judged.after)["slices"] if each["name"] == "users")
    before = done.judged.before
    assert before is not None
    earlier = before.on("users")
    assert earlier is not None
    assert part["accuracy"] > earlier.accuracy + 0.1
    assert part["interval"] == list(done.judged.after.scores[2].interval)
    assert done.version is not None
    assert [each["name"] for each in done.version.summary["slices"]] == ["digits", "feedback", "users"]
