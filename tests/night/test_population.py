"""The slice ``users`` of people who correct, confirm and answer: each digit counts once, with its chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, product

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import update

from loop import intake
from loop.asking import outcomes
from loop.evaluation import scoring
from loop.evaluation.pairs import pair
from loop.evaluation.scoring import Slice
from loop.evaluation.verdict import Policy
from loop.home.sections import Jury
from loop.intake import Receipt, Upload
from loop.night import jury
from loop.store import Store, tables
from loop.store.asking import policies, pool, questions
from loop.store.asking.policies import SetPolicy
from loop.store.asking.values import Arm, QuestionStatus, Word
from loop.store.feedback import erasures, population, split
from loop.store.values import Kind, Status
from tests.asking.conftest import ask, drawing
from tests.conftest import NOW
from tests.helpers.people import season
from tests.night.test_jury import some_corpus

RIGHT, WRONG = 1, 7
"""What a digit shows; the phone's model reads every one as a 1."""
POLICY = {"margin_ppm": 300_000, "unsure_ppm": 500_000, "other_ppm": 500_000, "ask_user": True, "asked_a_day": 9}


@pytest.fixture
def following(store: Store) -> Store:
    """Every source judges, and a policy was set an hour ago."""
    with store.write() as tx:
        split.set_salt(tx, "salt")
    set_policy(store, NOW - timedelta(hours=1))
    return store


def set_policy(store: Store, at: datetime, **changes: int) -> None:
    """A policy from then on."""
    with store.exclusive() as tx:
        policies.add(tx, SetPolicy(POLICY | changes, ("a test",), "ops", at))


def send(store: Store, *uploads: Upload, at: datetime = NOW) -> list[int]:
    """Store uploads of holdout sources; each is accepted. Their ids."""
    receipts = intake.accept_many(store, uploads, 1.0, at)
    assert all(isinstance(each, Receipt) for each in receipts), receipts
    return [each.id for each in receipts if isinstance(each, Receipt)]


def word(drawn: Upload, kind: Kind, label: int, rate: float | None = None) -> Upload:
    """What the user says about a drawing."""
    return replace(
        drawn, kind=kind, label=label, key=f"{drawn.key}-{kind}", rate=rate, runner_up=None, runner_up_confidence=None
    )


def by_lot(store: Store, ids: Sequence[int], chance: float, labels: Sequence[int]) -> None:
    """Questions of the random arm, with this chance and these answers."""
    ask(store, ids, arm=Arm.RANDOM)
    said = dict(zip(ids, labels, strict=True))
    with store.exclusive() as tx:
        pool.hold_lottery(tx, np.array(ids, np.int64), np.full(len(ids), chance))
        mine = tables.Question.correction_id.in_(ids)
        tx.execute(update(tables.Question).where(mine).values(chance=chance))
        for question in questions.open_ones(tx, 1_000):
            if question.correction_id in said:
                answer = Word(said[question.correction_id])
                questions.close(tx, question.id, QuestionStatus.ANSWERED, answer, NOW)
                outcomes.decide(tx, question, answer, NOW)


def answered(store: Store, *names: str) -> list[Upload]:
    """Each of these people has sent two drawings with rate 1; the second won with chance 1, and reviewers call it a 1.

    So every word weighs in the slice what it weighs before words are drawn. The second ones.
    """
    seconds = [replace(drawing(name, 10 + number), rate=1.0) for number, name in enumerate(names)]
    send(store, *(replace(drawing(name, 100 + number), rate=1.0) for number, name in enumerate(names)))
    ids = send(store, *seconds)
    by_lot(store, ids, 1.0, [RIGHT] * len(ids))
    with store.exclusive() as tx:  # the first drawings took part, and lost
        tx.execute(update(tables.Correction).where(tables.Correction.lottery.is_(None)).values(lottery=0.5))
    season(store)
    return seconds


def drawn(store: Store, **rules: float) -> tuple[Slice, Slice]:
    """``feedback`` and ``users``."""
    found = jury.draw(store, some_corpus(), replace(Jury(), **rules), 0.05, NOW).slices
    assert [part.name for part in found[1:]] == ["feedback", "users"]
    return found[1], found[2]


def items(part: Slice) -> list[tuple[int, float]]:
    """Label and weight of each item, sorted."""
    return sorted(zip(part.labels.tolist(), part.weights.tolist(), strict=True))


def test_a_drawing_that_is_corrected_after_it_was_sent_counts_once(following: Store) -> None:
    """As the correction, also if reviewers had answered already: with the user's digit and with weight 1."""
    ada, bob = answered(following, "ada", "bob")
    assert items(drawn(following)[1]) == [(1, 1.0), (1, 1.0)]
    send(following, word(ada, Kind.CORRECTION, 7))
    feedback, users = drawn(following)
    assert items(users) == [(1, 1.0), (7, 1.0)]
    assert items(feedback) == [(7, 1.0)]
    assert bob.source != ada.source


def test_a_drawing_that_is_corrected_and_never_sent_counts(following: Store) -> None:
    """It is in both slices, which the model reads apart; a word about the first drawing is no item of ``users``."""
    ada, bob = answered(following, "ada", "bob")
    send(following, word(drawing("ada", 1), Kind.CORRECTION, 7), word(drawing("bob", 101), Kind.CORRECTION, 4))
    feedback, users = drawn(following)
    assert items(users) == [(1, 1.0), (1, 1.0), (7, 1.0)]
    assert items(feedback) == [(4, 1.0), (7, 1.0)]
    report = scoring.score(lambda images: np.full((len(images), 10), 0.1), "0" * 64, (feedback, users))
    assert [(each.name, each.n) for each in report.scores] == [("feedback", 2), ("users", 3)]
    assert "2 answers drawn by lot and 1 of users' own word picture all users" in (
        jury.draw(following, some_corpus(), Jury(), 0.05, NOW).text
    )
    assert {ada.source, bob.source} == {"ada", "bob"}


def test_an_answer_of_the_user_weighs_the_inverse_of_its_rate(following: Store) -> None:
    """There is no lottery for it; in ``feedback`` it has weight 1."""
    answered(following, "ada", "bob")
    send(following, word(drawing("ada", 1), Kind.ASKED, 7, rate=0.25))
    feedback, users = drawn(following)
    assert items(users) == [(1, 1.0), (1, 1.0), (7, 4.0)]
    assert items(feedback) == [(7, 1.0)]


def test_a_confirmation_counts_once_whatever_its_rate(following: Store) -> None:
    """What was not confirmed takes part in the phone's lottery, so one confirmation stands for itself only."""
    answered(following, "ada", "bob")
    send(following, word(drawing("ada", 1), Kind.CONFIRMATION, 1, rate=0.05))
    feedback, users = drawn(following)
    assert items(users) == [(1, 1.0)] * 3
    assert items(feedback) == [(1, 20.0)]


def test_a_source_without_the_policy_is_no_part_of_the_picture(following: Store) -> None:
    """It sends mistakes only. Nor is what others sent before they followed the policy, or of handwriting."""
    send(following, word(drawing("ada", 1), Kind.CORRECTION, 7), word(drawing("old app", 2), Kind.CORRECTION, 7))
    answered(following, "ada", "bob")
    send(following, replace(word(drawing("ada", 3), Kind.CORRECTION, 7), predicted=None, confidence=None))
    feedback, users = drawn(following)
    assert items(users) == [(1, 1.0), (1, 1.0)]
    assert items(feedback) == [(7, 1.0)] * 3


def test_words_count_only_while_phones_send_drawings(following: Store) -> None:
    """With a policy that asks for none, corrections alone would arrive: mistakes without the rest."""
    answered(following, "ada", "bob")
    later = [NOW + timedelta(days=days) for days in (1, 2, 3, 4)]
    set_policy(following, later[0], unsure_ppm=0, other_ppm=0)
    set_policy(following, later[2])
    send(following, word(drawing("ada", 1), Kind.CORRECTION, 7), at=later[1])
    assert items(drawn(following)[1]) == [(1, 1.0), (1, 1.0)]
    send(following, word(drawing("ada", 2), Kind.CORRECTION, 7), at=later[3])
    assert items(drawn(following)[1]) == [(1, 1.0), (1, 1.0), (7, 1.0)]
    with following.read() as tx:
        assert policies.sending(tx) == [(NOW - timedelta(hours=1), later[0]), (later[2], None)]


def test_an_erased_source_leaves_the_picture(following: Store) -> None:
    """With all its strata; what it withdraws goes alone."""
    answered(following, "ada", "bob", "cem")
    (number, *_) = send(
        following, word(drawing("ada", 1), Kind.CORRECTION, 7), word(drawing("ada", 2), Kind.ASKED, 2, rate=1.0)
    )
    assert items(drawn(following)[1]) == [(1, 1.0)] * 3 + [(2, 1.0), (7, 1.0)]
    with following.write() as tx:
        tx.execute(update(tables.Correction).where(tables.Correction.id == number).values(status=Status.WITHDRAWN))
    assert items(drawn(following)[1]) == [(1, 1.0)] * 3 + [(2, 1.0)]
    with following.exclusive() as tx:
        erasures.erase(tx, "ada", "ops", NOW)
    assert items(drawn(following)[1]) == [(1, 1.0)] * 2


def test_answers_stand_for_the_drawings_that_still_wait(following: Store) -> None:
    """Words are there at once and answers are not, so mistakes would weigh too much until reviewers are done."""
    answered(following, "ada", "bob")
    send(following, word(drawing("ada", 1), Kind.CORRECTION, 7))
    late = send(following, *(replace(drawing("bob", seed), rate=0.25) for seed in (2, 3, 4)))
    ask(following, late[:1], arm=Arm.RANDOM)  # with chance 0.5, still open
    assert sum(weight for label, weight in items(drawn(following)[1]) if label == 1) == 2 + 8 + 4 + 4
    with following.exclusive() as tx:  # nobody answered in time
        upload = tx.get_one(tables.Correction, late[0])
        (question,) = (each for each in questions.open_ones(tx, 9) if each.correction_id == upload.id)
        questions.close(tx, question.id, QuestionStatus.DROPPED, Word(), NOW)
        upload.status = Status.NOTED
    assert sum(weight for label, weight in items(drawn(following)[1]) if label == 1) == 2 + 8 + 4 + 4


def test_the_first_drawing_of_a_source_outlives_the_pool(following: Store) -> None:
    """Else nobody would know that the source follows the policy. It no longer waits, and others are deleted."""
    ids = send(following, *(drawing(name, seed) for seed, name in enumerate(["ada", "ada", "bob", "ada"])))
    with following.exclusive() as tx:
        assert pool.drop(tx, np.array(ids)) == 4
        kept = dict(tx.query(tables.Correction.id, tables.Correction.status).all())
        assert kept == {ids[0]: "noted", ids[2]: "noted"}
        assert len(pool.waiting(tx)) == 0
    seconds = answered(following, "ada")
    send(following, word(drawing("ada", 7), Kind.CORRECTION, 7))
    # her first drawing is still the one of then, so that of ``answered`` is one that took part and lost
    assert items(drawn(following)[1]) == [(1, 1.0), (7, 1.0)]
    assert len(seconds) == 1


def test_a_flood_of_corrections_of_one_hand_is_bounded(following: Store) -> None:
    """One hand lies 600 times: its items are at most its share of the slice, and the gate caps their weight."""
    names = [f"p{number}" for number in range(20)]
    answered(following, *names)
    send(following, *(word(drawing("p0", seed), Kind.CORRECTION, 7) for seed in range(1_000, 1_600)))
    _, users = drawn(following, items=1_000, hand_share=0.05)
    assert users.sources is not None
    liar = users.sources[users.labels == 7][0]
    assert 49 <= np.count_nonzero(users.sources == liar) <= 50
    assert users.weights.sum() == pytest.approx(19 + 601)

    def reads(digit: int) -> scoring.Report:
        row = np.eye(10)[digit] * 0.9 + 0.01
        return scoring.score(lambda images: np.tile(row, (len(images), 1)), f"{digit}" * 64, (users,))

    judged = pair(reads(1).scores[0], reads(7).scores[0], Policy()).hands
    assert judged is not None
    mass = judged.mass.sum(axis=0)
    assert mass.max() / mass.sum() <= 2 / 20 + 0.01


def test_heavy_answers_and_words_are_alike(following: Store) -> None:
    """Where an answer by lot stands for 8 drawings, about one word in 8 is an item, and weighs 8."""
    answered(following, "ada", "bob", "cem")
    with following.write() as tx:
        tx.execute(update(tables.Question).values(chance=0.125))
    send(following, *(word(drawing("ada", seed), Kind.CORRECTION, 7) for seed in range(1_000, 1_800)))
    _, users = drawn(following, hand_share=1.0)
    assert set(users.weights.tolist()) == {8.0}
    words = np.count_nonzero(users.labels == 7)
    assert abs(words - 100) < 4 * np.sqrt(100 * 7 / 8)
    _, cut = drawn(following, items=52, hand_share=1.0)
    assert 0 < np.count_nonzero(cut.labels == 7) <= 52
    np.testing.assert_array_equal(drawn(following, hand_share=1.0)[1].keys, users.keys)  # the same lots each night


@dataclass(frozen=True)
class Fate:
    """What can become of one digit: with this chance these uploads; the random arm asks about the drawing if it won."""

    chance: float
    kinds: tuple[Kind, ...] = ()
    won: bool = False


SENT, LOT, CONFIRM = 0.5, 0.25, 0.2
LEFT = (
    Fate(1 - SENT),
    Fate(SENT * (1 - LOT), (Kind.DRAWING,)),
    Fate(SENT * LOT, (Kind.DRAWING,), won=True),
)
AGREED = (
    Fate(CONFIRM, (Kind.CONFIRMATION,)),
    *(replace(each, chance=(1 - CONFIRM) * each.chance) for each in LEFT),
)
DIGITS: tuple[tuple[int, tuple[Fate, ...]], ...] = (
    (RIGHT, LEFT),
    (WRONG, (Fate(1.0, (Kind.CORRECTION,)),)),  # at once
    (WRONG, (Fate(1 - SENT), Fate(SENT, (Kind.ASKED,)))),
    (RIGHT, AGREED),
    (WRONG, LEFT),
    (WRONG, (Fate(1 - SENT, (Kind.CORRECTION,)), Fate(SENT, (Kind.DRAWING, Kind.CORRECTION)))),  # later
)
"""What a person draws in order, and all that can become of it."""
BEGIN = {Kind.DRAWING, Kind.ASKED}


@dataclass(frozen=True)
class Sent:
    """An upload, the fate behind it, and what the digit shows."""

    upload: Upload
    fate: Fate
    shows: int


def uploads_of(name: str, fates: Sequence[Fate], seeds: Iterator[int]) -> Iterator[Sent]:
    """The uploads of one person."""
    for (shows, _), fate in zip(DIGITS, fates, strict=True):
        picture = replace(drawing(name, next(seeds)), rate=SENT)
        for kind in fate.kinds:
            rate = SENT if kind is Kind.ASKED else None
            yield Sent(picture if kind is Kind.DRAWING else word(picture, kind, shows, rate), fate, shows)


def test_the_sum_of_the_weights_expects_the_truth(following: Store) -> None:
    """Every fate of six digits, each that of one person: by its chance, the sum of inverse chances is the number of
    digits, and of the misread ones, that were drawn after the first upload under the policy.
    """
    everyone = list(product(*(fates for _, fates in DIGITS)))
    assert sum(np.prod([fate.chance for fate in fates]) for fates in everyone) == pytest.approx(1)
    seeds = count(10_000)
    sent = [each for who, fates in enumerate(everyone) for each in uploads_of(f"person {who}", fates, seeds)]
    ids = send(following, *(each.upload for each in sent))
    season(following)
    finish(following, ids, sent)
    expected = np.zeros(2)
    for fates in everyone:
        chance = np.prod([fate.chance for fate in fates])
        first = next((at for at, fate in enumerate(fates) if BEGIN & set(fate.kinds)), len(DIGITS))
        after = [shows for shows, _ in DIGITS[first + 1 :]]
        expected += chance * np.array([len(after), after.count(WRONG)])
    np.testing.assert_allclose(counted(following, everyone), expected, rtol=1e-9)
    assert expected[1] > 1


def finish(store: Store, ids: list[int], sent: list[Sent]) -> None:
    """Hold the lotteries, and answer the questions about what won."""
    left = {
        number: each
        for number, each in zip(ids, sent, strict=True)
        if each.upload.kind is Kind.DRAWING and Kind.CORRECTION not in each.fate.kinds
    }
    with store.exclusive() as tx:
        pool.hold_lottery(tx, np.array(list(left)), np.full(len(left), LOT))
    won = {number: each.shows for number, each in left.items() if each.fate.won}
    by_lot(store, list(won), LOT, list(won.values()))


def counted(store: Store, everyone: list[tuple[Fate, ...]]) -> NDArray[np.float64]:
    """The expected sums of inverse chances: of all digits, and of those that show no 1."""
    total = np.zeros(2)
    with store.read() as tx:
        names = dict(tx.query(tables.Source.id, tables.Source.name).all())
        assert not len(population.unanswered(tx, 3))
        for part, chances in (*population.by_lot(tx, 3), *population.words(tx, 3)):
            for source, label, inverse in zip(part.sources.tolist(), part.labels.tolist(), 1 / chances, strict=True):
                fates = everyone[int(names[source].removeprefix("person "))]
                weight = inverse * np.prod([fate.chance for fate in fates])
                total += weight * np.array([1, label == WRONG])
    return total
