"""Small Core ML files written field by field, without coremltools: as correct or as wrong as a test needs them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models import coreml
from models.coreml import proto

FLOAT32 = 65568


def model(version: int = 4) -> Any:
    """Return an empty model message."""
    message = proto.model_pb2().Model()
    message.specificationVersion = version
    return message


def array(features: Any, name: str, shape: Sequence[int] = ()) -> None:
    """Add an array feature to a description's inputs or outputs."""
    feature = features.add(name=name)
    feature.type.multiArrayType.dataType = FLOAT32
    feature.type.multiArrayType.shape.extend(shape)


def image(features: Any, name: str, height: int, width: int, colour: int) -> None:
    """Add an image feature; ``colour`` is 10 for grayscale, 20 for RGB, 30 for BGR."""
    kind = features.add(name=name).type.imageType
    kind.height, kind.width, kind.colorSpace = height, width, colour


def fill(message: Any, fields: Mapping[str, Any]) -> None:
    """Set fields of a message from numbers, lists, arrays (as float32 weights) and nested mappings."""
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            getattr(message, name).floatValue.extend(value.astype(np.float32).ravel().tolist())
        elif isinstance(value, Mapping):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif isinstance(value, list | tuple):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def layer(network: Any, kind: str, inputs: Sequence[str], outputs: Sequence[str], **fields: Any) -> Any:
    """Add a layer of ``kind`` with the given parameters and return its message."""
    added = network.layers.add(name=f"the {kind}", input=inputs, output=outputs)
    getattr(added, kind).SetInParent()
    fill(getattr(added, kind), fields)
    return added


def single(kind: str, *shapes: Sequence[int], outputs: int = 1, version: int = 4, **fields: Any) -> Any:
    """Return a network of one layer from arrays ``x0``, ``x1`` … to ``y0`` …; shapes are exact from version 4."""
    message = model(version)
    network = message.neuralNetwork
    network.arrayInputShapeMapping = 1 if version >= 4 else 0
    inputs, given = [f"x{i}" for i in range(len(shapes))], [f"y{i}" for i in range(outputs)]
    for name, shape in zip(inputs, shapes, strict=True):
        array(message.description.input, name, shape)
    if not shapes:
        array(message.description.input, "unused", (1,))
    for name in given:
        array(message.description.output, name)
    layer(network, kind, inputs, given, **fields)
    return message


def classifier(labels: Sequence[str] | Sequence[int], version: int = 1) -> Any:
    """Return a classifier of gray 4×4 images whose scores are the first pixels, through softmax."""
    message = model(version)
    image(message.description.input, "image", 4, 4, 10)
    description, network = message.description, message.neuralNetworkClassifier
    scores = description.output.add(name="scores").type.dictionaryType
    named = description.output.add(name="label").type
    if isinstance(labels[0], str):
        scores.stringKeyType.SetInParent()
        named.stringType.SetInParent()
        network.stringClassLabels.vector.extend(labels)
    else:
        scores.int64KeyType.SetInParent()
        named.int64Type.SetInParent()
        network.int64ClassLabels.vector.extend(labels)
    description.predictedFeatureName, description.predictedProbabilitiesName = "label", "scores"
    layer(network, "flatten", ["image"], ["flat"])
    weights = np.eye(len(labels), 16) / 50
    layer(network, "innerProduct", ["flat"], ["dense"], inputChannels=16, outputChannels=len(labels), weights=weights)
    layer(network, "softmax", ["dense"], ["scores"])
    return message


def run(message: Any, *inputs: np.ndarray) -> list[np.ndarray]:
    """Load a message and return its outputs ``y0`` … for inputs ``(n, …)``."""
    loaded = coreml.load(message.SerializeToString())
    given = {f"x{i}": x for i, x in enumerate(inputs)} or {"unused": np.zeros((1, 1), np.float32)}
    found = loaded.predict(given)
    return [found[output.name] for output in loaded.outputs]
