"""A set that a reader reads far better another way round is stopped, not taken in silence.

A sample of the set is shown to a reader as it is and, where that is read badly, inverted and in each of the seven
turns. The reader is the base that comes with the code, run by ``models.coreml``, so that ``import`` and ``score`` judge
alike whatever model is scored. Rules: few digits, or digits of few kinds, prove nothing (a 6 turned by 180 degrees is a
9); a set that is read well is left alone.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.data import digits, turns, ways
from loop.data.handwriting import Sample
from loop.errors import BadImage
from loop.evaluation import digit_classifier

Read = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]

SAMPLE = 300  # images at most
FEWEST, FEWEST_KINDS = 20, 5  # images and different labels below which no doubt is raised
WELL = 0.8  # share read right from which a set is left alone
FAR_BETTER, FAIRLY = 0.3, 0.6  # shares that another way must read right: so many more, and so many at least
WAYS = [(), ("inverted",), *((turn,) for turn in turns.TURNS), *(("inverted", turn) for turn in turns.TURNS)]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Of ``n`` images the reader read ``as_it_is`` (a share) right, and ``better`` of them after ``way``."""

    n: int
    as_it_is: float
    better: float
    way: str

    def __str__(self) -> str:
        """What was found, and the flags that decide it."""
        return (
            f"of {self.n} images the base reads {100 * self.as_it_is:.0f} % right as they are, "
            f"{100 * self.better:.0f} % {self.way.replace('+', ' and ').replace('-', ' ')}{_known(self.way)}; "
            f"to read them so, add `--as {self.way}`, to take them as they are, `--as {ways.GIVEN}`"
        )


def _known(way: str) -> str:
    return " (EMNIST and column-wise files store them so)" if way == "transposed" else ""


def check(name: str, samples: Iterable[Sample], read: Read | None = None) -> None:
    """Raises BadImage where a sample of ``samples`` is read far better another way."""
    images, labels = _sampled(samples)
    if found := doubt(images, labels, read or base()):
        raise BadImage(f"{name}: {found}")


def doubt(images: NDArray[np.uint8], labels: NDArray[np.int64], read: Read) -> Doubt | None:
    """Whether ``(n, 28, 28) uint8`` with ``(n,)`` labels are read far better another way."""
    if len(labels) < FEWEST or len(np.unique(labels)) < FEWEST_KINDS:
        return None

    def right(way: tuple[str, ...]) -> float:
        return float(np.mean(read(ways.shown(images, way)).argmax(1) == labels))

    as_it_is = right(())
    if as_it_is >= WELL:
        return None
    shares = {way: right(way) for way in WAYS}
    best = max(shares, key=shares.__getitem__)
    if shares[best] < max(FAIRLY, as_it_is + FAR_BETTER):
        return None
    return Doubt(len(labels), as_it_is, shares[best], "+".join(step.replace(" ", "-") for step in best))


def _sampled(samples: Iterable[Sample]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """At most SAMPLE of those that can be read, each as likely as any other; the same every time."""
    chance = random.Random(0)  # noqa: S311 - a fair sample, no secret
    kept: list[Sample] = []
    for number, sample in enumerate(each for each in samples if each.reason is None):
        if len(kept) < SAMPLE:
            kept.append(sample)
        elif (place := chance.randrange(number + 1)) < SAMPLE:
            kept[place] = sample
    images, labels = [], []
    for sample in kept:
        try:
            images.append(sample.digit().pixels)
            labels.append(sample.label)
        except BadImage:
            continue  # refused with its reason when it is read for good
    stacked = np.array(images, np.uint8).reshape(-1, digits.SIDE, digits.SIDE)
    return stacked, np.array(labels, np.int64)


@cache
def base() -> Read:
    """The shipped base as a reader; takes a quarter of a second, and no TensorFlow."""
    from models.cnn import Cnn
    from models.family import Card

    family = Cnn()
    weights = family.shipped()
    if weights is None:
        raise ValueError("expected a base that comes with the code; install the whole package")
    model = digit_classifier.load(family.load(weights).export(Card("", "", "", "")), "base.mlmodel")
    return digit_classifier.classifier(model).probabilities
