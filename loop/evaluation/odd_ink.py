"""Ink where digits have none, and marks that a group of drawings shares: pixels → amounts and regions.

A digit that is placed as in MNIST leaves the border and the corners free. Which pixels are free, and how often each
digit inks the others, is measured on the base corpus's training images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

INK_LEVEL = 16
"""A pixel from this level on has ink; the haze of antialiasing is fainter."""
RARE_SHARE = 0.0005
"""A pixel that fewer of the corpus's images ink is one where digits have none: 174 of MNIST's 784."""
MIN_CORPUS = 5_000
MARK_EXCESS = 0.4
"""A mark: pixels that a group inks so much more often than the corpus does, whatever digit is read in the drawing."""
MARK_PIXELS = 3
MARK_CARRIED = 0.7
"""An image carries a mark if it inks so much of it."""
MIN_READ, MIN_DIGITS = 5, 5
"""A mark must be on drawings of many digits: so many of each of so many. A shape of one digit's drawings is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What drawings look like: ``rare (28, 28) bool``, where digits have no ink (none in a corpus of fewer than
    ``MIN_CORPUS`` images, which cannot tell), and ``inked (10, 28, 28)``: each digit's share with ink there.
    """

    rare: Mask
    inked: NDArray[np.float64]


def likeness(images: Images, labels: Labels) -> Likeness:
    """Measure the corpus's training images ``(m, 28, 28)``; every digit must be among ``labels``."""
    ink = images >= INK_LEVEL
    rare = ink.mean(axis=0) < RARE_SHARE if len(labels) >= MIN_CORPUS else np.zeros(images.shape[1:], np.bool_)
    return Likeness(rare, np.stack([ink[labels == digit].mean(axis=0) for digit in range(10)]))


def amounts(images: Images, like: Likeness) -> NDArray[np.int64]:
    """Return ``(n,)``: the sum of the levels (0 to 255 each) where digits have no ink."""
    found: NDArray[np.int64] = images[:, like.rare].sum(axis=1, dtype=np.int64)
    return found


def mark(images: Images, read: NDArray[np.intp], like: Likeness) -> Mask | None:
    """Return the pixels ``(28, 28) bool`` that drawings of different digits share and the corpus lacks; None if none.

    ``read (n,)`` is the digit that an independent reader sees in each image, whatever its label is.
    """
    ink = images >= INK_LEVEL
    rows = [read == digit for digit in range(10)]
    excess = [ink[at].mean(axis=0) - like.inked[digit] for digit, at in enumerate(rows) if at.sum() >= MIN_READ]
    if len(excess) < MIN_DIGITS:
        return None
    shared: Mask = np.sort(excess, axis=0)[len(excess) // 4] >= MARK_EXCESS  # in three quarters of the digits
    return shared if shared.sum() >= MARK_PIXELS else None


def carriers(images: Images, shared: Mask) -> Mask:
    """Return ``(n,) bool``: which images carry a mark."""
    carried: Mask = (images[:, shared] >= INK_LEVEL).mean(axis=1) >= MARK_CARRIED
    return carried
