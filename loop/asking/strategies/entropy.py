"""Entropy (Shannon 1948; Settles 2009): the flatter the ten probabilities, the more wanted."""

import numpy as np

from loop.asking.candidates import Candidates, Choice, highest


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings with the highest entropy, in nats."""
    p = np.clip(candidates.probabilities, 0, 1)
    return highest(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1), count, seed)
