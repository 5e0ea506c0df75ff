"""Margin (Scheffer, Decomain and Wrobel 2001): the closer the two best digits, the more wanted."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice, highest


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings between two digits."""
    return highest(uncertainty(candidates.probabilities), count, seed)


def uncertainty(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 less the difference of the two highest probabilities: ``(n, 10)`` to ``(n,)``, 0 to 1."""
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])
