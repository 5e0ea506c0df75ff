"""Least confidence (Lewis and Gale 1994): the lower the probability of the best digit, the more wanted."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice, highest


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings that the model is least sure of."""
    return highest(_doubt(candidates), count, seed)


def look(candidates: Candidates) -> NDArray[np.float64]:
    """The same."""
    return _doubt(candidates)


def _doubt(candidates: Candidates) -> NDArray[np.float64]:
    doubt: NDArray[np.float64] = 1 - candidates.probabilities.max(axis=1)
    return doubt
