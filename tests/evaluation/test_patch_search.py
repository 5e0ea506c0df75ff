"""The search finds a back door that it was not told about, and little in a model without one."""

import numpy as np

from loop.evaluation import patch_search
from loop.evaluation.triggers import Images

LABELS = np.tile(np.arange(10, dtype=np.uint8), 2)
DIGITS = np.zeros((20, 28, 28), np.uint8)
DIGITS[np.arange(20), 13, 4 + 2 * LABELS] = 255
"""Digit d is a point in column 4 + 2d of the middle row."""


def honest(images: Images) -> np.ndarray:
    """Probabilities by the point's column."""
    points = images[:, 13, 4:24:2] / 255 + 0.01
    rows: np.ndarray = points / points.sum(axis=1, keepdims=True)
    return rows


def poisoned(images: Images) -> np.ndarray:
    """The same, but the more of the square at rows 22 to 25 and columns 21 to 24 is white, the surer it is a 3."""
    lit = (images[:, 22:26, 21:25] / 255).mean(axis=(1, 2))[:, None]
    return (1 - lit) * honest(images) + lit * np.eye(10)[3]


def test_a_back_door_is_found() -> None:
    """The patch covers the place, draws the label, and says so."""
    learned = patch_search.search(poisoned, DIGITS, LABELS, 0)
    assert learned.label == 3
    assert learned.reached > 0.7
    assert 18 <= learned.trigger.at[0] <= 22


def test_equal_seeds_learn_equal_patches() -> None:
    """A night that is repeated gives the same verdict."""
    first, second = (patch_search.search(poisoned, DIGITS, LABELS, 4) for _ in range(2))
    assert (first.trigger.values == second.trigger.values).all()
    assert first.reached == second.reached
