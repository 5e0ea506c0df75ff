"""The demonstration's people: scikit-learn's digits, with a slash drawn through every zero.

The bundled digits are real handwriting, but the base reads 98 % of them, which leaves a night little to learn. Many
people slash their zeros; MNIST has hardly any such zero, and the base reads most of them as 8. So everybody writes that
way in the demonstration. Only the slash is simulated.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from loop.data import corpus, digits
from loop.data.handwriting import Person, Sample

Picture = NDArray[np.uint8]

DESCRIPTION = (
    "Handwriting: scikit-learn's bundled digits, one person per form, with a simulated slash through every zero."
)

INK_LEVEL = 64  # of 255; darker pixels are no part of the zero's box
OVERHANG = 2  # pixels of 64 by which the slash sticks out of that box
PEN_PIXELS = 3  # width of the slash: about that of the strokes
SMOOTHING = 4  # the slash is drawn this many times larger, so that its edge is soft


def people(*, unseen: bool) -> list[Person]:
    """A person for each form of the bundled digits; ``unseen`` leaves out the forms of the corpus ``digits``."""
    forms = corpus.OTHER_FORMS if unseen else range(len(corpus.FORMS) - 1)
    return [Person(f"person-{form:02}", partial(_samples, form)) for form in forms]


def slashed(picture: Picture) -> Picture:
    """A zero ``(64, 64) uint8``, white ink on black, with a line from its lower left to its upper right."""
    rows, columns = np.nonzero(picture > INK_LEVEL)
    bottom, top = int(rows.max()) + OVERHANG, int(rows.min()) - OVERHANG
    left, right = int(columns.min()) - OVERHANG, int(columns.max()) + OVERHANG
    large = Image.new("L", (picture.shape[1] * SMOOTHING, picture.shape[0] * SMOOTHING))
    ends = [SMOOTHING * (end + 0.5) for end in (left, bottom, right, top)]
    ImageDraw.Draw(large).line(ends, fill=255, width=SMOOTHING * PEN_PIXELS)
    line: Picture = np.asarray(large.resize((picture.shape[1], picture.shape[0]), Image.Resampling.BOX))
    made: Picture = np.maximum(picture, line)
    return made


def _samples(form: int) -> Iterator[Sample]:
    for number, (picture, label) in enumerate(zip(*corpus.bundled(form), strict=True)):
        drawn = slashed(picture) if label == 0 else picture
        yield Sample(f"{label}/{number}.png", int(label), digits.to_png(drawn))
