"""The published file: its metadata, reproducible bytes, and the same answers as Keras."""

from typing import Any

import numpy as np
import pytest

from models.cnn import Cnn, export, network
from models.coreml.proto import model_pb2
from models.family import Card, Weights
from tests.models.cnn.tiny import shipped

CARD = Card("Reads a digit", "Digit Loop", "MIT", "7", {"version": "7", "base": "ab", "a": "1", "Z": "ä"})


def read(data: bytes) -> Any:
    """Parse a file."""
    spec = model_pb2().Model()
    spec.ParseFromString(data)
    return spec


def test_same_weights_same_bytes(weights: Weights) -> None:
    """The bytes do not depend on the order of arrays or metadata; another weight changes them."""
    data = Cnn().load(weights).export(CARD)
    turned = Card(
        CARD.description, CARD.author, CARD.licence, CARD.version, dict(reversed(list(CARD.metadata.items())))
    )
    assert Cnn().load(dict(reversed(list(weights.items())))).export(turned) == data
    other = {**weights, "digits/bias": weights["digits/bias"] + np.float32(1)}
    assert Cnn().load(other).export(CARD) != data


def test_interface(weights: Weights) -> None:
    """Specification 4, a grayscale 28×28 image in, scale 1/255 inside, the ten labels, the agreed names."""
    spec = read(Cnn().load(weights).export(CARD))
    assert spec.specificationVersion == 4
    (image,) = spec.description.input
    kind = image.type.imageType
    assert (image.name, kind.width, kind.height) == ("image", 28, 28)
    assert kind.colorSpace == kind.ColorSpace.Value("GRAYSCALE")
    outputs = {output.name: output.type.WhichOneof("Type") for output in spec.description.output}
    assert outputs == {"classLabel": "stringType", "probabilities": "dictionaryType"}
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.description.predictedProbabilitiesName == "probabilities"
    classifier = spec.neuralNetworkClassifier
    assert list(classifier.stringClassLabels.vector) == list("0123456789")
    (step,) = classifier.preprocessing
    assert step.scaler.channelScale == pytest.approx(1 / 255)
    assert {layer.WhichOneof("layer") for layer in classifier.layers} == {
        "convolution", "activation", "pooling", "flatten", "innerProduct", "softmax",
    }  # fmt: skip


def test_card(weights: Weights) -> None:
    """The file carries the card and nothing that changes from day to day."""
    metadata = read(Cnn().load(weights).export(CARD)).description.metadata
    card = (metadata.shortDescription, metadata.author, metadata.license, metadata.versionString)
    assert card == ("Reads a digit", "Digit Loop", "MIT", "7")
    assert dict(metadata.userDefined) == dict(CARD.metadata)


def test_size(weights: Weights) -> None:
    """The file is little more than its float32 weights."""
    count = sum(array.size for array in weights.values())
    assert 4 * count < len(Cnn().load(weights).export(CARD)) < 4 * count + 4000


@pytest.mark.slow
def test_exported_answers_as_keras(weights: Weights, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The exported file, run by ``models.coreml``, agrees with Keras to 1e-4 on random weights and on the base."""
    from models import coreml

    images = digits[0][:100]
    for arrays in (weights, shipped()):
        candidate = Cnn().load(arrays)
        ran = coreml.load(candidate.export(CARD)).predict({"image": images})
        np.testing.assert_allclose(ran["probabilities"], candidate.probabilities(images), atol=1e-4)


@pytest.mark.campaign
def test_equals_coremltools_converter(weights: Weights, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """coremltools' own conversion of the same network gives the same answers as the layers written here."""
    import coremltools as ct
    import tensorflow as tf

    from models import coreml

    model = network.build(normalised=False)
    network.fill(model, weights)
    one = tf.TensorSpec((1, 28, 28, 1), tf.float32, name="image")
    function = tf.function(lambda image: tf.nn.softmax(model(image, training=False))).get_concrete_function(one)
    image = ct.ImageType(name="image", shape=(1, 28, 28, 1), scale=1 / 255, color_layout=ct.colorlayout.GRAYSCALE)
    converted = ct.convert(
        [function],
        source="tensorflow",
        inputs=[image],
        classifier_config=ct.ClassifierConfig([str(digit) for digit in range(10)]),
        convert_to="neuralnetwork",
    )
    images = digits[0][:100]
    theirs = coreml.load(converted.get_spec().SerializeToString()).predict({"image": images})
    ours = coreml.load(export.mlmodel(weights, CARD)).predict({"image": images})
    (probabilities,) = (value for name, value in theirs.items() if name != "classLabel")
    np.testing.assert_allclose(ours["probabilities"], probabilities, atol=1e-5)
