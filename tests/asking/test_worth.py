"""Learning curves of the two arms: what they need to reach an accuracy, and how sure that is."""

import math

import numpy as np
import pytest

from loop.asking import worth
from loop.asking.worth import ASKED, RANDOM, Judges, Point, Task

JUDGED = 2_000
EVEN = Judges(np.ones(JUDGED), np.arange(JUDGED) // 20)


def point(arm: str, labels: int, accuracy: float, seed: int = 0) -> Point:
    """A model that reads this share of the judging answers, the same share of each hand."""
    right = np.random.default_rng([labels, seed]).permutation(JUDGED) < accuracy * JUDGED
    return Point(arm, labels, seed, right)


BASE = point("base", 0, 0.90)


def steep_and_flat(noise: float = 0.0) -> list[Point]:
    """The asked arm gains four times as fast as the random arm."""
    random = np.random.default_rng(0)
    found = []
    for arm, factor in ((ASKED, 4), (RANDOM, 1)):
        for size in (25, 50, 100, 200, 400):
            accuracy = 0.90 + 0.08 * (1 - math.exp(-factor * size / 400))
            found += [point(arm, size, accuracy + noise * random.standard_normal(), seed) for seed in range(3)]
    return found


def test_every_size_once_before_a_second_seed() -> None:
    """What fits into the time compares both arms at every size; no arm is asked for labels that it lacks."""
    found = list(worth.tasks({ASKED: 120, RANDOM: 30}, 2))
    first = [Task(ASKED, 10, 0), Task(RANDOM, 10, 0), Task(ASKED, 25, 0), Task(RANDOM, 25, 0)]
    assert found[:6] == [*first, Task(ASKED, 50, 0), Task(ASKED, 100, 0)]
    assert [each.seed for each in found] == [0] * 6 + [1] * 6


def test_fewer_asked_labels_reach_the_same() -> None:
    """At four times the pace, a quarter of the labels; the interval contains it."""
    found = worth.reach(steep_and_flat(), BASE, EVEN, 0.94)
    assert found is not None
    asked, random = found.labels[ASKED], found.labels[RANDOM]
    assert random.value / asked.value == pytest.approx(4, rel=0.15)
    assert asked.low < asked.value < asked.high < random.low
    assert worth.in_words(found).startswith("to reach 94.0 %: ")


def test_the_target_is_what_both_reach() -> None:
    """By default the random arm's best, in tenths of a point; a target beyond it needs more than was measured."""
    points = steep_and_flat()
    found = worth.reach(points, BASE, EVEN, None)
    assert found is not None
    assert found.target == pytest.approx(0.951)
    assert math.isfinite(found.labels[RANDOM].value)
    beyond = worth.reach(points, BASE, EVEN, 0.97)
    assert beyond is not None
    assert beyond.labels[RANDOM].value == math.inf
    assert "more than measured random" in worth.in_words(beyond)


def test_no_gain_has_no_target() -> None:
    """Where the labels teach nothing, there is nothing to reach."""
    points = [point(arm, size, 0.90) for arm in worth.ARMS for size in (25, 50)]
    assert worth.reach(points, BASE, EVEN, None) is None


def test_a_curve_never_falls_and_starts_at_the_base() -> None:
    """Chance may let a larger size score less; the curve pools such sizes."""
    points = [point(ASKED, 10, 0.95), point(ASKED, 25, 0.93), point(RANDOM, 10, 0.91)]
    found = worth.curves(points, BASE, EVEN)
    assert [size.labels for size in found[ASKED]] == [0, 10, 25]
    assert [size.accuracy.value for size in found[ASKED]] == pytest.approx([0.90, 0.94, 0.94])
    assert [size.labels for size in found[RANDOM]] == [0, 10]


def test_both_curves_begin_at_the_base() -> None:
    """A training by chance worse than the base moves neither the base nor what the other arm is compared with."""
    points = [point(ASKED, 10, 0.88), point(ASKED, 25, 0.95), point(RANDOM, 10, 0.91)]
    found = worth.curves(points, BASE, EVEN)
    assert found[ASKED][0].accuracy.value == pytest.approx(found[RANDOM][0].accuracy.value, abs=1e-6)
    assert [size.accuracy.value for size in found[ASKED]] == pytest.approx([0.90, 0.90, 0.95], abs=1e-6)


def test_hands_that_are_harder_to_read_do_not_move_the_labels() -> None:
    """Half of the hands are misread by every model: the accuracy is uncertain, what the labels gain is not."""
    hard = np.arange(JUDGED) % 400 < 200

    def all_wrong(each: Point) -> Point:
        return Point(each.arm, each.labels, each.seed, each.right & ~hard)

    points = [all_wrong(each) for each in steep_and_flat()]
    found = worth.reach(points, all_wrong(BASE), EVEN, None)
    assert found is not None
    asked = found.labels[ASKED]
    assert 0 < asked.low < asked.value < asked.high < math.inf
    size = worth.curves(points, all_wrong(BASE), EVEN)[ASKED][-1].accuracy
    assert size.high - size.low > 0.1


def test_few_judging_hands_widen_the_interval() -> None:
    """If one hand's digits cause the gain, the interval says so."""
    few = Judges(EVEN.weights, np.arange(JUDGED) // (JUDGED // 4))
    right = BASE.right.copy()
    right[: JUDGED // 4] = True
    points = [Point(arm, 25, 0, right) for arm in worth.ARMS]
    wide, narrow = (worth.curves(points, BASE, judges)[ASKED][1].accuracy for judges in (few, EVEN))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_interval_holds_the_truth() -> None:
    """Of 60 noisy experiments with three seeds, nine in ten intervals hold the number of labels of the true curve."""
    truth = -100 * math.log(1 - 0.04 / 0.08)
    hits = 0
    for trial in range(60):
        random = np.random.default_rng(trial)
        points = []
        for size in (25, 50, 100, 200, 400):
            share = 0.90 + 0.08 * (1 - math.exp(-size / 100))
            points += [Point(ASKED, size, seed, random.random(JUDGED) < share) for seed in range(3)]
        base = Point("base", 0, 0, random.random(JUDGED) < 0.90)
        found = worth.reach([*points, point(RANDOM, 25, 0.9)], base, EVEN, 0.94)
        assert found is not None
        hits += found.labels[ASKED].low <= truth <= found.labels[ASKED].high
    assert hits >= 50


def test_without_judges_there_is_no_curve() -> None:
    """A bug in our own code: the caller says first that there is too little to judge."""
    with pytest.raises(ValueError, match="judges"):
        worth.curves([], Point("base", 0, 0, np.zeros(0, np.bool_)), Judges(np.zeros(0), np.zeros(0, np.int64)))
