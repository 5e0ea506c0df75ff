"""How images become tensors, and scores labels: channel order, scaler, mean image, both mappings, labels."""

from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import specs

GRAY, RGB, BGR = 10, 20, 30


def _picture(colour: int, rank4: bool = False) -> Any:
    """Return a network that gives its image input back as the tensor it is."""
    message = specs.model()
    specs.image(message.description.input, "image", 2, 3, colour)
    specs.array(message.description.output, "y0")
    network = message.neuralNetwork
    network.arrayInputShapeMapping, network.imageInputShapeMapping = 1, int(rank4)
    specs.layer(network, "activation", ["image"], ["y0"], linear={"alpha": 1.0})
    return message


def _images(colour: int) -> np.ndarray:
    shape = (4, 2, 3) if colour == GRAY else (4, 2, 3, 3)
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def _tensor(message: Any, images: np.ndarray) -> np.ndarray:
    return coreml.load(message.SerializeToString()).predict({"image": images})["y0"]


@pytest.mark.parametrize("rank4", [False, True])
@pytest.mark.parametrize("colour", [GRAY, RGB, BGR])
def test_channel_order_and_mapping(colour: int, rank4: bool) -> None:
    """RGB in; the network sees its own order, channels before rows, behind one or two axes of length 1."""
    images = _images(colour)
    planes = images[:, None] if colour == GRAY else images.transpose(0, 3, 1, 2)
    planes = planes[:, ::-1] if colour == BGR else planes
    found = _tensor(_picture(colour, rank4), images)
    assert found.shape[1:-3] == ((1,) if rank4 else (1, 1))
    assert np.array_equal(found.reshape(planes.shape), planes)


@pytest.mark.parametrize(("colour", "biases"), [(GRAY, [4.0]), (RGB, [1.0, 2.0, 3.0]), (BGR, [3.0, 2.0, 1.0])])
@pytest.mark.parametrize("named", [False, True])
def test_scaler(colour: int, biases: list[float], named: bool) -> None:
    """Each channel is scaled and gets the bias of its colour, wherever it stands; no name means the only image."""
    message, images = _picture(colour), _images(colour)
    scaler = message.neuralNetwork.preprocessing.add(featureName="image" if named else "").scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias, scaler.grayBias = 0.5, 1, 2, 3, 4
    plain = _tensor(_picture(colour), images)
    assert np.array_equal(_tensor(message, images), plain * 0.5 + np.array(biases)[:, None, None])


def test_mean_image() -> None:
    """The mean image ``[C, H, W]`` is subtracted in the network's channel order."""
    message, images = _picture(BGR), _images(BGR)
    mean = np.arange(18, dtype=np.float32)
    message.neuralNetwork.preprocessing.add(featureName="image").meanImage.meanImage.extend(mean.tolist())
    assert np.array_equal(_tensor(message, images), _tensor(_picture(BGR), images) - mean.reshape(3, 2, 3))


@pytest.mark.parametrize("labels", [["a", "b", "c"], [7, -1, 2**40]])
def test_labels(labels: Any) -> None:
    """Probabilities are in the order of the labels; the predicted label is the likeliest one, string or integer."""
    model = coreml.load(specs.classifier(labels).SerializeToString())
    images = np.zeros((4, 4, 4), np.uint8)
    images[np.arange(3), 0, np.arange(3)] = 255
    found = model.predict({"image": images})
    assert model.labels == tuple(labels)
    assert (model.label_name, model.probabilities_name) == ("label", "scores")
    assert found["label"].tolist() == [*labels, labels[0]]  # a tie goes to the first
    assert found["label"].dtype == (np.int64 if isinstance(labels[0], int) else "<U1")
    assert np.allclose(found["scores"].sum(axis=1), 1)
    assert np.array_equal(found["scores"][:3].argmax(axis=1), [0, 1, 2])


@pytest.mark.parametrize("name", ["scores", ""])
def test_the_probabilities_tensor(name: str) -> None:
    """The scores are the named tensor's, or, as in old files that name none, the output's of the description."""
    message = specs.classifier(["a", "b"])
    message.neuralNetworkClassifier.labelProbabilityLayerName = name
    found = coreml.load(message.SerializeToString()).predict({"image": np.zeros((1, 4, 4), np.uint8)})
    assert found["scores"].tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("version", [1, 4])
def test_array_mappings(version: int) -> None:
    """A vector is (1, 1, C, 1, 1) inside old networks, and itself inside new ones; outside it is a vector in both."""
    message = specs.single("activation", (3,), version=version, linear={"alpha": 2.0})
    x = np.arange(6.0).reshape(2, 3)
    loaded = coreml.load(message.SerializeToString())
    assert loaded.predict({"x0": x})["y0"].tolist() == (2 * x).tolist()
    summary = coreml.inspect(message.SerializeToString())
    assert summary.layers[0].shapes == (((1, 1, 3, 1, 1) if version == 1 else (3,)),)


def test_a_regressor_gives_a_number() -> None:
    """A described double is one number for each image."""
    message = specs.single("reduceSum", (4,), reduceAll=True)
    network = message.neuralNetwork
    message.neuralNetworkRegressor.layers.extend(network.layers)
    message.neuralNetworkRegressor.arrayInputShapeMapping = 1
    message.description.output[0].type.doubleType.SetInParent()
    found = coreml.load(message.SerializeToString()).predict({"x0": np.ones((5, 4))})["y0"]
    assert found.tolist() == [4.0] * 5


def test_predictions_from_many_threads() -> None:
    """One model used by several threads at once gives each its own answer."""
    from concurrent.futures import ThreadPoolExecutor

    model = coreml.load(specs.classifier(["a", "b", "c"]).SerializeToString())
    batches = [np.random.default_rng(i).integers(0, 256, (50, 4, 4)).astype(np.uint8) for i in range(16)]
    alone = [model.predict({"image": batch})["scores"] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda batch: model.predict({"image": batch})["scores"], batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
