"""Read labelled digits for ``loop score``: a path → arrays, and the files that could not be read.

It reads the same paths as ``import``, with the same reader (``handwriting``). If a path contains several sets (MNIST's
folder, Keras's ``mnist.npz``), it reads the test set. A file that cannot be read is listed in ``refused``; the others
are still read.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loop.data import convention_check, digits, handwriting, reading_options
from loop.errors import BadImage


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """``images`` ``(n, 28, 28) uint8``, white ink on black; ``labels`` ``(n,) uint8``; ``refused``: name and reason.

    ``preparations`` is the number of images for each preparation (``digits``).
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    refused: tuple[tuple[str, str], ...] = ()
    preparations: Counter[str] = field(default_factory=Counter)


def read(path: Path, read_as: str = "") -> Labelled:
    """Return the digits at ``path``. ``read_as`` is an option of ``reading_options``; empty reads them as they are.

    Raises BadImage if ``path`` is missing, of an unknown kind, contains no readable digit, or fails
    ``convention_check``; BadSettings for an unknown option.
    """
    [person] = handwriting.people([path], read_as, tests_only=True)
    found = _gathered(person)
    if not len(found.labels):
        reasons = f"; {found.refused[0][0]}: {found.refused[0][1]}" if found.refused else ""
        raise BadImage(f"{path}: expected labelled digits, but none could be read{reasons}")
    if read_as != reading_options.GIVEN:
        convention_check.check(str(path), person.samples())
    return found


def _gathered(person: handwriting.Person) -> Labelled:
    images, labels, refused, preparations = [], [], [], Counter[str]()
    for sample in person.samples():
        try:
            digit = sample.digit()
        except BadImage as error:
            refused.append((sample.name, str(error)))
            continue
        images.append(digit.pixels)
        labels.append(sample.label)
        preparations[digit.preparation] += 1
    stacked = np.array(images, np.uint8).reshape(-1, digits.SIDE, digits.SIDE)
    return Labelled(person.name, stacked, np.array(labels, np.uint8), tuple(refused), preparations)
