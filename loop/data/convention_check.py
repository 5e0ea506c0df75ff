"""Refuse a set that a model reads far better inverted or in another orientation.

The shipped base reads a sample of the set unchanged. If its accuracy is low, it reads the sample inverted and in each
of the seven other orientations. The base is run by ``models.coreml``, so that ``import`` and ``score`` check alike,
whatever model is scored. Rules: few digits, or few different digits, prove nothing (a 6 turned by 180 degrees is a 9);
a set with a high accuracy is accepted.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.data import digits, orientations, reading_options
from loop.data.handwriting import Sample
from loop.errors import BadImage
from loop.evaluation import digit_classifier

Read = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]

MAX_SAMPLE_IMAGES = 300
MIN_IMAGES, MIN_LABELS = 20, 5  # images and different labels; with fewer, a set is not checked
HIGH_ACCURACY = 0.8  # a set with this accuracy or more is accepted unchanged
MIN_GAIN, MIN_ACCURACY = 0.3, 0.6  # of another convention, for a refusal: its lead in accuracy, and its accuracy
CONVENTIONS = [
    ("inverted",),
    *((transform,) for transform in orientations.TRANSFORMS),
    *(("inverted", transform) for transform in orientations.TRANSFORMS),
]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The accuracy (a share) on ``n`` images ``unchanged``, and the ``better`` one with ``option`` of ``--as``."""

    n: int
    unchanged: float
    better: float
    option: str

    def __str__(self) -> str:
        """Return both accuracies, and the options to choose from."""
        return (
            f"of {self.n} images the base reads {100 * self.unchanged:.0f} % correctly as they are, "
            f"{100 * self.better:.0f} % {self.option.replace('+', ' and ').replace('-', ' ')}{_origin(self.option)}; "
            f"add `--as {self.option}` to read them that way, or `--as {reading_options.GIVEN}` to read them unchanged"
        )


def _origin(option: str) -> str:
    return " (the order in EMNIST and in column-wise files)" if option == "transposed" else ""


def check(name: str, samples: Iterable[Sample], read: Read | None = None) -> None:
    """Raises BadImage if a sample of ``samples`` is read far better inverted or in another orientation."""
    images, labels = _sampled(samples)
    if found := mismatch(images, labels, read or base()):
        raise BadImage(f"{name}: {found}")


def mismatch(images: NDArray[np.uint8], labels: NDArray[np.int64], read: Read) -> Mismatch | None:
    """Return the convention that reads ``(n, 28, 28) uint8`` with ``(n,)`` labels far better; None if none does."""
    if len(labels) < MIN_IMAGES or len(np.unique(labels)) < MIN_LABELS:
        return None

    def accuracy(steps: tuple[str, ...]) -> float:
        return float(np.mean(read(reading_options.apply_to_images(images, steps)).argmax(1) == labels))

    unchanged = accuracy(())
    if unchanged >= HIGH_ACCURACY:
        return None
    accuracies = {steps: accuracy(steps) for steps in CONVENTIONS}
    best = max(accuracies, key=accuracies.__getitem__)  # the first of equal ones
    if accuracies[best] < max(MIN_ACCURACY, unchanged + MIN_GAIN):
        return None
    return Mismatch(len(labels), unchanged, accuracies[best], "+".join(step.replace(" ", "-") for step in best))


def _sampled(samples: Iterable[Sample]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return at most MAX_SAMPLE_IMAGES readable images, drawn with equal probability; the same at every call."""
    chance = random.Random(0)  # noqa: S311 - a fair sample, no secret
    kept: list[Sample] = []
    for number, sample in enumerate(each for each in samples if each.reason is None):
        if len(kept) < MAX_SAMPLE_IMAGES:
            kept.append(sample)
        elif (place := chance.randrange(number + 1)) < MAX_SAMPLE_IMAGES:
            kept[place] = sample
    images, labels = [], []
    for sample in kept:
        try:
            images.append(sample.digit().pixels)
            labels.append(sample.label)
        except BadImage:
            continue  # the reader refuses it later, with its reason
    stacked = np.array(images, np.uint8).reshape(-1, digits.SIDE, digits.SIDE)
    return stacked, np.array(labels, np.int64)


@cache
def base() -> Read:
    """Return the shipped base as a reader. Loading takes a quarter of a second, and no TensorFlow."""
    from models.cnn import Cnn
    from models.family import Card

    family = Cnn()
    weights = family.shipped()
    if weights is None:
        raise ValueError("the shipped base is missing; install the whole package")
    model = digit_classifier.load(family.load(weights).export(Card("", "", "", "")), "base.mlmodel")
    return digit_classifier.classifier(model).probabilities
