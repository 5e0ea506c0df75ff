"""Interval estimates that stay valid at the extremes: few errors, unequal weights, no observations.

Pure arithmetic, used by ``scoring`` (how accurate is one model) and ``gate`` (which of two is better). No scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # arrays come from callers; `loop status` has none
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]


def wilson(proportion: float, n: float, confidence: float = 0.95) -> Interval:
    """Two-sided score interval (Wilson 1927) of a proportion observed in ``n`` items; ``n`` may be an effective size.

    Returns ``(0, 1)`` for ``n = 0``. A one-sided bound at level ``alpha`` is one end at ``confidence = 1 - 2 * alpha``.
    """
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (proportion + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n))
    # At 0 and 1 the formula is exact but floating-point rounding is not, and an interval at 1 must contain 1.
    return (0.0 if proportion == 0 else centre - half), (1.0 if proportion == 1 else centre + half)


def effective_n(right: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """The number of equally weighted items that would be as informative about the weighted share of ``right``.

    ``p(1-p)/var(p)`` with the linearised variance of the Hájek ratio, ``sum(w^2 (right-p)^2) / sum(w)^2``.
    Kish's ``sum(w)^2 / sum(w^2)`` ignores that the weight depends on the answer being right (corrections weigh 1,
    confirmations 1/rate): for 78 corrections and 122 confirmations at rate 0.1 it gives 137, the variance gives 842.
    An error that was not observed must not count as impossible, so one item of the heaviest weight is added as right
    and one as wrong (511 remain). Equal weights still give exactly ``n``. The tests measure the coverage.
    """
    if len(weights) == 0:
        return 0.0
    squares = weights * weights
    return effective_size(
        len(weights),
        float(weights.max()),
        (float(weights[right].sum()), float(weights[~right].sum())),
        (float(squares[right].sum()), float(squares[~right].sum())),
    )


def effective_size(n: int, heaviest: float, sums: tuple[float, float], squares: tuple[float, float]) -> float:
    """``effective_n`` from sums alone: the weights of right and of wrong items, and the squares of those weights."""
    if n == 0:
        return 0.0
    hits, misses = squares[0] + heaviest**2, squares[1] + heaviest**2
    total = sum(sums) + 2 * heaviest
    p = (sums[0] + heaviest) / total
    variance = (hits * (1 - p) ** 2 + misses * p**2) / total**2
    return p * (1 - p) / variance * n / (n + 2)


@cache
def poisson_low(count: int, alpha: float) -> float:
    """Exact lower bound at level ``alpha`` of a Poisson mean after ``count`` events (Garwood 1936)."""
    if count == 0:
        return 0.0
    return _bisect(lambda mean: _at_least(count, mean) - alpha, 0.0, float(count))


@cache
def poisson_high(count: int, alpha: float) -> float:
    """Exact upper bound at level ``alpha`` of a Poisson mean; about 3 at 5 % after zero events (rule of three)."""
    return _bisect(lambda mean: alpha - _at_most(count, mean), float(count), count + 30 + 10 * math.sqrt(count))


@cache
def normal(alpha: float) -> float:
    """The upper quantile at level ``alpha`` of the normal distribution."""
    return NormalDist().inv_cdf(1 - alpha)


@lru_cache(maxsize=4096)
def student(freedom: float, alpha: float) -> float:
    """The upper quantile at level ``alpha`` of Student's t with ``freedom`` > 0 degrees of freedom, not only integers.

    The tail is half the regularised incomplete beta function ``I(f / (f + t²); f/2, 1/2)`` (Abramowitz and Stegun,
    26.7.1), by its continued fraction.
    """
    return _bisect(lambda t: alpha - _beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2, 0.0, 1e9)


def weighted_gain(fixed: Sequence[int], broken: Sequence[int], weights: Sequence[float], alpha: float) -> Interval:
    """One-sided bounds, each at level ``alpha``, of ``sum(weight * (fixed - broken))`` in weighted images.

    Cell ``i`` contains the items of weight ``weights[i]``: the numbers that the challenger fixed and broke. The number
    of images that people draw is not fixed in advance, so the counts are independent Poisson variables. Their exact
    limits are combined by the squares of their distances from the counts (MOVER, Zou and Donner 2008; MLS,
    Krishnamoorthy, Peng and Zhang 2016). The rule of three applies to an empty cell: zero broken confirmations at
    rate 0.1 are compatible with thirty broken images. Empty cells are bounded together, at the heaviest
    weight among them. One more fix, or one break fewer, never lowers either bound.
    """
    gain = sum(w * (f - b) for w, f, b in zip(weights, fixed, broken, strict=True))
    low = gain - math.hypot(_below(fixed, weights, alpha), _above(broken, weights, alpha))
    high = gain + math.hypot(_above(fixed, weights, alpha), _below(broken, weights, alpha))
    return low, high


def _below(counts: Sequence[int], weights: Sequence[float], alpha: float) -> float:
    return math.hypot(*(w * (k - poisson_low(k, alpha)) for k, w in zip(counts, weights, strict=True) if k))


def _above(counts: Sequence[int], weights: Sequence[float], alpha: float) -> float:
    seen = (w * (poisson_high(k, alpha) - k) for k, w in zip(counts, weights, strict=True) if k)
    unseen = max((w for k, w in zip(counts, weights, strict=True) if not k), default=0.0)
    return math.hypot(*seen, unseen * poisson_high(0, alpha))


def _at_least(count: int, mean: float) -> float:
    """``P(X >= count)`` for ``mean <= count``: the terms decrease from the first on."""
    return _probability(count, mean) * _series(mean / (count + j) for j in range(1, 10_000_000))


def _at_most(count: int, mean: float) -> float:
    """``P(X <= count)`` for ``mean >= count``: the terms decrease from ``count`` down."""
    return _probability(count, mean) * _series((count - j) / mean for j in range(count))


def _probability(count: int, mean: float) -> float:
    if mean <= 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _series(ratios: Iterable[float]) -> float:
    total = term = 1.0
    for ratio in ratios:
        term *= ratio
        total += term
        if term < 1e-15 * total:
            break
    return total


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return front * value


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where ``rising`` crosses zero in ``[low, high]``, to the last bit of a float."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return middle


def binomial_at_least(count: int, n: int, share: float) -> float:
    """Return the probability of at least ``count`` successes in ``n`` independent trials of chance ``share``."""
    if count <= 0:
        return 1.0
    if not 0 < share < 1:
        return float(share >= 1 and count <= n)
    log_odds, logs = math.log(share) - math.log1p(-share), []
    for k in range(count, n + 1):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        logs.append(ways + k * log_odds + n * math.log1p(-share))
    return min(1.0, math.fsum(map(math.exp, logs)))
