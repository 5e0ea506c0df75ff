"""A round of asking computed again from stored rows: it agrees, says what it cannot show, and finds a changed row."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from loop.asking import nightly, review, rounds
from loop.asking.rounds import Outcome, Replayed
from loop.asking.strategies import STRATEGIES
from loop.errors import OpsError, UnknownRound
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Asking
from loop.home.settings import Settings
from loop.intake import Upload, erasure
from loop.store import Store, tables
from loop.store.asking import rounds as kept
from loop.store.asking.rounds import KeptPool
from loop.store.asking.values import Word
from loop.store.feedback import own_uploads
from loop.store.values import Kind, Status
from tests.asking.conftest import drawing, send
from tests.conftest import NOW
from tests.feed.conftest import Office

RULES = Asking(per_day=20, random_share=0.25, source_share=0.5, digit_share=1.0)


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home with a base and a champion, which differ."""
    made = with_rules(store, tmp_path, RULES)
    office = Office(made, tmp_path / "feed")
    office.register(wrong=True)
    office.register()
    return made


def with_rules(store: Store, folder: Path, rules: Asking) -> Home:
    """A home that opens its models anew."""
    return Home(Settings(home=folder, ask=rules), store, Artifacts(folder / "artifacts"))


def asked(home: Home, count: int = 40, **rules: object) -> Home:
    """A round about so many drawings of ten people; the home as another process opens it, with other rules by now.

    Their first drawings, which no round drops, were taken back before.
    """
    send(home.store, *(drawing(f"person {number}", 700 + number) for number in range(10)))
    with home.store.write() as tx:
        tx.execute(update(tables.Correction).values(status=Status.WITHDRAWN))
    send(home.store, *people(count), *(labelled(f"person {seed}", seed) for seed in range(2, 5)))
    now = with_rules(home.store, home.settings.home, replace(home.settings.ask, **rules))
    assert nightly.ask(now, "cnn", NOW).dropped == (0 if now.settings.ask.pool_size > count else count - 20 - 12)
    return with_rules(home.store, home.settings.home, Asking(strategy="entropy", random_share=0.9, near=0.5))


def people(count: int) -> list[Upload]:
    """Drawings of ten people, sent with two different chances."""
    return [replace(drawing(f"person {seed % 10}", seed), rate=(1.0, 0.25)[seed % 2]) for seed in range(count)]


def labelled(person: str, seed: int) -> Upload:
    """A correction, which teaches: k-center compares with it."""
    made = replace(drawing(person, 500 + seed), kind=Kind.CORRECTION, label=4, runner_up=None)
    return replace(made, runner_up_confidence=None)


def outcomes(found: Replayed) -> dict[Outcome, int]:
    """How many questions ended how."""
    return {outcome: found.count(outcome) for outcome in Outcome if found.count(outcome)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_choice_can_be_computed_again(home: Home, strategy: str) -> None:
    """From stored rows and model files alone, whatever the settings are by now: drawings, order, scores and chances."""
    found = rounds.recompute(asked(home, strategy=strategy))
    assert outcomes(found) == {Outcome.SAME: 20}
    assert (found.strategy, found.pool, found.asked, found.gone) == (strategy, 40, 20, 0)
    assert (found.obstacles, found.contradictions, found.agrees) == ((), (), True)
    for each in found.questions:
        assert (each.score_now, each.chance_now) == (pytest.approx(each.score), each.chance)


def test_what_reviewers_and_phones_do_later_changes_nothing(home: Home) -> None:
    """Answers, later rounds and words taken back leave the pictures, and so the choice."""
    again = asked(home)
    for question in review.hand_out(home.store, "ada", 20, NOW, 300):
        review.answer(home.store, "ada", question.id, Word(3), NOW)
    send(home.store, *(drawing("somebody", seed) for seed in range(100, 120)))
    send(home.store, *(replace(each, source=f"another {each.source}") for each in people(40)))  # half was asked about
    assert nightly.ask(home, "cnn", NOW + timedelta(days=1)).dropped > 10
    with home.store.exclusive() as tx:
        own_uploads.mark_withdrawn(tx, 5)
    assert outcomes(rounds.recompute(again, 1)) == {Outcome.SAME: 20}
    second = rounds.recompute(again)  # what it dropped made room for others in the strategy's list, which the caps see
    assert (second.round, second.agrees, second.count(Outcome.UNKNOWN)) == (2, True, 0)
    assert second.count(Outcome.SAME) > second.count(Outcome.SCORE)


@pytest.mark.parametrize(
    "change",
    [{"score": 0.25}, {"chance": 0.25}, {"seed": 3}, {"strategy": "entropy"}, {"reason": "random: chance 1"}],
)
@pytest.mark.parametrize("arm", ["random", "asked"])
def test_a_changed_question_is_found(home: Home, arm: str, change: dict[str, object]) -> None:
    """A score, a chance, a seed or a strategy that somebody changed in the database."""
    again = asked(home)
    with home.store.write() as tx:
        first = tx.scalar(select(func.min(tables.Question.id)).where(tables.Question.arm == arm))
        tx.execute(update(tables.Question).where(tables.Question.id == first).values(**change))
    found = rounds.recompute(again)
    assert outcomes(found) == {Outcome.SAME: 19, Outcome.DIFFERS: 1}
    assert next(each.question for each in found.questions if each.outcome is Outcome.DIFFERS) == first
    assert not found.agrees


@pytest.mark.parametrize("size", [12, 1_000])
def test_another_order_is_found(home: Home, size: int) -> None:
    """Two questions of the asked arm that changed places, whether or not drawings were dropped."""
    again = asked(home, pool_size=size)
    with home.store.write() as tx:
        first, second = (tx.get_one(tables.Question, number) for number in (10, 18))
        had = [(each.correction_id, each.score, each.reason) for each in (second, first)]
        assert first.score > second.score
        first.correction_id = free_drawing(tx)  # a drawing has one question
        tx.flush()
        second.correction_id, second.score, second.reason = had[1]
        tx.flush()
        first.correction_id, first.score, first.reason = had[0]
    found = rounds.recompute(again)
    assert found.contradictions == ("the questions are stored in another order than that of the plan",)


def test_another_drawing_is_found(home: Home) -> None:
    """A question that was moved to a drawing that nobody chose."""
    again = asked(home)
    with home.store.write() as tx:
        tx.execute(update(tables.Question).where(tables.Question.id == 20).values(correction_id=free_drawing(tx)))
    found = rounds.recompute(again)
    assert outcomes(found) == {Outcome.SAME: 19, Outcome.DIFFERS: 1}
    assert found.contradictions == ("1 chosen drawings have no question; 0 expected",)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("seed", 1, "the seed does not follow"),
        ("pool_digest", "0" * 64, "the pool has another digest"),
        ("questions", 19, "20 name it"),
    ],
)
def test_a_changed_round_is_found(home: Home, column: str, value: object, says: str) -> None:
    """What a round says of itself is checked too."""
    again = asked(home)
    with home.store.write() as tx:
        tx.execute(update(tables.Round).values(**{column: value}))
    found = rounds.recompute(again)
    assert says in "; ".join(found.contradictions)
    assert not found.agrees


def test_changed_chances_of_phones_are_found(home: Home) -> None:
    """The lottery depends on the chances that phones stated; other ones give other lots."""
    again = asked(home)
    with home.store.write() as tx:
        made = kept.get(tx, 1)
        assert made is not None
        kept.add(tx, replace(made, pool=replace(made.pool, rates=made.pool.rates[::-1].copy())))
        tx.execute(update(tables.Question).values(round_id=2))
    found = rounds.recompute(again)
    assert {each.outcome for each in found.questions if each.arm == "random"} == {Outcome.DIFFERS}


@pytest.mark.parametrize("strategy", ["margin", "entropy", "least-confidence", "committee", "random", "margin-diverse"])
def test_dropped_drawings_leave_scores_and_lots(home: Home, strategy: str) -> None:
    """Eight drawings were dropped that night: the lots are all the same, and the scores of the others are confirmed."""
    found = rounds.recompute(asked(home, strategy=strategy, pool_size=12))
    assert (found.pool, found.dropped, found.erased) == (40, 8, 0)
    assert found.obstacles == ("8 of 40 drawings were dropped from the pool",)
    assert {each.outcome for each in found.questions if each.arm == "random"} == {Outcome.SAME}
    assert {each.outcome for each in found.questions} <= {Outcome.SAME, Outcome.SCORE}
    assert found.count(Outcome.SAME) == 20 or strategy in {"random", "margin-diverse", "committee"}  # equal scores
    assert found.agrees


@pytest.mark.parametrize("strategy", ["k-center", "badge", "density"])
def test_dropped_drawings_hide_what_compares_drawings(home: Home, strategy: str) -> None:
    """Without the whole pool only the lots of these strategies can be computed again, and the answer says so."""
    found = rounds.recompute(asked(home, strategy=strategy, pool_size=12))
    assert outcomes(found) == {Outcome.SAME: 5, Outcome.UNKNOWN: 15}
    assert {each.why for each in found.questions if each.arm == "asked"} == set(found.obstacles)
    assert found.agrees


def test_a_changed_score_is_found_among_what_is_left(home: Home) -> None:
    """A dropped drawing hides no score of another one."""
    again = asked(home, pool_size=12)
    with home.store.write() as tx:
        tx.execute(update(tables.Question).where(tables.Question.id == 20).values(score=tables.Question.score + 0.001))
    found = rounds.recompute(again)
    assert outcomes(found) == {Outcome.SAME: 19, Outcome.DIFFERS: 1}
    assert not found.agrees


def test_lots_are_drawn_again_without_models(home: Home) -> None:
    """A model file that is gone keeps the asked arm from being computed again, and its name is said."""
    again = asked(home)
    for path in home.artifacts.root.rglob("*.mlmodel"):
        path.unlink()
    found = rounds.recompute(again)
    assert outcomes(found) == {Outcome.SAME: 5, Outcome.UNKNOWN: 15}
    assert "missing; restore it from a backup" in found.obstacles[0]
    assert found.agrees


def test_an_erasure_leaves_no_number(home: Home) -> None:
    """Neither the pool nor the labelled set names an upload of an erased source; lots and scores of others agree."""
    again = asked(home)
    with home.store.read() as tx:
        its = select(tables.Correction.id).join(tables.Source).where(tables.Source.name == "person 3")
        numbers = set(tx.scalars(its.where(tables.Correction.status != Status.WITHDRAWN)))
        questions = select(func.count()).where(tables.Question.correction_id.in_(its))
        theirs = tx.scalar(questions)
    assert stored_numbers(home) >= numbers
    erasure.erase(home, "person 3", "ops", NOW)
    assert not stored_numbers(home) & numbers
    found = rounds.recompute(again)
    assert (found.pool, found.erased, found.dropped, found.gone) == (40, 4, 0, theirs)
    assert found.count(Outcome.DIFFERS) == 0
    assert {each.outcome for each in found.questions if each.arm == "random"} == {Outcome.SAME}
    assert found.agrees


def free_drawing(tx: Session) -> int:
    """A drawing that waits and has no question."""
    asked_about = select(tables.Question.correction_id)
    free = select(tables.Correction.id).where(
        tables.Correction.status == Status.PENDING, tables.Correction.id.not_in(asked_about)
    )
    return tx.scalars(free.order_by(tables.Correction.id)).first() or 0


def stored_numbers(home: Home) -> set[int]:
    """Every id that a round names."""
    with home.store.read() as tx:
        found = [kept.get(tx, number) for number in tx.scalars(select(tables.Round.id))]
    return {number for each in found if each for number in (*each.pool.ids.tolist(), *each.pool.labelled.tolist())}


def test_a_drawing_that_was_erased_meanwhile_is_not_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure between the reading of the pool and the storing of its round leaves no number either."""
    plan = nightly.queue.plan

    def and_erase(*arguments: Any) -> Any:
        erasure.erase(home, "person 3", "ops", NOW)
        return plan(*arguments)

    send(home.store, *people(40))
    with home.store.read() as tx:
        numbers = set(tx.scalars(select(tables.Correction.id).where(tables.Correction.key.like("drawing-%3"))))
    monkeypatch.setattr(nightly.queue, "plan", and_erase)
    nightly.ask(home, "cnn", NOW)
    monkeypatch.undo()
    assert len(numbers) == 4
    assert not stored_numbers(home) & numbers
    found = rounds.recompute(home)
    assert found.erased == 4
    assert found.agrees


def test_a_round_ends_with_its_last_question(home: Home) -> None:
    """An erased source that alone was asked about takes the round along."""
    send(home.store, *(drawing("ada", seed) for seed in range(3)))
    nightly.ask(home, "cnn", NOW)
    erasure.erase(home, "ada", "ops", NOW)
    with pytest.raises(UnknownRound, match="`loop ask` holds one"):
        rounds.recompute(home)


def test_old_rounds_are_removed(home: Home) -> None:
    """A round is kept for 90 days; its questions stay, and name no round."""
    again = asked(home, 60)
    for question in review.hand_out(home.store, "ada", 20, NOW, 300):
        review.answer(home.store, "ada", question.id, Word(3), NOW)
    nightly.ask(home, "cnn", NOW + timedelta(days=kept.KEPT_DAYS), 2)
    assert rounds.recompute(again, 1).asked == 20
    send(home.store, *(drawing("somebody", seed) for seed in range(100, 120)))
    nightly.ask(home, "cnn", NOW + timedelta(days=kept.KEPT_DAYS, seconds=1), 2)
    with pytest.raises(UnknownRound, match="kept for 90 days; the last one is 3"):
        rounds.recompute(again, 1)
    with home.store.read() as tx:
        assert tx.scalar(select(func.count()).where(tables.Question.round_id.is_(None))) == 20


def test_the_newest_rounds_are_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rounds a day has, the table stays small."""
    monkeypatch.setattr(kept, "KEPT", 2)
    send(home.store, *people(40))
    for _ in range(4):
        nightly.ask(home, "cnn", NOW, 2)
    with home.store.read() as tx:
        assert list(tx.scalars(select(tables.Round.id).order_by(tables.Round.id))) == [3, 4]


def test_a_pool_is_small(home: Home) -> None:
    """The narrow columns of 100,000 drawings take less than 200 kB, and are read back as they were."""
    asked(home)
    random = np.random.default_rng(0)
    ids = np.cumsum(random.integers(1, 9, 100_000))
    pool = KeptPool(
        ids,
        random.choice([1.0, 0.25, 0.05], len(ids)),
        random.random(len(ids)) < 0.9,
        random.random(len(ids)) < 0.1,
        ids[:0],
    )
    with home.store.exclusive() as tx:
        made = kept.get(tx, 1)
        assert made is not None
        tx.execute(update(tables.Round).values(pool=kept._packed(pool)))
        assert (tx.scalar(select(func.length(tables.Round.pool))) or 0) < 200_000
        tx.expire_all()
        found = kept.get(tx, 1)
    assert found is not None
    for name in ("ids", "rates", "drawn"):
        np.testing.assert_array_equal(getattr(found.pool, name), getattr(pool, name))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04]\x94."])
def test_a_spoilt_pool_is_one_line(home: Home, data: bytes) -> None:
    """Bytes that are no pool, pickled ones among them, are refused with what to do."""
    again = asked(home)
    with home.store.write() as tx:
        tx.execute(update(tables.Round).values(pool=data))
    with pytest.raises(OpsError, match=r"^round 1: its stored pool cannot be read .*; restore a backup$"):
        rounds.recompute(again)


def test_a_spoilt_pool_keeps_no_erasure_away(home: Home) -> None:
    """A round that cannot be read may name what is erased: it goes, its other questions stay."""
    asked(home)
    with home.store.write() as tx:
        tx.execute(update(tables.Round).values(pool=b"PK"))
    assert erasure.erase(home, "person 3", "ops", NOW).uploads == 6
    with home.store.read() as tx:
        assert tx.scalars(select(tables.Round.id)).all() == []
        assert set(tx.scalars(select(tables.Question.round_id))) == {None}


@pytest.mark.parametrize(("place", "byte", "says"), [(6, 255, "zip file version"), (8, 1, "encrypted")])
def test_one_wrong_byte_keeps_no_erasure_away(home: Home, place: int, byte: int, says: str) -> None:
    """A pool that one byte makes look encrypted, or of a later format, is as spoilt as any other."""
    again = asked(home)
    with home.store.write() as tx:
        pool = bytearray(tx.scalars(select(tables.Round.pool)).one())
        pool[pool.index(b"PK\x01\x02") + place] = byte  # the first entry of the zip file's directory
        tx.execute(update(tables.Round).values(pool=bytes(pool)))
    with pytest.raises(OpsError, match=rf"^round 1: its stored pool cannot be read .*{says}"):
        rounds.recompute(again)
    assert erasure.erase(home, "person 3", "ops", NOW).uploads == 6
    with home.store.read() as tx:
        assert tx.scalars(select(tables.Round.id)).all() == []


def test_rules_of_another_release(home: Home) -> None:
    """Rules that this release does not know are refused, not guessed."""
    again = asked(home)
    with home.store.write() as tx:
        tx.execute(update(tables.Round).values(rules={"count": 20, "strategy": "margin", "mood": 1}))
    with pytest.raises(OpsError, match="cannot follow the rules of that round"):
        rounds.recompute(again)
