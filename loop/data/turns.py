"""The seven ways in which a picture can be stored other than upright, by name, and how each is undone."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TURNS = {  # what is done to the stored picture: quarter turns to the left, after transposing it or not
    "mirrored": (3, True),
    "turned 180": (2, False),
    "flipped": (1, True),
    "transposed": (0, True),
    "turned 90": (3, False),
    "transversed": (2, True),
    "turned 270": (1, False),
}
"""Degrees are clockwise; *flipped* is upside down, *transposed* swaps rows and columns, *transversed* does so along
the other diagonal."""

BY_ORIENTATION = dict(enumerate(TURNS, start=2))
"""The turn that an EXIF orientation of 2 to 8 asks for."""


def turned(images: Pixels, name: str) -> Pixels:
    """``(..., h, w) uint8`` after the turn of that name."""
    quarters, transposed = TURNS[name]
    return np.rot90(images.swapaxes(-1, -2) if transposed else images, quarters, (-2, -1))
