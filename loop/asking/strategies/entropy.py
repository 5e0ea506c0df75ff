"""Entropy (Shannon 1948; Settles 2009): the flatter the ten probabilities, the more wanted."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice, highest


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings with the highest entropy, in nats."""
    return highest(_entropy(candidates), count, seed)


def look(candidates: Candidates) -> NDArray[np.float64]:
    """The same."""
    return _entropy(candidates)


def _entropy(candidates: Candidates) -> NDArray[np.float64]:
    p = np.clip(candidates.probabilities, 0, 1)
    found: NDArray[np.float64] = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    return found
