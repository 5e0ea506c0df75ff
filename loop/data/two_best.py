"""The two best of a model's ten probabilities: what a drawing says about the model that could not decide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loop.errors import BadField

DIGITS = 10
SUM_TOLERANCE = 1e-3
"""Probabilities of a phone are float16, or rounded."""


@dataclass(frozen=True, slots=True)
class TwoBest:
    """The best digit and its probability, and the second."""

    digit: int
    share: float
    second: int
    second_share: float


def most_in_sum(best: float, second: float) -> float:
    """The largest sum of ten probabilities of which these are the two best: no other is above ``second``."""
    return math.fsum([best, *[second] * (DIGITS - 1)])


def two_best(probabilities: Sequence[float]) -> TwoBest:
    """Of equal ones the smaller digit is the better. Raises ``BadField`` unless they are ten from 0 to 1 that sum to 1,
    within ``SUM_TOLERANCE``.
    """
    if len(probabilities) != DIGITS:
        raise BadField(f"probabilities: expected ten, for the digits 0 to 9, got {len(probabilities)}; send all ten")
    for digit, share in enumerate(probabilities):
        if not 0 <= share <= 1:  # also not a number
            raise BadField(f"probabilities: expected numbers from 0 to 1, got {share} for digit {digit}; correct it")
    total = math.fsum(probabilities)
    if abs(total - 1) > SUM_TOLERANCE:
        raise BadField(f"probabilities: expected a sum of 1 within {SUM_TOLERANCE}, got {total:.4f}; send them all")
    first, second = sorted(range(DIGITS), key=lambda digit: -probabilities[digit])[:2]
    return TwoBest(first, probabilities[first], second, probabilities[second])
