"""The interval of the `users` slice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import users_slice
from loop.evaluation import users


@given(
    right=st.lists(st.booleans(), min_size=1, max_size=40),
    weight=st.floats(1e-6, 1e6),
    hands=st.integers(1, 40),
)
def test_it_contains_the_estimate(right: list[bool], weight: float, hands: int) -> None:
    """Whatever was answered: within 0 and 1, around the weighted share."""
    n = len(right)
    weights = np.linspace(1, weight, n)
    low, high = users.interval(np.array(right), weights, np.arange(n) % hands)
    share = weights[np.array(right)].sum() / weights.sum()
    assert -1e-9 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1 + 1e-9


def test_no_answer_says_nothing() -> None:
    """From 0 to 1."""
    assert users.interval(np.zeros(0, np.bool_), np.zeros(0), np.zeros(0, np.int64)) == (0.0, 1.0)


def test_many_answers_of_few_hands_say_less() -> None:
    """Hands that differ make the interval wide, however many answers each gives; alike hands do not."""
    many, few = np.arange(400), np.repeat(np.arange(4), 100)
    right = np.ones(400, np.bool_)
    right[:40] = False  # all errors are of the first of the four hands
    ones = np.ones(400)
    wide, narrow = (np.diff(users.interval(right, ones, sources))[0] for sources in (few, many))
    assert wide > 2.5 * narrow


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=8), st.floats(0.5, 100))
def test_a_lottery_of_words_expects_their_weights(sizes: list[float], usual: float) -> None:
    """Over all lots, at the middles of a thousand equal parts: each word stands for itself, and weighs ``usual``."""
    lots = (np.arange(1_000) + 0.5) / 1_000
    for weight in sizes:
        won, drawn = users.drawn_words(np.full(1_000, weight), usual, lots)
        assert drawn.sum() / 1_000 == pytest.approx(weight, abs=usual / 1_000)
        assert set(drawn.tolist()) <= {max(weight, usual)}
        assert len(won) == len(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("habits", users_slice.HABITS, ids=str)
@pytest.mark.parametrize("name", ["500 people", "75 people", "a weak model"])
def test_it_holds_the_truth(name: str, habits: users_slice.Habits) -> None:
    """In about 95 % of crowds, also of those who correct and answer; benchmarks/users_slice.py has the full figures."""
    runs = [users_slice.measure(users_slice.CROWDS[name], habits, seed) for seed in range(150)]
    assert 0.88 <= np.mean([run.holds for run in runs]) <= 0.995
