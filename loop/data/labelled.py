"""Labelled digits to score a model on: a path as people have it → arrays, and what could not be read.

Used by ``loop score``. A path is whatever ``handwriting`` reads, by the same reader that ``import`` uses; of several
sets (MNIST's folder, Keras's ``mnist.npz``) the test set is taken. A file that cannot be read is a line in ``refused``,
never the end of the others.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loop.data import digits, doubts, handwriting, ways
from loop.errors import BadImage


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """``images`` ``(n, 28, 28) uint8``, white ink on black; ``labels`` ``(n,) uint8``; ``refused``: name and reason.

    ``treatments``: how many images were treated how, see ``digits``.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    refused: tuple[tuple[str, str], ...] = ()
    treatments: Counter[str] = field(default_factory=Counter)


def read(path: Path, way: str = "") -> Labelled:
    """What is at ``path``, in a way of ``ways``; without one, in the way that it has.

    Raises BadImage where it is missing, not of a known kind, holds no digit at all, or is read far better another way.
    """
    [person] = handwriting.people([path], way, tests_only=True)
    found = _gathered(person)
    if not len(found.labels):
        reasons = f"; {found.refused[0][0]}: {found.refused[0][1]}" if found.refused else ""
        raise BadImage(f"{path}: expected labelled digits, none could be read{reasons}")
    if way != ways.GIVEN:
        doubts.check(str(path), person.samples())
    return found


def _gathered(person: handwriting.Person) -> Labelled:
    images, labels, refused, treatments = [], [], [], Counter[str]()
    for sample in person.samples():
        try:
            digit = sample.digit()
        except BadImage as error:
            refused.append((sample.name, str(error)))
            continue
        images.append(digit.pixels)
        labels.append(sample.label)
        treatments[digit.treatment] += 1
    stacked = np.array(images, np.uint8).reshape(-1, digits.SIDE, digits.SIDE)
    return Labelled(person.name, stacked, np.array(labels, np.uint8), tuple(refused), treatments)
