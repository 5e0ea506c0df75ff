"""Every query strategy by name. A new one is a file here and a line below; the contract tests run for each name."""

import numpy as np
from numpy.typing import NDArray

from loop.asking.candidates import Candidates, Look, Strategy
from loop.asking.strategies import (
    badge,
    committee,
    density,
    entropy,
    k_center,
    least_confidence,
    margin,
    margin_diverse,
    uniform,
)

STRATEGIES: dict[str, Strategy] = {
    "random": uniform.choose,
    "least-confidence": least_confidence.choose,
    "margin": margin.choose,
    "entropy": entropy.choose,
    "committee": committee.choose,
    "k-center": k_center.choose,
    "badge": badge.choose,
    "margin-diverse": margin_diverse.choose,
    "density": density.choose,
}


def least_margin(candidates: Candidates) -> NDArray[np.float64]:
    """The first look of a strategy that has none of its own: it chooses among the drawings between two digits."""
    return margin.uncertainty(candidates.probabilities)


LOOKS: dict[str, Look | None] = {
    "random": None,
    "least-confidence": least_confidence.look,
    "entropy": entropy.look,
    "committee": committee.look,
    "k-center": None,
    "badge": badge.look,
}
"""What strategies look for first in a pool that is too large to look at whole (``asking/shortlist``); None: by lot."""
