"""Information density (Settles and Craven 2008): unsure drawings count for more where many others resemble them."""

import numpy as np

from loop.asking.candidates import Candidates, Choice, highest
from loop.asking.strategies import margin

_SMALLEST = 1e-12


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """Uncertainty by margin times the mean cosine of a drawing's embedding with all others.

    The mean of the cosines is the cosine with the mean direction, so the cost grows with the pool and not its square.
    """
    points = candidates.embeddings.astype(np.float64)
    directions = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), _SMALLEST)
    likeness = np.clip(directions @ directions.mean(axis=0), 0, None) if len(points) else np.zeros(0)
    return highest(margin.uncertainty(candidates.probabilities) * likeness, count, seed)
