"""Two models on one slice: what the challenger fixed and broke, and bounds of its gain."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import hands, intervals
from loop.evaluation.hands import Hands
from loop.evaluation.scoring import Score
from loop.evaluation.verdict import Policy

Bounds = tuple[float, float, float]
"""Estimate, lower and upper bound of a gain, in points."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Two models on one slice: counts of what the challenger fixed and broke, by digit and by weight.

    ``weights`` are the ``h`` distinct weights; ``fixed`` and ``broken`` ``(10, h)`` count images; ``n`` and ``mass``
    ``(10,)`` are the images of each digit and the sum of their weights. ``hands`` is what each hand changed, with the
    weights that remain after the cap on each hand's share, if the slice has sources; then ``stretch`` is how much wider
    a standard error of uploads is with these weights, and ``spread`` the deviation of true gains between hands, in
    points. ``before`` and ``after`` are both models' weighted shares of right answers.
    """

    weights: list[float]
    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]
    n: NDArray[np.int64]
    mass: NDArray[np.float64]
    before: float
    after: float
    hands: Hands | None = None
    stretch: float = 1.0
    spread: float = 0.0

    def gain(self, alpha: float, digit: int | None = None) -> Bounds:
        """Estimate, lower bound and upper bound (each one-sided, level ``alpha``) of the gain in points.

        Of two intervals the wider end counts, on each side: exact counts of uploads, widened by the differences between
        hands, which few hands cannot show; and the cluster-robust interval, which sees differences larger than that.
        """
        estimate, low, high = self._of_uploads(alpha, digit)
        if self.hands is not None:
            mass = float(hands.of(self.hands.mass, digit).sum())
            below, above = (self.stretch * (estimate - low), self.stretch * (high - estimate))
            estimate = 100 * float(hands.of(self.hands.change, digit).sum()) / max(mass, 1e-9)
            between = intervals.normal(alpha) * self.hands.spread_of_mean(self.spread, digit)
            clustered = 100 * self.hands.half_width(alpha, digit)
            low = estimate - max(math.hypot(below, between), clustered)
            high = estimate + max(math.hypot(above, between), clustered)
        return estimate, max(low, -100.0), min(high, 100.0)

    def counts(self, n: int, bounds: Bounds) -> dict[str, Any]:
        """What changed among ``n`` images, and the bounds, as numbers of a reason."""
        gain, low, high = bounds
        changed = {"n": n, "fixed": int(self.fixed.sum()), "broken": int(self.broken.sum())}
        return changed | {"gain_points": gain, "gain_at_least": low, "gain_at_most": high}

    def by_digit(self, bounds: list[Bounds]) -> dict[str, Any]:
        """The same for each digit."""
        return {
            "n": self.n.tolist(),
            "fixed": self.fixed.sum(axis=1).tolist(),
            "broken": self.broken.sum(axis=1).tolist(),
            "gain_points": [gain for gain, _, _ in bounds],
            "gain_at_least": [low for _, low, _ in bounds],
            "gain_at_most": [high for _, _, high in bounds],
        }

    def _of_uploads(self, alpha: float, digit: int | None) -> Bounds:
        rows = slice(None) if digit is None else slice(digit, digit + 1)
        fixed, broken = self.fixed[rows].sum(axis=0).tolist(), self.broken[rows].sum(axis=0).tolist()
        scale = 100 / max(float(self.mass[rows].sum()), 1e-9)
        low, high = intervals.weighted_gain(fixed, broken, self.weights, alpha)
        estimate = sum(w * (f - b) for w, f, b in zip(self.weights, fixed, broken, strict=True))
        return estimate * scale, low * scale, high * scale


def pair(champion: Score, challenger: Score, policy: Policy) -> Pairs:
    """Count what changed between two scores of the same slice, with the weights that the policy allows."""
    sources, labels = challenger.sources, challenger.labels.astype(np.intp)
    each = hands.weigh_uploads(challenger.weights, sources, policy.upload_share)
    weights, cell = np.unique(each, return_inverse=True)
    h = max(len(weights), 1)
    before, after = champion.right, challenger.right

    def count(where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(labels[where] * h + cell[where], minlength=10 * h).reshape(10, h)

    n = np.bincount(labels, minlength=10)
    mass = np.bincount(labels, each, minlength=10).astype(np.float64)
    found, stretch, used = None, 1.0, each
    if sources is not None and len(labels):
        used = hands.weigh_hands(each, sources, policy.hand_share)
        stretch = max(1.0, math.sqrt(_dispersion(used) / _dispersion(each)))
        found = hands.tally(challenger.labels, after.astype(np.float64) - before, used, sources)
    return Pairs(
        weights=weights.tolist() or [1.0],
        fixed=count(~before & after),
        broken=count(before & ~after),
        n=n,
        mass=mass,
        before=_share(before, used),
        after=_share(after, used),
        hands=found,
        stretch=stretch,
        spread=policy.hand_spread_points,
    )


def _share(right: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    total = float(weights.sum())
    return float(weights[right].sum()) / total if total else math.nan


def _dispersion(weights: NDArray[np.float64]) -> float:
    return float(weights @ weights) / max(float(weights.sum()) ** 2, 1e-300) or 1.0
