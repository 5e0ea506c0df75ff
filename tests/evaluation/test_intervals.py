"""Intervals reproduce published values, cover the truth, and stay valid at the extremes."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.evaluation import intervals


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    """Wilson intervals equal those of Newcombe (1998), table I, method 3."""
    assert intervals.wilson(successes / n, n) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0.1, 100))
def test_equal_weights_are_worth_their_number(right: list[bool], weight: float) -> None:
    """The effective size is n for equal weights, for any weight and any number of right answers."""
    found = intervals.effective_n(np.array(right), np.full(len(right), weight))
    assert found == pytest.approx(len(right), rel=1e-9)


def _phones(rng: np.random.Generator, drawn: int, fixes: float, breaks: float) -> tuple[Any, Any, float]:
    """The uploads from ``drawn`` images, a champion at 94 % and rate 0.1: right, weights, and the truth."""
    served = rng.random(drawn) < 0.94
    sent = ~served | (rng.random(drawn) < 0.1)
    weights, served = np.where(served, 10.0, 1.0)[sent], served[sent]
    right = rng.random(len(served)) < np.where(served, 1 - breaks, fixes)
    return right, weights, 0.94 * (1 - breaks) + 0.06 * fixes


@pytest.mark.parametrize(
    ("drawn", "fixes", "breaks"),
    [(1300, 0.0, 0.0), (5000, 0.0, 0.0), (1300, 0.8, 0.005), (5000, 0.8, 0.005), (1300, 0.5, 0.02), (1300, 1.0, 0.0)],
)
def test_the_weighted_interval_covers_the_truth(drawn: int, fixes: float, breaks: float) -> None:
    """The 95 % interval covers the truth at least 93 % of the time, for a champion, challengers and a perfect model."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(600):
        right, weights, truth = _phones(rng, drawn, fixes, breaks)
        share = float(weights[right].sum() / weights.sum())
        low, high = intervals.wilson(share, intervals.effective_n(right, weights))
        hits += low <= truth <= high
    assert hits / 600 >= 0.93


def test_without_weights_the_interval_misses_the_truth() -> None:
    """Negative control: counting corrections and confirmations alike gives 61 % if 94 % is true."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(100):
        right, _, truth = _phones(rng, 1300, 0.0, 0.0)
        low, high = intervals.wilson(float(right.mean()), len(right))
        hits += low <= truth <= high
    assert hits == 0


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390), (100, 81.364, 121.627)]
)
def test_poisson_limits_are_the_published_ones(count: int, low: float, high: float) -> None:
    """Poisson limits equal those of Garwood (1936), 95 % two-sided."""
    assert intervals.poisson_low(count, 0.025) == pytest.approx(low, abs=1e-3)
    assert intervals.poisson_high(count, 0.025) == pytest.approx(high, abs=1e-3)


def test_no_event_leaves_room_for_three() -> None:
    """The rule of three: after zero events the 95 % bound is -ln 0.05."""
    assert intervals.poisson_high(0, 0.05) == pytest.approx(-math.log(0.05), rel=1e-12)


def test_with_equal_weights_the_bound_is_mcnemars_exact_test() -> None:
    """Over all 1,275 tables of up to 49 changes, a gain is shown if exact p ≤ 5 %, and never if p > 6.25 %."""
    for changes in range(50):
        for broken in range(changes + 1):
            fixed = changes - broken
            p = sum(math.comb(changes, k) for k in range(fixed, changes + 1)) / 2**changes
            gains = intervals.weighted_gain([fixed], [broken], [1.0], 0.05)[0] > 0
            assert gains or p > 0.05
            assert p <= 0.0625 or not gains


def _poisson(mean: float, top: int) -> NDArray[np.float64]:
    k = np.arange(top)
    return np.exp(k * math.log(mean) - mean - np.array([math.lgamma(i + 1) for i in k]))


def _pass_rate(images: float, weight: float, gains: Any) -> float:
    """Exact chance of a shown gain if ``images`` are fixed and as many are broken, sampled at rate 1/weight."""
    fixed, broken = _poisson(images, 400), _poisson(images / weight, 120)
    sure = [[gains(f, b) for b in range(120)] for f in range(400)]
    return float(fixed @ np.array(sure, float) @ broken)


@pytest.mark.slow
@pytest.mark.parametrize("images", [2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
@pytest.mark.parametrize("weight", [1.0, 5.0, 10.0, 20.0])
def test_equal_skill_is_rarely_called_a_gain(images: float, weight: float) -> None:
    """The exact chance of a false gain is at most 5 % at every weight and every rate of change."""
    if images / weight > 80:
        weight = 5.0
    rate = _pass_rate(images, weight, lambda f, b: intervals.weighted_gain([f, 0], [0, b], [1.0, weight], 0.05)[0] > 0)
    assert rate <= 0.05


def test_a_naive_bound_calls_equal_skill_a_gain() -> None:
    """Negative control: with the estimated variance, which is 0 without broken confirmations, over 20 % pass."""

    def naive(f: int, b: int) -> bool:
        return f - 10 * b - 1.645 * math.sqrt(f + 100 * b) > 0

    assert _pass_rate(16.0, 10.0, naive) > 0.2


cells = st.lists(st.integers(0, 40), min_size=3, max_size=3)


@settings(deadline=None)
@given(cells, cells, st.integers(0, 2), st.sampled_from([0.005, 0.05]))
def test_one_more_fix_never_lowers_a_bound(fixed: list[int], broken: list[int], where: int, alpha: float) -> None:
    """The bounds are monotone: one more fix, or one break fewer, never lowers them, at any weight."""
    weights = [1.0, 10.0, 33.0]
    low, high = intervals.weighted_gain(fixed, broken, weights, alpha)
    more = [f + (i == where) for i, f in enumerate(fixed)]
    less = [max(0, b - (i == where)) for i, b in enumerate(broken)]
    for pair in ((more, broken), (fixed, less)):
        lower, upper = intervals.weighted_gain(*pair, weights, alpha)
        assert lower >= low - 1e-9
        assert upper >= high - 1e-9
