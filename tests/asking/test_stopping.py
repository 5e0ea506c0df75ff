"""When to stop asking: each signal keeps the pace, all of them low let it fall, and what is new raises it."""

import numpy as np
import pytest

from loop.asking import stopping
from loop.asking.stopping import Signals

QUIET = Signals(fixes=1.0, changed=0.0002, contradicted=0.001)


def test_the_pace_falls_when_little_is_left() -> None:
    """In proportion to the signal that says most, never below the least, and the words say what is expected."""
    found = stopping.pace(QUIET, 200, 5)
    assert found.per_day == 20
    assert found.reasons == (
        "20 questions a day instead of ask.per_day (200)",
        "another 100 answers are expected to fix about 1 digits in 10,000",
        "the last two champions read 0.0 % of what people draw differently",
        "0.1 % of the last answers by lot contradicted the phones' model",
    )
    assert stopping.pace(QUIET, 200, 50).per_day == 50
    assert stopping.pace(QUIET, 30, 50).per_day == 30


@pytest.mark.parametrize("loud", [{"fixes": 12.0}, {"changed": 0.01}, {"contradicted": 0.05}])
def test_one_loud_signal_keeps_the_pace(loud: dict[str, float]) -> None:
    """Each signal is blind to something, so the pace only falls if all that are known are low."""
    found = stopping.pace(Signals(**{"fixes": 1.0, "changed": 0.0, "contradicted": 0.0} | loud), 200, 5)
    assert found.per_day == 200
    assert found.reasons[0] == "there is enough to learn for ask.per_day (200)"


def test_drawings_of_a_new_kind_overrule() -> None:
    """Whatever the curve of the past says."""
    found = stopping.pace(Signals(1.0, 0.0, 0.0, new_kind=0.3), 200, 5)
    assert found.per_day == 200
    assert found.reasons[0] == "30 % of the newest drawings are unlike everything labelled: ask.per_day 200"
    assert stopping.pace(Signals(1.0, 0.0, 0.0, new_kind=0.02), 200, 5).per_day == 20


def test_one_signal_is_too_little() -> None:
    """A deployment that knows almost nothing asks as it was told to."""
    found = stopping.pace(Signals(contradicted=0.0), 200, 5)
    assert (found.per_day, found.reasons[0]) == (200, "too little is known to ask less than ask.per_day (200)")


def test_the_expectation_follows_the_curve() -> None:
    """Within the curve what it shows; beyond it the last gains for each doubling, less and less for a hundred."""
    labels, accuracies = [0, 100, 200, 400], [0.95, 0.97, 0.98, 0.99]
    assert stopping.fixes(labels, accuracies, 100) == pytest.approx(100)
    assert stopping.fixes(labels, accuracies, 400) == pytest.approx(10_000 * 0.01 * np.log2(5 / 4))
    ahead = [stopping.fixes(labels, accuracies, taught) or 0.0 for taught in (400, 500, 1_000, 10_000)]
    assert ahead == sorted(ahead, reverse=True)
    assert stopping.fixes(labels, accuracies, 10**6) == pytest.approx(0, abs=0.1)  # nothing is better than all right
    assert stopping.fixes([0, 10], [0.9, 0.95], 10) is None


def test_a_flat_curve_expects_nothing() -> None:
    """Zero, not a little."""
    assert stopping.fixes([0, 100, 200], [0.99, 0.99, 0.99], 500) == 0


def test_what_is_new_is_far_from_what_is_known() -> None:
    """Drawings like the labelled are not new; those in another direction are; few say nothing."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((10, 32))
    labelled = np.float32(centres[np.arange(600) % 10] + 0.2 * random.standard_normal((600, 32)))
    alike = np.float32(centres[np.arange(200) % 10] + 0.2 * random.standard_normal((200, 32)))
    other = np.float32(random.standard_normal(32) + 0.2 * random.standard_normal((200, 32)))
    assert (stopping.new_kind(alike, labelled) or 0) < 0.05
    assert stopping.new_kind(other, labelled) == 1.0
    mixed = np.concatenate([alike[:150], other[:50]])
    assert stopping.new_kind(mixed, labelled) == pytest.approx(0.25, abs=0.04)
    assert stopping.new_kind(alike[:10], labelled) is None


def test_changes_are_weighted() -> None:
    """A drawing that phones send once in a hundred counts for a hundred."""
    before, now = np.zeros(100, np.intp), np.zeros(100, np.intp)
    now[0] = 1
    weights = np.ones(100)
    assert stopping.changed(before, now, weights) == pytest.approx(0.01)
    weights[0] = 100
    assert stopping.changed(before, now, weights) == pytest.approx(100 / 199)
    assert stopping.changed(before[:5], now[:5], weights[:5]) is None
    assert stopping.contradicted(99, 3) is None
    assert stopping.contradicted(200, 3) == 0.015
