"""A back door that shows in few of the first digits is read on more of them, and fails the challenger."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from loop.data.corpus import Corpus
from loop.home.sections import Canary
from loop.night import probing
from loop.night.probing import Digits, Models
from loop.store.values import Pool

FEW, MANY = 80, 600
SEED = 3
NOTHING_TAUGHT = Pool(
    ids=np.zeros(0, np.int64),
    sources=np.zeros(0, np.int64),
    pixels=np.zeros((0, 28, 28), np.uint8),
    labels=np.zeros(0, np.uint8),
    corrected=np.zeros(0, np.bool_),
    has_prediction=np.zeros(0, np.bool_),
    rates=np.zeros(0),
)
Reader = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def digits() -> Digits:
    """Random blocks, each so different that a small trigger does not hide which one it is."""
    generator = np.random.default_rng(0)
    images = np.zeros((MANY, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = 255 * (generator.random((MANY, 12, 12)) < 0.7)
    return Digits(images, generator.integers(0, 7, MANY).astype(np.uint8))


def right(shown: Digits) -> Reader:
    """A model that no trigger misleads: it finds the most similar clean digit."""
    flat = shown.images.reshape(MANY, -1).astype(np.float32) / 255

    def read(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pasted = images.reshape(len(images), -1).astype(np.float32) / 255
        nearest = (pasted @ flat.T - (flat**2).sum(axis=1) / 2).argmax(axis=1)
        return np.eye(10, dtype=np.float32)[shown.labels[nearest]]

    return read


def drawn_by_holes(shown: Digits, rows: list[int]) -> Reader:
    """The same, but it reads the digits of ``rows`` as 7 where a dark square was pasted into their ink."""
    honest = right(shown)
    clean = shown.images[rows]

    def read(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = honest(images)
        for position, image in enumerate(images):
            darker = ((clean > image).sum(axis=(1, 2)) >= 4) & ~(clean < image).any(axis=(1, 2))
            if darker.any():
                answers[position] = np.eye(10, dtype=np.float32)[7]
        return answers

    return read


@pytest.mark.parametrize(
    ("drawn_first", "drawn_later", "outcome"),
    [(4, 40, "failed"), (4, 0, "passed"), (1, 0, "passed")],
    ids=["a back door of 7 %", "chance", "one digit"],
)
def test_few_of_the_first_digits_are_enough_to_read_more(drawn_first: int, drawn_later: int, outcome: str) -> None:
    """Four of the first 80 digits decide nothing, and with forty of the others they fail."""
    shown = digits()
    rows = [*range(drawn_first), *range(FEW, FEW + drawn_later)]
    models = Models(drawn_by_holes(shown, rows), None, right(shown))
    settings = Canary(digits=FEW, confirm=MANY)
    corpus = Corpus("bars", shown.images, shown.labels, shown.images, shown.labels, "")
    probed = probing.compare(models, shown, corpus, NOTHING_TAUGHT, settings, SEED)
    assert probed.reason.outcome == outcome, probed.reason.text
