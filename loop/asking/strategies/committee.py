"""Query by committee (McCallum and Nigam 1998): the more the models disagree, the more wanted."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Choice, highest

_SMALLEST = 1e-7  # a probability of 0 would make one member's doubt infinite


def choose(candidates: Candidates, count: int, seed: int) -> Choice:
    """The drawings on which the champion and the committee differ: their mean divergence from their consensus."""
    return highest(_disagreement(candidates), count, seed)


def look(candidates: Candidates) -> NDArray[np.float64]:
    """The same."""
    return _disagreement(candidates)


def _disagreement(candidates: Candidates) -> NDArray[np.float64]:
    members = np.concatenate([candidates.probabilities[None], candidates.committee])
    members = np.clip(members, _SMALLEST, 1)
    members /= members.sum(axis=2, keepdims=True)
    consensus = members.mean(axis=0)
    divergence: NDArray[np.float64] = (members * np.log(members / consensus)).sum(axis=2).mean(axis=0)
    return divergence
