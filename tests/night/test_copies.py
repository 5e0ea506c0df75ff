"""Near copies: what is one drawing, and what is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loop.night import copies
from models.family import Images

CHANGES: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "the same": lambda images, _: images,
    "moved to the right": lambda images, _: np.roll(images, 1, axis=2),
    "moved up and left": lambda images, _: np.roll(images, (-2, -1), axis=(1, 2)),
    "noise of 4 levels": lambda images, chance: noisy(images, 4, chance),
    "noise of 16 levels, moved": lambda images, chance: noisy(np.roll(images, 1, axis=1), 16, chance),
    "fainter": lambda images, _: (images * 0.8).astype(np.uint8),
}


def noisy(images: Images, levels: int, chance: np.random.Generator) -> Images:
    """The images with up to so many grey levels more or less at each pixel."""
    return np.clip(images.astype(int) + chance.integers(-levels, levels + 1, images.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def digits(small_corpus: Path) -> Images:
    """Two hundred digits of scikit-learn's set, with a margin of four pixels at least."""
    with np.load(small_corpus) as stored:
        images: Images = stored["train_images"]
    edge = images.copy()
    edge[:, 3:-3, 3:-3] = 0
    return images[~edge.any(axis=(1, 2))][:200]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_drawing_is_found(digits: Images, change: str) -> None:
    """At least 97 of 100 copies are found with their original."""
    changed = CHANGES[change](digits, np.random.default_rng(0))
    pairs = copies.pairs(copies.fingerprints(np.concatenate([digits, changed])))
    n = len(digits)
    assert len(digits) > 100
    assert sum((pair[1] == pair[0] + n) for pair in pairs.tolist()) >= 0.97 * n


def test_different_drawings_are_not(digits: Images) -> None:
    """No two digits by people are one drawing."""
    assert copies.pairs(copies.fingerprints(digits)).tolist() == []


def test_a_stamp_is_not_a_copy(digits: Images) -> None:
    """A white corner makes another drawing: a stamped digit must not push out the clean one."""
    stamped = digits.copy()
    stamped[:, -4:, -4:] = 255
    assert copies.pairs(copies.fingerprints(np.concatenate([digits, stamped]))).tolist() == []


def test_only_new_rows_are_compared(digits: Images) -> None:
    """``fresh`` finds the pairs with a new row, in blocks, and no pair twice."""
    prints = copies.fingerprints(np.concatenate([digits[:50], digits[:50], digits[:50]]))
    every = {tuple(pair) for pair in copies.pairs(prints).tolist()}
    first = {tuple(pair) for pair in copies.pairs(prints[:100]).tolist()}
    later = [tuple(pair) for pair in copies.pairs(prints, 100).tolist()]
    assert len(every) == 150
    assert set(later) == every - first
    assert len(later) == len(set(later))


def test_blocks(digits: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a block changes nothing."""
    prints = copies.fingerprints(np.concatenate([digits[:40], digits[:40]]))
    whole = copies.pairs(prints)
    monkeypatch.setattr(copies, "BLOCK", 7)
    assert copies.pairs(prints).tolist() == whole.tolist()


def test_blank_images_and_none() -> None:
    """A blank image is near nothing, and no images have no pairs."""
    assert copies.pairs(copies.fingerprints(np.zeros((3, 28, 28), np.uint8))).tolist() == []
    assert copies.pairs(copies.fingerprints(np.zeros((0, 28, 28), np.uint8))).tolist() == []
