"""The distortions: bounded, repeatable, never a flip."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.cnn import augment, recipe

pytestmark = pytest.mark.slow

NOTHING = recipe.Augmentation(rotation_degrees=0, zoom=0, shift=0, slant=0, bend=0, stroke_share=0, stroke=0)


def distorted(images: np.ndarray, augmentation: recipe.Augmentation, step: int = 1) -> Any:
    """Distort uint8 images with seed 3, as float32 0 to 1."""
    import tensorflow as tf

    floats = tf.constant(images[..., None] / 255.0, tf.float32)
    bounds = tf.constant([augment.strengths(augmentation)] * len(images))
    return augment.distort(floats, augment.draws(3, step, len(images)), bounds).numpy()[..., 0]


def test_no_strength_no_change(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """With every bound at 0 the images pass unchanged."""
    images = digits[0][:50]
    np.testing.assert_allclose(distorted(images, NOTHING), images / 255.0, atol=1e-6)


@pytest.mark.parametrize("augmentation", [recipe.NIGHT.correction_augmentation, recipe.BASE.augmentation])
def test_values_stay_in_range(digits: tuple[np.ndarray, np.ndarray], augmentation: recipe.Augmentation) -> None:
    """Distorted images are finite, within 0 to 1, and never empty."""
    out = distorted(digits[0][:500], augmentation)
    assert np.isfinite(out).all()
    assert out.min() >= 0.0
    assert out.max() <= 1.0 + 1e-6
    assert (out.sum(axis=(1, 2)) > 5.0).all()


def test_a_function_of_seed_and_step(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The same seed and step distort alike; another step distorts otherwise."""
    images = digits[0][:20]
    first = distorted(images, recipe.BASE.augmentation)
    np.testing.assert_array_equal(first, distorted(images, recipe.BASE.augmentation))
    assert not np.array_equal(first, distorted(images, recipe.BASE.augmentation, step=2))


def test_never_a_flip() -> None:
    """Every transform keeps the orientation: the determinant of its linear part is positive."""
    import tensorflow as tf

    bounds = tf.constant([augment.strengths(recipe.NIGHT.correction_augmentation)] * 20_000)
    rows = augment.matrices(augment.draws(1, 1, 20_000), bounds, 28).numpy()
    determinant = rows[:, 0] * rows[:, 4] - rows[:, 1] * rows[:, 3]
    assert determinant.min() > 0.5


def test_bounds_hold() -> None:
    """With rotation alone, no transform turns by more than the bound; the bound is nearly reached."""
    import tensorflow as tf

    only = replace(NOTHING, rotation_degrees=10.0)
    rows = augment.matrices(augment.draws(1, 1, 5000), tf.constant([augment.strengths(only)] * 5000), 28)
    angles = np.degrees(np.arctan2(rows.numpy()[:, 3], rows.numpy()[:, 0]))
    assert 9.9 < np.abs(angles).max() <= 10.001


def test_shift_holds_its_bound() -> None:
    """With shift alone, the centre moves by at most a tenth of the side on each axis."""
    import tensorflow as tf

    only = replace(NOTHING, shift=0.1)
    rows = augment.matrices(augment.draws(1, 1, 5000), tf.constant([augment.strengths(only)] * 5000), 28)
    moved = np.abs(rows.numpy()[:, [2, 5]])
    assert 2.7 < moved.max() <= 2.801


def test_centre_stays() -> None:
    """Rotation, zoom and slant turn about the image's centre: (13.5, 13.5) maps to itself."""
    import tensorflow as tf

    still = replace(recipe.NIGHT.correction_augmentation, shift=0.0)
    rows = augment.matrices(augment.draws(1, 1, 100), tf.constant([augment.strengths(still)] * 100), 28).numpy()
    np.testing.assert_allclose((rows[:, 0] + rows[:, 1]) * 13.5 + rows[:, 2], 13.5, atol=1e-4)
    np.testing.assert_allclose((rows[:, 3] + rows[:, 4]) * 13.5 + rows[:, 5], 13.5, atol=1e-4)


def test_bending_moves_a_little(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """A bend displaces strokes without moving the digit: the centre of mass stays within its bound."""
    only = replace(NOTHING, bend=0.05)
    images = digits[0][:200]
    bent = distorted(images, only)
    assert np.abs(bent - images / 255.0).max() > 0.3
    for axis in (1, 2):
        at = np.arange(28.0)
        before = (images.sum(axis=3 - axis) * at).sum(1) / images.sum(axis=(1, 2))
        after = (bent.sum(axis=3 - axis) * at).sum(1) / bent.sum(axis=(1, 2))
        assert np.abs(after - before).max() < 28 * 0.05 * 1.5  # a bicubic curve overshoots its knots


def test_stroke_thins_and_thickens(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Redrawn strokes come both thinner and thicker than the original, and keep a blank page blank."""
    only = replace(NOTHING, stroke_share=1.0, stroke=1.0)
    image = digits[0][:1]
    many = np.repeat(image, 300, axis=0)
    ink = distorted(many, only).sum(axis=(1, 2)) / (image / 255.0).sum()
    assert ink.min() < 0.85
    assert ink.max() > 1.15
    assert distorted(np.zeros((5, 28, 28), np.uint8), only).max() == 0.0
