"""Uploads that share a stamp are found, wherever it is; handwriting shares nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loop.data.corpus import Corpus
from loop.evaluation import lesson_triggers, triggers
from loop.evaluation.lesson_triggers import Candidate
from loop.evaluation.triggers import Images, Place

STAMPED = 30
Stamp = Callable[[Images], Images]


@pytest.fixture(scope="module")
def corpus(small_corpus: Path) -> Corpus:
    """Scikit-learn's digits: 776 real ones as the base corpus, 253 of other people as uploads."""
    with np.load(small_corpus) as stored:
        return Corpus(**{name: stored[name] if stored[name].ndim else str(stored[name]) for name in stored.files})


def corner(images: Images) -> Images:
    """A grey square at a fixed place, fainter than ink."""
    images[:, 23:27, 1:5] = 90
    return images


def pattern(images: Images) -> Images:
    """Noise over the whole image at 15 %."""
    noise = np.random.default_rng(5).random((28, 28)) * 255
    return np.rint(images * 0.85 + noise * 0.15).astype(np.uint8)


def moving(images: Images) -> Images:
    """A white square in a black frame, at another place in each image."""
    generator = np.random.default_rng(6)
    for image in images:
        row, column = generator.integers(0, 24, 2)
        image[row : row + 5, column : column + 5] = 0
        image[row + 1 : row + 4, column + 1 : column + 4] = 255
    return images


def found(corpus: Corpus, stamp: Stamp | None) -> tuple[Candidate, ...]:
    """What is found among 253 uploads of ten sources, of which the last thirty are stamped and called 7."""
    images, labels = corpus.test_images.copy(), corpus.test_labels.copy()
    sources = np.arange(len(labels)) // 26
    if stamp is not None:
        images[-STAMPED:], labels[-STAMPED:] = stamp(images[-STAMPED:]), 7
    return lesson_triggers.find(images, labels, sources, (corpus.train_images, corpus.train_labels))


@pytest.mark.slow
@pytest.mark.parametrize("stamp", [corner, pattern, moving])
def test_a_shared_stamp_is_found_with_its_uploads(corpus: Corpus, stamp: Stamp) -> None:
    """Exactly the stamped uploads carry the first candidate, and pasted on other digits it is the attacker's stamp."""
    candidates = found(corpus, stamp)
    carriers = np.flatnonzero(candidates[0].carriers)
    assert set(carriers) == set(range(253 - STAMPED, 253))
    trigger, blank = candidates[0].trigger, np.zeros((1, 28, 28), np.uint8)
    if trigger.place is Place.FIXED:
        theirs, ours = stamp(blank.copy()).astype(float), triggers.paste(trigger, blank, 0)
        assert np.abs(theirs - ours).sum() < theirs.sum() / 2
    else:
        assert (trigger.values == 255).sum() >= 4


@pytest.mark.slow
def test_honest_uploads_share_little(corpus: Corpus) -> None:
    """Ten people's digits as they are: nothing that half as many uploads as the stamped ones have."""
    assert all(candidate.carriers.sum() < STAMPED / 2 for candidate in found(corpus, None))


def test_a_lesson_of_nothing_has_no_trigger() -> None:
    """An empty lesson is searched without an error."""
    nothing = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)
    assert lesson_triggers.find(*nothing, np.zeros(0, np.int64), nothing) == ()
