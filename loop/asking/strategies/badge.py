"""BADGE (Ash and others 2020): k-means++ on the gradients that each drawing would cause in the last layer.

The gradient of a drawing is the outer product of ``probabilities - onehot(best digit)`` and its embedding: long where
the model is unsure, and pointing elsewhere for another kind of drawing. The product is never formed: the distance of
two outer products follows from the two factors.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The longest gradient first; then each with the chance of its squared distance to the nearest chosen one.

    Scores are these squared distances.
    """
    errors = errors_of(candidates.probabilities)
    points = candidates.embeddings.astype(np.float64)
    lengths = lengths_of(errors, points)
    random = np.random.default_rng(seed)
    rows: list[int] = []
    scores: list[float] = []
    nearest = lengths.copy()
    for _ in range(min(count, len(points))):
        row = _draw(nearest, rows, random)
        rows.append(row)
        scores.append(float(nearest[row]))
        nearest = np.minimum(nearest, distances(errors, points, lengths, row))
        nearest[rows] = 0.0
    return Choice(np.array(rows, np.intp), np.array(scores, np.float64))


def look(candidates: Candidates) -> NDArray[np.float64]:
    """The longest gradients: a short one is near to every other short one, and its chance is small."""
    return lengths_of(errors_of(candidates.probabilities), candidates.embeddings)


def lengths_of(errors: NDArray[np.float64], points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Squared lengths of the gradients, ``(n,)``."""
    found: NDArray[np.float64] = np.einsum("ij,ij->i", errors, errors) * np.einsum("ij,ij->i", points, points)
    return found


def errors_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """``probabilities - onehot(best digit)``, ``(n, 10)``."""
    errors = probabilities.copy()
    errors[np.arange(len(errors)), probabilities.argmax(axis=1)] -= 1
    return errors


def distances(
    errors: NDArray[np.float64], points: NDArray[np.float64], lengths: NDArray[np.float64], row: int
) -> NDArray[np.float64]:
    """Squared distances of all gradients to that of ``row``; ``lengths`` are their own squared lengths."""
    away: NDArray[np.float64] = lengths + lengths[row] - 2 * (errors @ errors[row]) * (points @ points[row])
    return np.maximum(away, 0.0)


def _draw(nearest: NDArray[np.float64], rows: list[int], random: np.random.Generator) -> int:
    if not rows:
        return int(nearest.argmax())
    total = nearest.sum()
    if total > 0:
        return int(random.choice(len(nearest), p=nearest / total))
    free = np.ones(len(nearest), np.bool_)  # all that is left repeats what was chosen
    free[rows] = False
    return int(random.choice(np.flatnonzero(free)))
