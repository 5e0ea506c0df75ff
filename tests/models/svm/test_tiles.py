"""8×8 tiles of the ink's bounding box."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.svm.tiles import tiles

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(8, 32), st.integers(8, 32)))


def one(image: np.ndarray) -> np.ndarray:
    """The tiles of one picture as ``(8, 8)``."""
    return tiles(image[None]).reshape(8, 8)


def test_a_checkerboard_of_tiles() -> None:
    """A picture of 8×8 uniform tiles gives those tiles, with 255 as 16."""
    board = (np.indices((8, 8)).sum(axis=0) % 2 == 0).astype(np.uint8)
    picture = np.kron(board * 255, np.ones((3, 3), np.uint8)).astype(np.uint8)
    assert np.allclose(one(picture), board * 16.0)


def test_only_the_box_of_ink_counts() -> None:
    """The position of the digit in the picture does not change its tiles."""
    digit = np.random.default_rng(0).integers(0, 256, (12, 10)).astype(np.uint8)
    digit[0], digit[-1], digit[:, 0], digit[:, -1] = 255, 255, 255, 255
    found = []
    for top, left in ((0, 0), (3, 11), (16, 18)):
        picture = np.zeros((28, 28), np.uint8)
        picture[top : top + 12, left : left + 10] = digit
        found.append(one(picture))
    assert np.allclose(found[0], one(digit))
    assert np.allclose(found[0], found[1])
    assert np.allclose(found[0], found[2])


def test_faint_pixels_do_not_stretch_the_box() -> None:
    """A speck fainter than an eighth of full ink, far from the digit, changes no tile; a bright one does."""
    picture = np.zeros((28, 28), np.uint8)
    picture[6:22, 8:24] = 255
    faint, bright = picture.copy(), picture.copy()
    faint[0, 0], bright[0, 0] = 31, 32
    assert np.allclose(one(faint), 16.0)
    assert not np.allclose(one(bright), 16.0)


@settings(deadline=None, max_examples=50)
@given(pictures)
def test_tiles_keep_the_ink(images: np.ndarray) -> None:
    """Tiles are in 0 to 16, and their mean is that of the box's pixels: no ink is lost or added."""
    found = tiles(images)
    assert found.shape == (len(images), 64)
    assert found.min() >= 0
    assert found.max() <= 16 + 1e-9
    for image, row in zip(images, found, strict=True):
        ink = image >= 32
        if not ink.any():
            ink[:] = True
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert row.mean() == pytest.approx(box.mean() / 255 * 16)


@settings(deadline=None, max_examples=25)
@given(pictures)
def test_a_batch_is_its_rows(images: np.ndarray) -> None:
    """The tiles of a picture do not depend on the other pictures in the batch."""
    apart = np.concatenate([tiles(images[i : i + 1]) for i in range(len(images))])
    assert np.array_equal(tiles(images), apart)


def test_blank_pictures_and_single_pixels() -> None:
    """A blank picture gives zeros, and a single pixel a full box; both are finite."""
    blank, dot = np.zeros((2, 28, 28), np.uint8)
    dot[13, 7] = 255
    assert np.array_equal(one(blank), np.zeros((8, 8)))
    assert np.allclose(one(dot), 16.0)


@pytest.mark.parametrize(
    "images", [np.zeros((28, 28), np.uint8), np.zeros((1, 28, 28)), np.zeros((1, 0, 28), np.uint8)]
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    """Anything but (n, h, w) uint8 raises ``ValueError``."""
    with pytest.raises(ValueError, match="expected images"):
        tiles(images)
