"""The night's questions: known chances, caps, and choices that can be recomputed."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.asking.candidates import Candidates
from loop.asking.queue import ASKED, RANDOM, AskingRules, Plan, PoolColumns, lottery_chances
from loop.asking.queue import plan as plan_of
from tests.asking.test_strategies import candidates


def columns(n: int, sources: int = 1000, drawn: int = 0, rare: int = 0) -> PoolColumns:
    """``n`` drawings; the lottery of the first ``drawn`` was held before, the last ``rare`` were sent at 1 %."""
    return PoolColumns(
        np.arange(100, 100 + n),
        np.arange(n) % sources,
        np.where(np.arange(n) < n - rare, 1.0, 0.01),
        np.arange(n) < drawn,
        digests(range(n)),
        np.zeros(n, np.bool_),
    )


def digests(contents: Iterable[int]) -> NDArray[np.uint8]:
    """A different digest for each number."""
    return np.frombuffer(b"".join(i.to_bytes(32) for i in contents), np.uint8).reshape(-1, 32)


def plan(pool: PoolColumns, seen: Candidates, rules: AskingRules, seed: int) -> Plan:
    """A plan that looks at the whole pool."""
    return plan_of(pool, np.arange(len(pool)), seen, rules, seed)


@given(
    n=st.integers(0, 60),
    count=st.integers(0, 80),
    drawn=st.integers(0, 60),
    sources=st.integers(1, 8),
    seed=st.integers(0, 2**31),
    share=st.floats(0, 1),
)
def test_as_many_questions_as_wanted(n: int, count: int, drawn: int, sources: int, seed: int, share: float) -> None:
    """Different drawings, as many as wanted or as there are; none is drawn in a second lottery; the same again."""
    pool, seen = columns(n, sources, drawn), candidates(n, 3)
    rules = AskingRules(count, random_share=share)
    planned = plan(pool, seen, rules, seed).questions
    assert len({question.row for question in planned}) == len(planned) == min(n, count)
    assert not any(pool.drawn[question.row] for question in planned if question.arm == RANDOM)
    assert all((question.chance is not None) == (question.arm == RANDOM) for question in planned)
    assert planned == plan(pool, seen, rules, seed).questions


def test_the_lottery_is_fair() -> None:
    """Over many seeds each new drawing wins as often as its stated chance says, whatever the model thinks of it."""
    pool, seen = columns(40, drawn=10, rare=3), candidates(40, 5)
    wins, nights = Counter[int](), 2000
    chances: dict[int, float] = {}
    for seed in range(nights):
        random = [
            question
            for question in plan(pool, seen, AskingRules(20, random_share=0.3), seed).questions
            if question.chance
        ]
        assert len(random) in {5, 6, 7}
        wins.update(question.row for question in random)
        chances |= {question.row: question.chance for question in random if question.chance}
    assert not any(wins[row] for row in range(10))
    assert [wins[row] for row in range(37, 40)] == [nights] * 3  # 1/rate is 100 times as much: certain
    for row in range(10, 37):
        chance = chances[row]
        assert chance == pytest.approx(3 / 27)
        assert abs(wins[row] / nights - chance) < 5 * np.sqrt(chance * (1 - chance) / nights)


@given(
    rates=st.lists(st.floats(1e-6, 1), max_size=40),
    wanted=st.integers(0, 50),
)
def test_chances_of_the_lottery(rates: list[float], wanted: int) -> None:
    """They sum to the number wanted, or to all; below 1 they are proportional to 1/rate."""
    chances = lottery_chances(np.array(rates), wanted)
    assert chances.sum() == pytest.approx(min(wanted, len(rates)), abs=1e-6)
    assert ((chances >= 0) & (chances <= 1)).all()
    products = (chances * np.array(rates))[chances < 1]
    assert products == pytest.approx(products[:1].repeat(len(products)), rel=1e-6)


def test_caps_hold_where_the_pool_allows() -> None:
    """No source has more than its share of the asked arm, no predicted digit more than its own."""
    pool, seen = columns(4000, sources=200), candidates(4000, 1)
    planned = plan(pool, seen, AskingRules(100, random_share=0.0, source_share=0.05, digit_share=0.15), 0).questions
    assert max(Counter(int(pool.sources[question.row]) for question in planned).values()) <= 5
    best = seen.probabilities.argmax(axis=1)
    assert max(Counter(int(best[question.row]) for question in planned).values()) <= 15


def test_a_pool_of_one_source_is_asked_nevertheless() -> None:
    """A deployment with one tester gets its questions."""
    assert len(plan(columns(50, sources=1), candidates(50, 1), AskingRules(20), 0).questions) == 20


def test_the_least_sure_come_first_and_say_why() -> None:
    """The asked arm is in the strategy's order, with the two digits and their probabilities."""
    seen = candidates(50, 1)
    planned = plan(columns(50), seen, AskingRules(10, random_share=0.0, source_share=1, digit_share=1), 0).questions
    assert [question.arm for question in planned] == [ASKED] * 10
    assert [question.score for question in planned] == sorted((question.score for question in planned), reverse=True)
    second, first = np.argsort(seen.probabilities[planned[0].row])[-2:]
    assert planned[0].reason.startswith(f"margin: {first} at ")
    assert f", {second} at " in planned[0].reason


def test_copies_are_asked_once() -> None:
    """Of equal digests and of near embeddings one is asked, even if both are as unsure as can be."""
    seen, pool = candidates(30, 1), columns(30)
    sure = np.full((30, 10), 0.01)
    sure[:, 3] = 0.91
    sure[[4, 9, 20]] = 0.1
    embeddings = seen.embeddings.copy()
    embeddings[9] = 2 * embeddings[4]
    contents = digests([*range(20), 4, *range(21, 30)])
    pool = PoolColumns(pool.ids, pool.sources, pool.rates, pool.drawn, contents, pool.repeats)
    seen = Candidates(sure, embeddings, seen.labelled, seen.committee)
    rules = AskingRules(5, random_share=0.0, source_share=1, digit_share=1, near=1e-6)
    rows = {question.row for question in plan(pool, seen, rules, 0).questions}
    assert len(rows & {4, 9, 20}) == 1


def test_what_was_asked_before_is_passed_over() -> None:
    """The asked arm leaves out copies of what was asked about, also if it then asks less; the lottery does not."""
    pool = replace(columns(12), repeats=np.arange(12) % 2 == 0)
    questions = plan(
        pool, candidates(12, 1), AskingRules(10, random_share=0.2, source_share=1, digit_share=1), 0
    ).questions
    assert [question.arm for question in questions].count(RANDOM) == 2
    asked = {question.row for question in questions if question.arm == ASKED}
    assert asked == set(range(1, 12, 2)) - {question.row for question in questions if question.arm == RANDOM}
    wins = {
        question.row for seed in range(30) for question in plan(pool, candidates(12, 1), AskingRules(1), seed).questions
    }
    assert wins & set(range(0, 12, 2))


def test_the_digest_names_the_pool() -> None:
    """Another drawing, another digest."""
    assert columns(5).digest != columns(6).digest
    pool = columns(5)
    lines = "".join(f"{100 + i} {i:064x}\n" for i in range(5))
    assert pool.digest == columns(5).digest == hashlib.sha256(lines.encode()).hexdigest()


def test_a_plan_of_a_shortlist_asks_about_its_drawings() -> None:
    """The lottery is about the whole pool, the asked arm about the shortlist, less what the lottery took."""
    pool, seen = columns(40), candidates(40, 2)
    rows = np.arange(30, 40)
    planned = plan_of(pool, rows, seen[rows], AskingRules(20, random_share=0.5), 3).questions
    by_lot = {question.row for question in planned if question.arm == RANDOM}
    asked = {question.row for question in planned if question.arm == ASKED}
    assert len(by_lot) == 10
    assert asked == set(range(30, 40)) - by_lot
    best = seen.probabilities.argmax(axis=1)
    for question in planned:
        if question.arm == ASKED:
            assert question.reason.startswith(f"margin: {best[question.row]} at ")


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ({"count": -1}, "count"),
        ({"count": 1, "strategy": "x"}, "strategy"),
        ({"count": 1, "random_share": 2}, "random_share"),
    ],
)
def test_rules_that_cannot_be_followed(rules: dict[str, object], name: str) -> None:
    """The error names the rule."""
    with pytest.raises(ValueError, match=name):
        AskingRules(**rules)  # type: ignore[arg-type]
