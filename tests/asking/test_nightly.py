"""One round of asking on a real store and a real model file."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update

from loop.asking import nightly, review
from loop.data import digits
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Asking
from loop.home.settings import Settings
from loop.intake import Upload
from loop.store import Store, tables
from loop.store.asking import pool
from loop.store.asking.values import QuestionStatus, Word
from loop.store.values import Kind, Role, Status
from tests.asking.conftest import drawing, send
from tests.conftest import NOW
from tests.feed.conftest import Office

RULES = Asking(per_day=20, random_share=0.25, source_share=0.5, digit_share=1.0)


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home with a champion."""
    home = Home(Settings(home=tmp_path, ask=RULES), store, Artifacts(tmp_path / "artifacts"))
    Office(home, tmp_path / "feed").register()
    return home


def some(count: int, first: int = 0, rate: float = 1.0) -> list[Upload]:
    """Drawings of ten people."""
    return [replace(drawing(f"person {seed % 10}", seed), rate=rate) for seed in range(first, first + count)]


def rows(store: Store) -> list[tables.Question]:
    """Every question."""
    with store.read() as tx:
        return list(tx.scalars(select(tables.Question).order_by(tables.Question.id)))


def test_a_round_fills_the_queue(home: Home) -> None:
    """A quarter by lot with a known chance, the rest by margin; each question says how it was chosen."""
    send(home.store, *some(60))
    asked = nightly.ask(home, "cnn", NOW)
    assert (asked.random, asked.asked, asked.scored, asked.dropped, asked.left) == (5, 15, 60, 0, 40)
    arms = Counter(row.arm for row in rows(home.store))
    assert arms == {"random": 5, "asked": 15}
    for row in rows(home.store):
        assert (row.strategy, row.version, row.quorum, row.status) == ("margin", 1, 1, QuestionStatus.OPEN)
        assert row.chance == (pytest.approx(5 / 60) if row.arm == "random" else None)
    with home.store.read() as tx:
        chances = tx.scalars(select(tables.Correction.lottery)).all()
    assert chances == pytest.approx([5 / 60] * 60)


def test_a_drawing_takes_part_in_one_lottery(home: Home) -> None:
    """The second round draws lots among what is new; a full queue asks nothing, and an answered one is filled up."""
    send(home.store, *some(40))
    nightly.ask(home, "cnn", NOW)
    assert nightly.ask(home, "cnn", NOW).why == nightly.ENOUGH
    for question in review.hand_out(home.store, "ada", 20, NOW, 300):
        review.answer(home.store, "ada", question.id, Word(3), NOW)
    send(home.store, *some(10, first=1000))
    before = {row.id for row in rows(home.store)}
    assert nightly.ask(home, "cnn", NOW).why == nightly.ENOUGH
    asked = nightly.ask(home, "cnn", NOW + timedelta(days=1))
    assert (asked.random, asked.asked, asked.scored) == (5, 15, 30)
    with home.store.read() as tx:
        new = {row.correction_id for row in rows(home.store) if row.id not in before and row.arm == "random"}
        numbers = select(tables.Correction.id).where(tables.Correction.key.like("drawing-10__"))
        assert new <= set(tx.scalars(numbers))


def test_the_pool_stays_within_its_bounds(home: Home) -> None:
    """Past its size the least informative go, past its days the oldest; copies stay once, questions stay."""
    send(home.store, *some(50))
    send(home.store, *(replace(drawing("a copier", seed), key=f"copy {seed}") for seed in range(5)))
    small = replace_ask(home, pool_size=12)
    asked = nightly.ask(small, "cnn", NOW)
    assert (asked.scored, asked.left) == (55, 12)
    with home.store.read() as tx:
        assert tx.scalar(select(func.count()).where(tables.Correction.status == Status.PENDING)) == 20 + 12
        waits = (
            tables.Correction.status == Status.PENDING
        )  # of each source the first drawing stays, and waits no longer
        digests = dict(tx.execute(select(tables.Correction.id, tables.Correction.digest).where(waits)).all())
    in_questions = {row.correction_id for row in rows(home.store)}
    left = [digest for number, digest in digests.items() if number not in in_questions]
    assert len(set(left)) == len(left)
    assert not set(left) & {digests[number] for number in in_questions if number is not None}
    assert nightly.ask(small, "cnn", NOW + timedelta(days=31)).left == 0
    assert len(rows(home.store)) == 20


def test_a_near_copy_leaves_the_pool(home: Home) -> None:
    """A drawing again with a few pixels one shade brighter: after its lottery one of the two stays, unless ``ask.near``
    is 0. Before, both stay: the picture would miss one.
    """
    first = drawing("ada", 1)
    assert isinstance(first.image, digits.Digit)
    pixels = first.image.pixels.copy()
    pixels[10, 10:14] ^= 1
    send(home.store, first, replace(first, image=digits.digit(pixels), key="again"), drawing("ada", 2))
    everything = replace_ask(home, near=0.0)
    assert nightly.ask(home, "cnn", NOW, count=0).left == 3
    with home.store.exclusive() as tx:
        pool.hold_lottery(tx, pool.waiting(tx).ids, np.full(3, 0.5))
    assert nightly.ask(everything, "cnn", NOW, count=0).left == 3
    assert nightly.ask(home, "cnn", NOW, count=0).left == 2
    assert nightly.ask(home, "cnn", NOW, count=0).dropped == 0


def lotteries(store: Store) -> list[float | None]:
    """The chance that each drawing which still waits had in its lottery."""
    query = select(tables.Correction.lottery).where(tables.Correction.status == Status.PENDING)
    with store.read() as tx:
        return list(tx.scalars(query.order_by(tables.Correction.id)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_small_round_holds_a_lottery(home: Home, count: int) -> None:
    """One question is drawn by lot although 25 % of them are less, and every drawing took part."""
    send(home.store, *some(30))
    asked = nightly.ask(home, "cnn", NOW, count=count)
    assert (asked.random, asked.asked) == (1, count - 1)
    assert lotteries(home.store) == pytest.approx([1 / 30] * 30)


def test_nothing_leaves_before_its_lottery(home: Home) -> None:
    """A round that asks nothing keeps what is new, copies too, up to the age limit."""
    send(home.store, *some(10))
    send(home.store, *(replace(drawing("a copier", seed), key=f"copy {seed}") for seed in range(5)))
    asked = nightly.ask(home, "cnn", NOW, count=0)
    assert (asked.random, asked.dropped, asked.left, asked.why) == (0, 0, 15, nightly.ENOUGH)
    assert lotteries(home.store) == [None] * 15
    assert nightly.ask(home, "cnn", NOW + timedelta(days=31), count=0).left == 0


def test_a_pool_past_its_size_asks_by_lot(home: Home) -> None:
    """With a full queue, too: the random share of a day, among all; then it is cut. Without reviewers it is not cut."""
    send(home.store, *some(60))
    nobody = replace_ask(home, pool_size=12, per_day=0)
    assert nightly.ask(nobody, "cnn", NOW).left == 60
    small = replace_ask(home, pool_size=12)
    asked = nightly.ask(small, "cnn", NOW, count=0)
    assert (asked.random, asked.asked, asked.left) == (5, 0, 12)
    assert lotteries(home.store) == pytest.approx([5 / 60] * 17)
    assert nightly.ask(small, "cnn", NOW, count=0).dropped == 0


def test_without_a_random_arm_the_pool_is_cut(home: Home) -> None:
    """``ask.random_share = 0``: there is no lottery to wait for."""
    send(home.store, *some(60))
    asked = nightly.ask(replace_ask(home, random_share=0.0, pool_size=12), "cnn", NOW, count=3)
    assert (asked.random, asked.asked, asked.left) == (0, 3, 12)


def test_copies_of_what_was_asked_are_passed_over(home: Home) -> None:
    """Copies of drawings that were asked about or have a label win lots, and leave the pool otherwise; a copy of one
    that nobody answered in time is asked about.
    """
    send(home.store, *some(10))
    nightly.ask(home, "cnn", NOW)
    for question in review.hand_out(home.store, "ada", 5, NOW, 300):
        review.answer(home.store, "ada", question.id, Word(3), NOW)
    said = replace(drawing("someone", 10), kind=Kind.CORRECTION, label=4)
    send(home.store, replace(said, runner_up=None, runner_up_confidence=None))
    copies = [replace(each, source=f"another {each.source}", key=f"copy {each.key}") for each in some(11)]
    send(home.store, *copies)
    without_lots = replace_ask(home, random_share=0.0)
    with home.store.exclusive() as tx:
        dropped = tx.scalars(select(tables.Question).order_by(tables.Question.id.desc())).first()
        assert dropped is not None
        dropped.status = QuestionStatus.DROPPED
        tx.flush()
        assert pool.waiting(tx).repeats.sum() == 10
    asked = nightly.ask(without_lots, "cnn", NOW + timedelta(days=1))
    assert (asked.scored, asked.asked, asked.dropped, asked.left) == (11, 1, 10, 0)
    send(home.store, *(replace(each, source=f"a third {each.source}") for each in copies))
    asked = nightly.ask(home, "cnn", NOW + timedelta(days=2), count=20)
    assert (asked.random, asked.asked, asked.dropped) == (5, 0, 6)


def test_a_near_copy_of_what_has_a_label_leaves_the_pool(home: Home) -> None:
    """After its lottery, unless ``ask.near`` is 0."""
    first = drawing("ada", 1)
    assert isinstance(first.image, digits.Digit)
    pixels = first.image.pixels.copy()
    pixels[10, 10:14] ^= 1
    said = replace(first, image=digits.digit(pixels), key="said", kind=Kind.ASKED, label=4)
    send(home.store, first, said, *some(3, first=20))
    with home.store.exclusive() as tx:
        tx.execute(update(tables.Source).values(role=Role.TRAIN))
        pool.hold_lottery(tx, pool.waiting(tx).ids, np.full(4, 0.5))
    assert nightly.ask(replace_ask(home, near=0.0), "cnn", NOW, count=0).left == 4
    assert nightly.ask(home, "cnn", NOW, count=0).left == 3


def test_two_rounds_at_once_hold_one_lottery(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A winner that took part in another round's lottery meanwhile is not asked about by lot a second time."""
    send(home.store, *some(60))
    plan: Callable[..., object] = nightly.queue.plan

    def and_another_round(*arguments: object) -> object:
        made = plan(*arguments)
        monkeypatch.setattr(nightly.queue, "plan", plan)
        send(home.store, *some(1, first=1000))  # another pool, so other lots
        assert nightly.ask(home, "cnn", NOW, count=10).random == 2
        return made

    monkeypatch.setattr(nightly.queue, "plan", and_another_round)
    assert nightly.ask(home, "cnn", NOW).random == 0
    by_lot = [row for row in rows(home.store) if row.arm == "random"]
    assert [row.chance for row in by_lot] == pytest.approx([2 / 61] * 2)
    assert lotteries(home.store) == pytest.approx([2 / 61] * 61)


def test_nothing_to_ask(home: Home) -> None:
    """Without drawings, and without a champion, the round says so."""
    assert nightly.ask(home, "cnn", NOW).why == "no drawing waits for a question"
    assert nightly.ask(home, "svm", NOW).why == "svm has no champion yet"


@pytest.mark.parametrize("strategy", ["committee", "badge", "k-center", "density", "margin-diverse"])
def test_every_strategy_asks(home: Home, strategy: str) -> None:
    """Those that need embeddings, labels or other models get them."""
    send(home.store, *some(25))
    asked = nightly.ask(replace_ask(home, strategy=strategy), "cnn", NOW, count=5)
    assert (asked.random + asked.asked, asked.strategy) == (5, strategy)


def test_an_erasure_meanwhile_leaves_no_question(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawing that its source takes back while the pool is scored is not asked about."""
    send(home.store, *some(8))
    plan: Callable[..., object] = nightly.queue.plan

    def and_withdraw(*arguments: object) -> object:
        made = plan(*arguments)
        with home.store.write() as tx:
            tx.get_one(tables.Correction, 3).status = Status.WITHDRAWN
        return made

    monkeypatch.setattr(nightly.queue, "plan", and_withdraw)
    asked = nightly.ask(home, "cnn", NOW)
    assert asked.random + asked.asked == 7
    assert 3 not in {row.correction_id for row in rows(home.store)}


def replace_ask(home: Home, **changes: object) -> Home:
    """The home with other settings of asking."""
    settings = home.settings.model_copy(update={"ask": replace(home.settings.ask, **changes)})
    return Home(settings, home.store, home.artifacts)
