"""The jury: who may judge, how many items, and a draw that no sender can influence."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import update

from loop import intake
from loop.data.corpus import Corpus
from loop.data.digits import digit
from loop.home.sections import Jury
from loop.intake import Upload
from loop.night import jury
from loop.store import Store, tables
from loop.store.feedback import jurors, senders, split
from loop.store.feedback.jurors import Hands
from loop.store.values import Kind, Role
from tests.helpers.people import season

NAMES = [f"s{number}" for number in range(40)]
JUDGES = [name for name in NAMES if split.role_of(name, "salt", 0.3) is Role.HOLDOUT]


def some_corpus() -> Corpus:
    """Three test images."""
    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    return Corpus("tiny", images, labels, images, labels, "0" * 64)


def pixels(seed: int) -> NDArray[np.uint8]:
    """A picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)


def send(store: Store, now: datetime, *uploads: Upload) -> None:
    """Upload, and require that each is stored."""
    assert all(isinstance(answer, intake.Receipt) for answer in intake.accept_many(store, uploads, 0.3, now))


@pytest.fixture
def people(store: Store, now: datetime) -> Store:
    """Forty people, seen on thirty days: each with a correction, a confirmation, and one without a prediction."""
    with store.write() as tx:
        split.set_salt(tx, "salt")
    for number, name in enumerate(NAMES):
        wrong = Upload(name, digit(pixels(number)), 1, predicted=2)
        right = Upload(name, digit(pixels(number).T), 1, kind=Kind.CONFIRMATION, predicted=1, rate=0.25)
        silent = Upload(name, digit(255 - pixels(number)), 1)
        send(store, now, wrong, right, silent)
    season(store)
    return store


def drawn(store: Store, now: datetime, **rules: float) -> jury.Drawn:
    """The jury under these rules."""
    return jury.draw(store, some_corpus(), replace(Jury(), **rules), 0.05, now)


def test_an_answer_that_was_asked_for_confirms_nothing(people: Store, now: datetime) -> None:
    """It judges with weight 1, though the user agreed with the model and the rate of its drawing was 1 in 100."""
    name = JUDGES[0]
    send(people, now, Upload(name, digit(pixels(99)), 1, kind=Kind.ASKED, predicted=1, rate=0.01))
    judged = next(each for each in drawn(people, now).slices if each.name == "feedback")
    assert sorted(judged.weights.tolist()) == [1.0] * (2 * len(JUDGES) + 1) + [4.0] * len(JUDGES)
    assert judged.confirmed is not None
    assert judged.confirmed.sum() == len(JUDGES)


def test_the_slices(people: Store, now: datetime) -> None:
    """Base slice named after its corpus; feedback of the judges alone, weights 1/rate.

    An upload without a prediction confirms nothing.
    """
    found = drawn(people, now)
    base, judged = found.slices
    assert (base.name, len(base.labels)) == ("tiny", 3)
    assert 0 < len(JUDGES) < 40
    assert (found.hands, found.items) == (len(JUDGES), 3 * len(JUDGES))
    assert judged.weights.tolist() == [1.0, 4.0, 1.0] * len(JUDGES)
    assert judged.confirmed is not None
    assert judged.confirmed.tolist() == [False, True, False] * len(JUDGES)
    assert judged.sources is not None
    assert len(set(judged.sources.tolist())) == len(JUDGES)
    numbers = [NAMES.index(name) for name in JUDGES]
    expected = [image for n in numbers for image in (pixels(n), pixels(n).T, 255 - pixels(n))]
    np.testing.assert_array_equal(judged.images, expected)


def test_a_hand_waits_until_it_is_known(people: Store, now: datetime) -> None:
    """A hand seen on two days waits, and the words say until when; one that ops vouch for does not."""
    season(people, 2, *JUDGES[:3])
    season(people, 1, JUDGES[3])
    found = drawn(people, now)
    assert found.hands == len(JUDGES) - 4
    assert found.waiting == Hands(len(JUDGES) - 4, 4, date(2026, 5, 4))  # each sent something today
    assert found.text == (
        f"{len(JUDGES) - 4} hands judge with {3 * len(JUDGES) - 12} uploads; 4 more are too new, a hand judges once it "
        "was seen on 3 days; the first can judge on 2026-05-04"
    )
    tomorrow = drawn(people, now + timedelta(days=1))
    assert tomorrow.waiting.first == date(2026, 5, 4)  # it can still send something that day
    with people.write() as tx:
        senders.vouch(tx, JUDGES[:2], now)
    assert drawn(people, now).hands == len(JUDGES) - 2


def test_the_words(now: datetime) -> None:
    """How many judge, how many wait, for what and until when."""
    assert jurors.in_words(Hands(0, 0, None), 3) == "no hand judges yet"
    assert jurors.in_words(Hands(1, 0, None), 3) == "1 hand judges"
    assert jurors.in_words(Hands(12, 1, now.date()), 3) == (
        "12 hands judge; 1 more is too new, a hand judges once it was seen on 3 days; the first can judge on 2026-05-03"
    )


def test_three_days_of_uploads_make_a_judge(store: Store, now: datetime) -> None:
    """A hand that sends something on three days judges from the third on, however much it sent before."""
    with store.write() as tx:
        split.set_salt(tx, "salt")
    name = JUDGES[0]
    for day in range(3):
        assert drawn(store, now).hands == 0
        send(store, now + timedelta(days=day), *(Upload(name, digit(pixels(10 * day + n)), n) for n in range(5)))
    assert drawn(store, now + timedelta(days=2)).items == 15


def test_no_teaching_source_ever_judges(people: Store, now: datetime) -> None:
    """Neither days nor an operator's word let a source judge that teaches."""
    with people.write() as tx:
        senders.vouch(tx, NAMES, now)
        ids = {row.id: row.name for row in tx.query(tables.Source)}
    sources = drawn(people, now).slices[1].sources
    assert sources is not None
    assert {ids[number] for number in sources.tolist()} == set(JUDGES)


def test_flagged_and_heavy_uploads_never_judge(people: Store, now: datetime) -> None:
    """A flagged upload is left out; so is a confirmation of a tiny rate, which is counted. A correction weighs 1."""
    upload, source = tables.Correction, tables.Source
    with people.write() as tx:
        owner = tx.query(source.id).where(source.name == JUDGES[0]).scalar()
        other = tx.query(source.id).where(source.name == JUDGES[1]).scalar()
        tx.execute(update(upload).where(upload.source_id == owner).values(flag="unknown-version"))
        tx.execute(update(upload).where(upload.source_id == other).values(rate=2.3e-308))
    found = drawn(people, now)
    assert (found.hands, found.items, found.heavy) == (len(JUDGES) - 1, 3 * len(JUDGES) - 4, 1)
    assert found.slices[1].weights.max() == 4.0


def test_one_picture_counts_once(people: Store, now: datetime) -> None:
    """A picture that other hands sent too counts for the first hand only."""
    send(people, now, *(Upload(name, digit(pixels(NAMES.index(JUDGES[0]))), 7) for name in JUDGES[1:5]))
    found = drawn(people, now)
    assert (found.items, found.copies) == (3 * len(JUDGES), 4)
    assert 7 not in found.slices[1].labels


def test_the_jury_is_bounded_and_keeps_its_keys(people: Store, now: datetime) -> None:
    """At most so many items, and of each hand its share; the same store and salt give the same jury."""
    found = drawn(people, now, items=12, hand_share=1 / 6)
    again = drawn(people, now, items=12, hand_share=1 / 6)
    judged, same = found.slices[1], again.slices[1]
    assert judged.sources is not None
    assert judged.keys is not None
    assert same.keys is not None
    assert found.items == 12
    assert np.unique(judged.sources, return_counts=True)[1].max() <= 2
    np.testing.assert_array_equal(judged.keys, same.keys)
    assert len(np.unique(judged.keys, axis=0)) == 12
    with people.write() as tx:
        tx.execute(update(tables.Fact).where(tables.Fact.key == split.SALT_KEY).values(value="another"))
    other = drawn(people, now, items=12, hand_share=1 / 6).slices[1]
    assert other.keys is not None
    assert not set(map(bytes, judged.keys)) & set(map(bytes, other.keys))
    assert not np.array_equal(np.sort(other.images.sum((1, 2))), np.sort(judged.images.sum((1, 2))))


Item = tuple[int, int, int]
"""Source, label, rank: the rank names an item, as a keyed hash does."""
ITEMS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 10**6)),
    max_size=60,
    unique_by=lambda item: item[2],
)
BOUNDS = st.tuples(st.integers(1, 40), st.integers(1, 12))


def chosen(items: list[Item], bounds: tuple[int, int]) -> set[Item]:
    """The drawn items."""
    sources, labels, rank = np.array(items, np.int64).reshape(-1, 3).T
    rows = jury.choose(sources, labels.astype(np.uint8), rank.astype(np.uint64), *bounds)
    assert np.all(np.diff(rows) > 0)
    return {items[row] for row in rows}


@hypothesis_settings(deadline=None, max_examples=300)
@given(ITEMS, BOUNDS, st.randoms(use_true_random=False))
def test_the_draw_is_a_function_of_the_set(items: list[Item], bounds: tuple[int, int], random: object) -> None:
    """Any order gives the same draw; the caps hold; nothing is left out that the caps allow."""
    found = chosen(items, bounds)
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's random.Random
    assert chosen(shuffled, bounds) == found
    most, of_hand = bounds
    counts = {source: sum(item[0] == source for item in items) for source in range(6)}
    assert len(found) == min(most, sum(min(count, of_hand) for count in counts.values()))
    for source in counts:
        assert sum(item[0] == source for item in found) <= of_hand


@hypothesis_settings(deadline=None, max_examples=300)
@given(ITEMS.filter(bool), BOUNDS, st.data())
def test_one_more_item_drives_out_at_most_one(items: list[Item], bounds: tuple[int, int], data: st.DataObject) -> None:
    """Evidence accumulates: a new item changes the jury by itself and at most one other item that leaves for it."""
    new = data.draw(st.sampled_from(items))
    before, after = chosen([item for item in items if item != new], bounds), chosen(items, bounds)
    assert after - before <= {new}
    assert len(before - after) <= 1
    if new not in after:
        assert before == after


@hypothesis_settings(deadline=None, max_examples=300)
@given(ITEMS, BOUNDS, st.integers(0, 5))
def test_without_a_source_only_its_items_leave(items: list[Item], bounds: tuple[int, int], gone: int) -> None:
    """If a source is erased, every other drawn item stays; others may take the free places."""
    before, after = chosen(items, bounds), chosen([item for item in items if item[0] != gone], bounds)
    assert {item for item in before if item[0] != gone} <= after


@hypothesis_settings(deadline=None, max_examples=200)
@given(ITEMS, BOUNDS)
def test_digits_and_hands_take_turns(items: list[Item], bounds: tuple[int, int]) -> None:
    """Of one hand no digit has two items more than another that has items left; nor of the jury has a hand."""
    found = chosen(items, (bounds[0], 10**6))
    left = set(items) - found
    queues = {item[:2]: 0 for item in items} | {
        queue: sum(item[:2] == queue for item in found) for queue in {item[:2] for item in found}
    }
    for source, label, _ in left:
        assert max(queues.values()) <= queues[source, label] + 1


def test_a_sender_without_the_salt_cannot_aim() -> None:
    """With the salt a sender could make pictures that are drawn first; a guess of it gives ordinary places."""
    digests = np.random.default_rng(0).integers(0, 256, (1_000, 32)).astype(np.uint8)
    best = jury.ranks(digests, b"guess").argsort()[:100]
    places = jury.ranks(digests, b"secret").argsort().argsort()[best]
    assert 350 < places.mean() < 650
    assert jury.ranks(digests, b"secret")[best].tolist() == jury.ranks(digests[best], b"secret").tolist()
