"""How accurate a model is for all users: answers of the random arm and users' words, weighted by inverse chances.

Digits of one hand resemble each other, so the interval counts hands: the variance is that of the hands' weighted
deviations, and the quantile is Student's for so many hands. Pure functions.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals
from loop.evaluation.intervals import Interval


def drawn_words(
    weights: NDArray[np.float64], usual: float, lots: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The rows of the words that win, and their weights.

    Every word reaches the server, so its weight ``(n,)`` is small. It wins with the chance weight/``usual`` and then
    weighs ``usual``, which answers by lot do: no sum is expected to change, and a sample of equal weights is one that
    no few items rule. A word that weighs more than ``usual`` stays as it is. ``lots (n,)`` are uniform in [0, 1).
    """
    won = np.flatnonzero(lots * usual < weights)
    return won, np.maximum(weights[won], usual)


def interval(
    right: NDArray[np.bool_], weights: NDArray[np.float64], sources: NDArray[np.int64], confidence: float = 0.95
) -> Interval:
    """Two-sided interval of the weighted share of ``right``; all arrays ``(n,)``. ``(0, 1)`` for ``n = 0``.

    A score interval (Wilson 1927) at the number of equally weighted items that would be as informative: ``p(1-p)/var``,
    with the linearised variance of the Hájek ratio between hands, or that of single items if it is larger. As in
    ``intervals.effective_n``, one item of the heaviest weight is added as right and one as wrong, so that an error that
    was not observed does not count as impossible.
    """
    n = len(weights)
    if n == 0:
        return 0.0, 1.0
    hand = np.unique(sources, return_inverse=True)[1]
    hands, heaviest = int(hand.max()) + 1, float(weights.max())
    total = float(weights.sum()) + 2 * heaviest
    p = (float(weights[right].sum()) + heaviest) / total
    deviations = weights * (right - p)
    between = float((np.bincount(hand, deviations) ** 2).sum()) * hands / max(hands - 1, 1)
    squares = max(between, float((deviations**2).sum())) + heaviest**2 * ((1 - p) ** 2 + p**2)
    size = p * (1 - p) * total**2 / squares * n / (n + 2)
    tail = (1 - confidence) / 2
    fewer = NormalDist().inv_cdf(1 - tail) / intervals.student(max(hands - 1, 1), tail)
    return intervals.wilson(float(weights[right].sum() / weights.sum()), size * fewer**2, confidence)
