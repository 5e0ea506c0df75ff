"""The two files by other people, written years ago by other converters, on MNIST's test set."""

import numpy as np
import pytest

from models import coreml

RIGHT = {"keras-cnn-2017.mlmodel": 9920, "keras-cnn-2021.mlmodel": 9880}
"""Of 10,000, as measured; a wrong padding, channel order, flattening or polarity costs hundreds at least."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RIGHT))
def test_accuracy(name: str, foreign: dict[str, bytes], mnist_test: tuple[np.ndarray, np.ndarray]) -> None:
    """Each file has the measured accuracy on MNIST's test set; probabilities sum to 1."""
    images, labels = mnist_test
    model = coreml.load(foreign[name], name=name)
    found = model.predict({model.inputs[0].name: images})
    right = (found[model.label_name] == labels.astype(str)).sum()
    assert abs(right - RIGHT[name]) <= 2  # rounding may turn a tie
    assert np.abs(found[model.probabilities_name].sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_batches_do_not_matter(name: str, foreign: dict[str, bytes], mnist_test: tuple[np.ndarray, np.ndarray]) -> None:
    """One image alone, and among others, gives the same probabilities within rounding; none gives none."""
    model = coreml.load(foreign[name], name=name)
    image, scores = model.inputs[0].name, model.probabilities_name
    many = model.predict({image: mnist_test[0][:70]})[scores]
    for i in (0, 31, 69):
        alone = model.predict({image: mnist_test[0][i : i + 1]})[scores]
        assert np.abs(alone[0] - many[i]).max() < 1e-6
    assert model.predict({image: mnist_test[0][:0]})[scores].shape == (0, 10)


def test_what_they_say_of_themselves(foreign: dict[str, bytes]) -> None:
    """The summary of the file of 2017: version 1, iOS 11, its author, twelve layers, weights and shapes."""
    summary = coreml.inspect(foreign["keras-cnn-2017.mlmodel"])
    assert (summary.spec_version, summary.lowest_ios, summary.problem) == (1, "11.0", None)
    assert summary.metadata["author"] == "Sri Raghu Malireddi"
    assert (len(summary.layers), summary.weights, summary.precisions) == (14, 94_602, ("float32",))
    assert summary.layers[0].shapes == ((1, 1, 32, 24, 24),)
    assert summary.inputs[0].colour == "grayscale"
