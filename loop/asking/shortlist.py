"""The part of a large pool that a query strategy looks at: bounded, so that its memory and its time are.

The pool is scored in parts. Of each drawing the strategy's *first look*, a function of this drawing alone, gives a
number; the drawings with the highest numbers stay, with their embeddings, and all others keep none. Which stay does not
depend on how the pool was divided. A pool that is not larger than the shortlist is looked at whole.
"""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates
from loop.asking.strategies import LOOKS, least_margin

LEAST = 4_000
PER_QUESTION = 20
"""``margin-diverse`` looks at 5 drawings for each that it chooses, and ``queue`` lets it choose 4 for each question."""


def size(questions: int) -> int:
    """How many drawings to keep for so many questions."""
    return max(LEAST, PER_QUESTION * questions)


class Shortlist:
    """The best drawings of those seen so far, at most ``size`` of them.

    ``lots (n,) float64`` in 0 to 1, one for each drawing of the pool: they decide between equal drawings, and are the
    first look of a strategy that spreads over the whole pool.
    """

    def __init__(self, strategy: str, size: int, lots: NDArray[np.float64]) -> None:
        self._look, self._size, self._lots = LOOKS.get(strategy, least_margin), min(size, len(lots)), lots
        self._rows = np.zeros(0, np.intp)
        self._worth = np.zeros(0)

    def add(self, rows: NDArray[np.intp], part: Candidates) -> None:
        """See the drawings at these rows of the pool."""
        if not len(self._rows):
            self._begin(part)
        held = len(self._worth)
        look = self._lots[rows] if self._look is None else self._look(part)
        worth = np.concatenate([self._worth, look])
        everyone = np.concatenate([self._rows[:held], rows])
        stays = np.zeros(len(worth), np.bool_)
        stays[np.lexsort((self._lots[everyone], -worth))[: self._size]] = True
        new = np.flatnonzero(stays[held:])
        places = np.concatenate([np.flatnonzero(~stays[:held]), np.arange(held, self._size)])[: len(new)]
        self._worth = np.concatenate([self._worth, np.zeros(max(0, int(places.max(initial=-1)) + 1 - held))])
        self._worth[places], self._rows[places] = worth[held + new], rows[new]
        self._probabilities[places], self._embeddings[places] = part.probabilities[new], part.embeddings[new]
        self._committee[:, places] = part.committee[:, new]

    def found(self, labelled: NDArray[np.float32]) -> tuple[NDArray[np.intp], Candidates]:
        """Their rows in the pool, ascending, and what the models say of them."""
        held = len(self._worth)
        order = np.argsort(self._rows[:held])
        return self._rows[order], Candidates(
            self._probabilities[order], self._embeddings[order], labelled, self._committee[:, order]
        )

    def _begin(self, part: Candidates) -> None:
        self._rows = np.zeros(self._size, np.intp)
        self._probabilities = np.zeros((self._size, 10))
        self._embeddings = np.zeros((self._size, part.embeddings.shape[1]), np.float32)
        self._committee = np.zeros((len(part.committee), self._size, 10))
