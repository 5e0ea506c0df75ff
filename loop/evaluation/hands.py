"""Evidence of people, not of uploads: weights that no upload and no hand dominates, and bounds that hold for new hands.

Digits of one hand resemble each other, so uploads of one hand are not independent, and a stranger can send any number
of them. Pure functions of what each hand changed: no randomness, no scipy.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals

Floats = NDArray[np.float64]

HEAVIEST = 1e9
"""Larger weights, and infinite ones, count as this before other limits apply."""
TINY = 1e-300
"""Instead of a zero as a divisor."""
SUPPORT_HANDS = 3
"""No upload weighs more than the heaviest weight that this many hands have."""


@dataclass(frozen=True, slots=True, eq=False)
class Hands:
    """What each of ``g`` hands changed: ``change`` and ``mass`` ``(10, g)``, by digit.

    ``change`` is the sum of weights that the challenger fixed minus those that it broke; ``mass`` the sum of weights.
    """

    change: Floats
    mass: Floats

    @property
    def count(self) -> int:
        """The number of hands."""
        return int(self.mass.shape[1])

    def effective(self, digit: int | None = None) -> float:
        """The number of hands of equal mass that would be as informative (Kish 1965)."""
        mass = of(self.mass, digit)
        squares = float(mass @ mass)
        return 0.0 if squares == 0 else float(mass.sum()) ** 2 / squares

    def spread_of_mean(self, spread: float, digit: int | None = None) -> float:
        """The standard error of the gain that differences between hands alone cause, at deviation ``spread``."""
        effective = self.effective(digit)
        return spread / math.sqrt(effective) if effective else spread

    def half_width(self, alpha: float, digit: int | None = None) -> float:
        """Half the width of the cluster-robust t interval of the gain, as a share; one side has level ``alpha``.

        The standard error is the jackknife's: leave out each hand once (CR3; MacKinnon, Nielsen and Webb 2023). The
        degrees of freedom are the effective number of hands minus one. Infinite for a single hand.
        """
        change, mass = of(self.change, digit), of(self.mass, digit)
        drawn = mass > 0
        change, mass, total = change[drawn], mass[drawn], float(mass.sum())
        g = len(mass)
        if g < 2:
            return math.inf
        gain = float(change.sum()) / total
        moved = (change - gain * mass) / (total - mass)  # what the gain loses when this hand is left out
        error = math.sqrt((g - 1) / g * float(moved @ moved))
        return intervals.student(max(self.effective(digit) - 1, 0.5), alpha) * error

    def without_best(self, share: float, threshold: float = 0.0, digit: int | None = None) -> float:
        """How far the gain of the other hands exceeds ``threshold`` if the ``share`` of hands that contribute most to
        it is left out (at least one hand). All three are shares, not points.

        Up to that share of hands, whatever they send, cannot make this positive where it is negative without them: the
        sum of the lowest values is at most the sum over any other choice of as many. One more fix never lowers its
        sign.
        """
        return self._rest(share, threshold, digit, best=True)

    def without_worst(self, share: float, threshold: float = 0.0, digit: int | None = None) -> float:
        """The same without the hands that contribute least; no such share of hands can make it negative."""
        return self._rest(share, threshold, digit, best=False)

    def dropped(self, share: float) -> int:
        """How many hands are left out."""
        return max(1, math.floor(share * self.count + 1e-9))

    def _rest(self, share: float, threshold: float, digit: int | None, *, best: bool) -> float:
        change, mass = of(self.change, digit), of(self.mass, digit)
        over = change - threshold * mass
        kept = np.argsort(-over if best else over, kind="stable")[self.dropped(share) :]
        return float(over[kept].sum()) / max(float(mass[kept].sum()), TINY)


def tally(labels: NDArray[np.uint8], change: Floats, weights: Floats, sources: NDArray[np.int64]) -> Hands:
    """Sum up each hand's changes (-1, 0, 1 for each upload) by digit."""
    known, hand = np.unique(sources, return_inverse=True)
    cells, g = labels.astype(np.intp) * len(known) + hand, len(known)

    def total(of: Floats) -> Floats:
        return np.bincount(cells, of, minlength=10 * g).astype(np.float64).reshape(10, g)

    return Hands(total(weights * change), total(weights))


def weigh_uploads(weights: Floats, sources: NDArray[np.int64] | None, share: float) -> Floats:
    """The weights ``(n,)``, finite and bounded for each upload; they do not depend on any answer.

    No upload weighs more than the heaviest weight that three hands have, nor more than ``share`` of the slice (or two
    equal shares of it, if that is more). A weight below 1 counts as 1, since no rate exceeds 1; one that is no positive
    number as 0, infinity as very heavy.
    """
    weights = np.where(weights > 0, np.clip(weights, 1.0, HEAVIEST), 0.0)  # NaN is not above 0
    if not weights.any() or weights.min() == weights.max():
        return weights
    hand = np.arange(len(weights)) if sources is None else np.unique(sources, return_inverse=True)[1]
    heaviest = np.zeros(int(hand.max()) + 1)
    np.maximum.at(heaviest, hand, weights)
    heaviest = np.sort(heaviest[heaviest > 0])
    weights = np.minimum(weights, heaviest[-min(SUPPORT_HANDS, len(heaviest))])
    bounded: Floats = np.minimum(weights, ceiling(weights, max(share, 2 / np.count_nonzero(weights))))
    return bounded


def weigh_hands(weights: Floats, sources: NDArray[np.int64], share: float) -> Floats:
    """The weights ``(n,)``, lowered so that no hand's sum is too much of the slice.

    No hand weighs more than ``share`` or three equal shares, whichever is less, but may always weigh two equal shares.
    A hand with few uploads counts as a part of a hand here, so that one more upload of a new hand changes little.
    """
    hand = np.unique(sources, return_inverse=True)[1]
    mass = np.bincount(hand, weights).astype(np.float64)
    usual = float(np.median(mass[mass > 0])) if mass.any() else 0.0
    g = float(np.minimum(1.0, mass / usual).sum()) if usual else 0.0
    if g <= 2:
        return weights
    most = ceiling(mass, max(min(share, 3 / g), 2 / g))
    lowered: Floats = weights * np.minimum(1.0, most / np.maximum(mass, TINY))[hand]
    return lowered


def ceiling(values: Floats, share: float) -> float:
    """The largest ``c`` for which no ``min(value, c)`` is more than ``share`` of their sum; infinite if none is."""
    ordered = np.sort(values)[::-1]
    rest = float(ordered.sum())
    for above, value in enumerate(ordered.tolist()):
        # The ``above`` largest are cut to c, the rest stay: c = share * (above * c + rest).
        if above * share >= 1:
            return 0.0
        cut = share * rest / (1 - above * share)
        if value <= cut:
            return cut if above else math.inf
        rest -= value
    return 0.0


def of(table: Floats, digit: int | None) -> Floats:
    """The row of a digit, or the sum of all."""
    row: Floats = table.sum(axis=0) if digit is None else table[digit]
    return row
