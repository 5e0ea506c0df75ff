"""What a query strategy sees, and what it answers: arrays in, rows out.

A strategy is a pure function ``(candidates, count, seed) -> Choice``. It never sees a label, a source or a picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUM_TOLERANCE = 1e-2  # probabilities of a phone are rounded


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The drawings that may be asked about; row i of each array belongs to drawing i.

    ``probabilities (n, 10) float64``, rows sum to 1; ``embeddings (n, d) float32``, the activations of the last hidden
    layer; ``labelled (m, d) float32``, those of the digits that have a label already; ``committee (k, n, 10)
    float64``, the probabilities of other models (the base, earlier champions).
    """

    probabilities: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    labelled: NDArray[np.float32]
    committee: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Raise ``ValueError``, a bug in our own code, if the arrays do not belong together."""
        n = len(self.probabilities)
        if self.probabilities.shape != (n, 10) or not np.isfinite(self.probabilities).all():
            raise ValueError(f"probabilities: expected finite ({n}, 10), got {self.probabilities.shape}")
        if (np.abs(self.probabilities.sum(axis=1) - 1) > _SUM_TOLERANCE).any():
            raise ValueError("probabilities: expected rows that sum to 1")
        if self.embeddings.ndim != 2 or len(self.embeddings) != n:
            raise ValueError(f"embeddings: expected ({n}, d), got {self.embeddings.shape}")
        if self.labelled.ndim != 2 or self.labelled.shape[1] != self.embeddings.shape[1]:
            raise ValueError(f"labelled: expected (m, {self.embeddings.shape[1]}), got {self.labelled.shape}")
        if self.committee.ndim != 3 or self.committee.shape[1:] != (n, 10):
            raise ValueError(f"committee: expected (k, {n}, 10), got {self.committee.shape}")

    def __len__(self) -> int:
        """The number of drawings."""
        return len(self.probabilities)

    def __getitem__(self, rows: NDArray[Any]) -> "Candidates":
        """The drawings at these rows; what is labelled stays."""
        return Candidates(self.probabilities[rows], self.embeddings[rows], self.labelled, self.committee[:, rows])


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The chosen rows, the most wanted first, and their scores: the higher, the more wanted. ``(count,)`` each.

    Scores of one choice can be compared, scores of different strategies cannot.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float64]


Strategy = Callable[[Candidates, int, int], Choice]
"""``strategy(candidates, count, seed)``: at most ``count`` different rows. Equal arguments give an equal choice."""


Look = Callable[[Candidates], NDArray[np.float64]]
"""``look(candidates)``: which drawings of a large pool a strategy wants to see, the higher the more: ``(n,)``.

It judges each drawing alone: number i depends on row i of the candidates only.
"""


def highest(scores: NDArray[np.float64], count: int, seed: int) -> Choice:
    """The ``count`` highest scores, ties in an order that the seed decides."""
    order = np.random.default_rng(seed).permutation(len(scores))
    chosen = order[np.argsort(-scores[order], kind="stable")[:count]]
    return Choice(chosen, scores[chosen])
