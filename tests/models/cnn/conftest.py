"""A shrunken family, and digits to teach it: the 1,797 real ones bundled with scikit-learn, enlarged."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from models.cnn import Cnn, recipe
from models.family import Lesson, Weights
from tests.models.cnn.tiny import random_weights

TINY_BASE = replace(recipe.BASE, steps=60, batch=32, average_every=2, average_decay=0.8)
TINY_NIGHT = replace(recipe.NIGHT, steps=6, batch=16, corrections=4, visits=3, average_every=2)


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits: (1797, 28, 28) uint8, each of the 8×8 pixels 3×3 large, and labels."""
    bunch = load_digits()
    large = np.kron(bunch.images, np.ones((3, 3)))
    images = np.pad(large * (255 / 16), ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    return images, bunch.target.astype(np.uint8)


@pytest.fixture(scope="session")
def tiny() -> Cnn:
    """The family with recipes of a few steps."""
    return Cnn(base_recipe=TINY_BASE, night_recipe=TINY_NIGHT)


@pytest.fixture(scope="session")
def weights() -> Weights:
    """Random folded weights of the right shapes."""
    return random_weights()


@pytest.fixture(scope="session")
def lesson(digits: tuple[np.ndarray, np.ndarray]) -> Lesson:
    """Sixty digits of replay and ten corrections."""
    images, labels = digits
    return Lesson(images[:60], labels[:60], images[60:70], labels[60:70], np.arange(1.0, 11.0))
