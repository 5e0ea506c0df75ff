"""k-center, or core-set (Sener and Savarese 2018): the farther from all that is labelled or chosen, the more wanted."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice

_LABELLED_AT_ONCE = 256


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """Greedily, each time the drawing farthest from its nearest labelled or chosen one. Scores are squared distances.

    Where nothing is labelled, the seed decides the first drawing.
    """
    points = candidates.embeddings.astype(np.float64)
    lengths = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(candidates.labelled), _LABELLED_AT_ONCE):
        centres = candidates.labelled[start : start + _LABELLED_AT_ONCE].astype(np.float64)
        between = lengths[:, None] - 2 * (points @ centres.T) + np.einsum("ij,ij->i", centres, centres)
        nearest = np.minimum(nearest, between.min(axis=1))
    return _farthest_first(points, lengths, nearest, count, seed)


def _farthest_first(
    points: NDArray[np.float64], lengths: NDArray[np.float64], nearest: NDArray[np.float64], count: int, seed: int
) -> Choice:
    rows: list[int] = []
    scores: list[float] = []
    free = np.ones(len(points), np.bool_)
    for _ in range(min(count, len(points))):
        far = np.where(free, nearest, -np.inf)
        row = int(far.argmax()) if rows or np.isfinite(nearest).all() else _any_row(len(points), seed)
        before = nearest[row]
        nearest = np.minimum(nearest, lengths - 2 * (points @ points[row]) + lengths[row])
        rows.append(row)
        scores.append(max(float(before if np.isfinite(before) else nearest.max()), 0.0))
        free[row] = False
    return Choice(np.array(rows, np.intp), np.array(scores, np.float64))


def _any_row(n: int, seed: int) -> int:
    return int(np.random.default_rng(seed).integers(n))
