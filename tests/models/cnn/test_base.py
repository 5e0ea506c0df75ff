"""The shipped base is what its recipe makes: five to ten minutes of training, so a campaign."""

import os

import numpy as np
import pytest

from loop.data import corpus
from models.cnn import Cnn, backend
from models.family import no_progress
from tests.helpers.paths import SHARED
from tests.models.cnn.tiny import shipped

MNIST = SHARED / "data" / "mnist"


@pytest.mark.campaign
@pytest.mark.skipif(not MNIST.is_dir(), reason=f"MNIST is not at {MNIST}; set TEST_SHARED")
@pytest.mark.skipif(
    backend.policy() != "mixed_bfloat16" or os.cpu_count() != 2,
    reason="the shipped base was trained on 2 cores with bfloat16; other machines sum in another order",
)
def test_recipe_makes_the_shipped_base() -> None:
    """Training from seed 0 gives the shipped arrays, bit for bit."""
    mnist = corpus.mnist(MNIST)
    made = Cnn().train_base(mnist.train_images, mnist.train_labels, 0, no_progress).weights()
    for name, array in shipped().items():
        np.testing.assert_array_equal(made[name], array, err_msg=name)
