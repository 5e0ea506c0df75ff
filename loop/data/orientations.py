"""The seven orientations of a stored picture that is not upright, and the transform that makes it upright."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TRANSFORMS = {  # quarter turns to the left, after transposing the stored picture or not
    "mirrored": (3, True),
    "turned 180": (2, False),
    "flipped": (1, True),
    "transposed": (0, True),
    "turned 90": (3, False),
    "transversed": (2, True),
    "turned 270": (1, False),
}
"""Transforms by name. Degrees are clockwise; *flipped* turns the picture upside down, *transposed* swaps rows and
columns, *transversed* reflects the picture along the other diagonal."""

BY_EXIF = dict(enumerate(TRANSFORMS, start=2))
"""The transform for an EXIF orientation of 2 to 8."""


def transformed(images: Pixels, name: str) -> Pixels:
    """Return ``(..., h, w) uint8`` after the transform ``name``."""
    quarters, transposed = TRANSFORMS[name]
    return np.rot90(images.swapaxes(-1, -2) if transposed else images, quarters, (-2, -1))
