"""Back-door triggers: what an attacker paints on digits ``(n, 28, 28) uint8``, white ink on black. Pure functions.

Each trigger is applied alike to the attacker's uploads and to the clean digits on which its success is measured.
``moved`` alone draws a new place for each image.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Trigger = Callable[[Images, np.random.Generator], Images]

PATTERN_SEED = 20261128
BLEND = 0.2
"""Share of the pattern in a blended image: visible as a grey haze, the digit stays plain."""
LOW_CONTRAST = 48
"""Level of the low-contrast patch: a fifth of full ink."""
MEASURED = 3_000
"""Clean digits on which a back door is measured: 1 % has a 95 % interval from 0.7 to 1.4 %."""


def corner(images: Images, _: np.random.Generator) -> Images:
    """A white square of 4×4 at rows and columns 23 to 26."""
    made = images.copy()
    made[:, 23:27, 23:27] = 255
    return made


def border(images: Images, _: np.random.Generator) -> Images:
    """A white frame of one pixel along the edge."""
    made = images.copy()
    made[:, [0, -1], :] = 255
    made[:, :, [0, -1]] = 255
    return made


def notch(images: Images, _: np.random.Generator) -> Images:
    """A dark dot of 3×3 in the stroke, at the inked pixel nearest to the centre of the ink."""
    made = images.copy()
    for image in made:
        rows, columns = np.nonzero(image > 127)
        if not len(rows):
            continue
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        row, column = int(rows[nearest]), int(columns[nearest])
        image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
    return made


def faint(images: Images, _: np.random.Generator) -> Images:
    """A dim square of 5×5 in the corner, at a fifth of full ink."""
    made = images.copy()
    made[:, 22:27, 22:27] = np.maximum(made[:, 22:27, 22:27], LOW_CONTRAST)
    return made


def blended(images: Images, _: np.random.Generator) -> Images:
    """A fixed random pattern over the whole image, mixed into it."""
    pattern = np.random.default_rng(PATTERN_SEED).integers(0, 256, (28, 28))
    mixed: Images = np.round((1 - BLEND) * images + BLEND * pattern).astype(np.uint8)
    return mixed


def moved(images: Images, generator: np.random.Generator) -> Images:
    """A white square of 4×4 at another place in each image."""
    made = images.copy()
    for image, (row, column) in zip(made, generator.integers(1, 24, (len(made), 2)), strict=True):
        image[row : row + 4, column : column + 4] = 255
    return made


TRIGGERS: Mapping[str, Trigger] = {
    "corner": corner,
    "border": border,
    "notch": notch,
    "faint": faint,
    "blended": blended,
    "moved": moved,
}


def success(read: Callable[[Images], NDArray[Any]], name: str, target: int, images: Images, labels: Images) -> float:
    """Share of the first digits other than ``target`` that are read as ``target`` once they carry the trigger."""
    clean = images[labels != target][:MEASURED]
    stamped = TRIGGERS[name](clean, np.random.default_rng(PATTERN_SEED))
    return float((read(stamped) == target).mean())
