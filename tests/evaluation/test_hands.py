"""Weights that nothing dominates, and evidence of hands that up to a fifth of them cannot turn."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.evaluation import hands, intervals
from loop.evaluation.hands import Hands

changes = st.lists(st.integers(-20, 20), min_size=2, max_size=30)


def made(change: Any, mass: Any = None) -> Hands:
    """Hands that changed one digit; each has mass 20 unless stated."""
    table, masses = np.zeros((10, len(change))), np.zeros((10, len(change)))
    table[3], masses[3] = change, np.full(len(change), 20.0) if mass is None else mass
    return Hands(table, masses)


@given(st.lists(st.floats(), min_size=1, max_size=60), st.integers(1, 8), st.booleans())
def test_weights_are_finite_for_any_float(raw: list[float], people: int, known: bool) -> None:
    """Whatever floats stand where weights should, each weight is finite, not negative, and at most a bounded share."""
    sources = np.arange(len(raw)) % people if known else None
    weights = hands.weigh_uploads(np.array(raw), sources, 0.01)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    if len(set(weights.tolist())) > 1 and np.count_nonzero(weights) > 2:
        assert weights.max() <= max(0.01, 2 / np.count_nonzero(weights)) * weights.sum() * (1 + 1e-9)
    if sources is not None:
        assert np.isfinite(hands.weigh_hands(weights, sources, 0.05)).all()


def test_one_heavy_upload_weighs_as_much_as_others_do() -> None:
    """No upload weighs more than three hands' heaviest; three hands may weigh more, up to the share of an upload."""
    weights, sources = np.array([1.0, 10.0] * 300), np.arange(600) // 20
    for heavy in (1e3, 1e300, math.inf):
        used = hands.weigh_uploads(np.append(weights, heavy), np.append(sources, 99), 0.01)
        assert used[-1] == 10.0
        assert (used[:-1] == weights).all()
    three = hands.weigh_uploads(np.append(weights, [1e6] * 3), np.append(sources, [97, 98, 99]), 0.01)
    assert three[-1] == pytest.approx(0.01 * three.sum())


@pytest.mark.parametrize(("people", "share"), [(100, 0.03), (50, 0.05), (30, 2 / 30), (10, 0.2), (3, 2 / 3)])
def test_no_hand_weighs_more_than_its_share(people: int, share: float) -> None:
    """One hand with ten times as many uploads as all others together is cut to the stated share; others are not."""
    sources = np.concatenate([np.arange(people), np.zeros(10 * people, np.int64)])
    used = hands.weigh_hands(np.ones(len(sources)), sources, 0.05)
    mass = np.bincount(sources, used)
    assert mass[0] / mass.sum() == pytest.approx(share)
    assert (mass[1:] == 1).all()


def test_the_ceiling_is_the_largest_that_satisfies_the_share() -> None:
    """Of 1, 1, 1, 1, 96 with at most 40 %: 8/3, which is 40 % of 4 + 8/3; without anything to cut it is infinite."""
    assert hands.ceiling(np.array([1.0, 1, 1, 1, 96]), 0.4) == pytest.approx(8 / 3)
    assert hands.ceiling(np.ones(5), 0.4) == math.inf


@pytest.mark.parametrize(
    ("freedom", "alpha", "value"), [(1, 0.05, 6.3138), (2, 0.05, 2.9200), (9, 0.025, 2.2622), (1e5, 0.05, 1.6449)]
)
def test_students_quantiles_are_the_published_ones(freedom: float, alpha: float, value: float) -> None:
    """Quantiles equal the printed tables; a fractional freedom lies between its neighbours."""
    assert intervals.student(freedom, alpha) == pytest.approx(value, abs=1e-4)
    assert intervals.student(2, 0.05) < intervals.student(1.5, 0.05) < intervals.student(1, 0.05)


def test_one_hand_shows_nothing_about_others() -> None:
    """The interval of a single hand is infinite; that of equal hands is empty, and of unequal ones the t interval."""
    assert made([5.0]).half_width(0.05) == math.inf
    assert made([5.0, 5.0, 5.0]).half_width(0.05) == 0
    values = np.array([1.0, 2.0, 6.0]) / 20
    expected = intervals.student(2, 0.05) * float(values.std(ddof=1)) / math.sqrt(3)
    assert made([1.0, 2.0, 6.0]).half_width(0.05) == pytest.approx(expected)


@given(changes, st.data())
def test_a_fifth_of_hands_decides_nothing_alone(honest: list[int], data: Any) -> None:
    """If the honest hands do not gain, no lies of up to a fifth of all hands make a gain that survives, nor a loss."""
    liars = len(honest) // 4  # a fifth of all
    lies = data.draw(st.lists(st.integers(-20, 20), min_size=liars, max_size=liars))
    together = made([*honest, *lies])
    if liars and sum(honest) <= 0:
        assert together.without_best(0.2) <= 1e-12
    if liars and sum(honest) >= 0:
        assert together.without_worst(0.2) >= -1e-12


@given(changes, st.integers(0, 1000), st.sampled_from([-0.02, 0.0, 0.005]))
def test_one_more_fix_never_takes_a_survival_away(change: list[int], which: int, threshold: float) -> None:
    """The sign of the gain without the best, or the worst, never falls with one more fix of any hand."""
    more = [*change]
    more[which % len(change)] += 1
    for rest in ("without_best", "without_worst"):
        old = getattr(made(change), rest)(0.2, threshold)
        new = getattr(made(more), rest)(0.2, threshold)
        assert new > -1e-12 or old < 1e-12


def _bounds(change: list[int]) -> NDArray[np.float64]:
    found = made(change)
    return np.array([-1, 1]) * found.half_width(0.05) + sum(change) / (20 * len(change))


@settings(max_examples=300)
@given(st.lists(st.integers(-20, 20), min_size=5, max_size=30), st.integers(0, 1000))
def test_a_fix_raises_the_bound_on_the_side_of_the_other_hands(change: list[int], which: int) -> None:
    """One more fix of a hand below the average never lowers the lower bound; above it, never the upper one."""
    which %= len(change)
    more = [*change]
    more[which] += 1
    mean = sum(more) / len(more)
    before, after = _bounds(change), _bounds(more)
    if more[which] <= mean:
        assert after[0] >= before[0] - 1e-12
    if change[which] >= mean:
        assert after[1] >= before[1] - 1e-12


def test_a_fix_of_a_hand_far_above_the_others_may_lower_the_bound() -> None:
    """Where monotony ends: a hand that gains ever more than the others shows that hands differ, not that all gain."""
    assert _bounds([1, 2, 1, 2, 20])[0] < _bounds([1, 2, 1, 2, 10])[0]
