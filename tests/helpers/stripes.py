"""Small Core ML models that read stripes: digit k is a white stripe on rows 4+2k and 5+2k.

Such a model gives wrong answers for any other size, order of channels, polarity, scale or order of labels. So these
files show whether a foreign file is adapted according to its description.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.coreml.proto import model_pb2

DIGITS = tuple(str(digit) for digit in range(10))
STRENGTH = 20.0  # the distance of the right stripe's logit from the others


def images() -> NDArray[np.uint8]:
    """``(10, 28, 28)``: digit k at index k."""
    drawn = np.zeros((10, 28, 28), np.uint8)
    for digit in range(10):
        drawn[digit, 4 + 2 * digit : 6 + 2 * digit] = 255
    return drawn


def image_model(
    labels: Sequence[str | int] | None = DIGITS,
    colour: str = "GRAYSCALE",
    size: tuple[int, int] = (28, 28),
    black_on_white: bool = False,
    channel: int = 0,
    softmax: bool = True,
    input_text: str = "",
    text: str = "",
    bias: float = 0.0,
) -> bytes:
    """A network with an image input that uses one of its channels; without ``labels`` it is not a classifier."""
    spec, network = _begin(labels, input_text, text)
    image = spec.description.input[0].type.imageType
    image.height, image.width = size
    image.colorSpace = image.ColorSpace.Value(colour)
    network.preprocessing.add(featureName="picture").scaler.channelScale = 1 / 255
    network.layers.add(name="flat", input=["picture"], output=["flat"]).flatten.SetInParent()
    channels = 1 if colour == "GRAYSCALE" else 3
    weights = np.zeros((10, channels, *size))
    weights[:, channel] = _templates(size)
    _finish(spec, network, "flat", -weights if black_on_white else weights, labels, softmax, bias)
    return bytes(spec.SerializeToString(deterministic=True))


def array_model(
    shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, dtype: str = "DOUBLE", input_text: str = ""
) -> bytes:
    """A classifier with an array input for values from ``low`` to ``high``; confident only for those."""
    spec, network = _begin(DIGITS, input_text, "")
    spec.specificationVersion = 4
    array = spec.description.input[0].type.multiArrayType
    array.shape.extend(shape)
    array.dataType = array.ArrayDataType.Value(dtype)
    network.arrayInputShapeMapping = 1  # EXACT_ARRAY_MAPPING: the exact shape
    flat = network.layers.add(name="flat", input=["picture"], output=["flat"])
    flat.reshapeStatic.targetShape.extend([1, int(np.prod(shape))])
    ones = [length for length in shape if length != 1]
    weights = _templates((28, 28)) if np.prod(shape) % 784 == 0 else np.zeros((10, *shape))
    if len(ones) == 3:
        first = ones[0] == 3
        weights = np.stack([weights, 0 * weights, 0 * weights], axis=1 if first else 3)
    # The logit is STRENGTH for a stripe from low to high; a stripe in another row lowers it.
    _finish(spec, network, "flat", weights / (high - low), DIGITS, True, 0.0)
    return bytes(spec.SerializeToString(deterministic=True))


def _templates(size: tuple[int, int]) -> NDArray[np.float64]:
    """``(10, height, width)``: the mean over a stripe's place, times STRENGTH."""
    places = np.arange(28) // 2 - 2
    rows = places[np.arange(size[0]) * 28 // size[0]]
    masks = (rows[None, :, None] == np.arange(10)[:, None, None]) * np.ones((1, 1, size[1]))
    return STRENGTH * masks / masks.sum(axis=(1, 2), keepdims=True)


def _begin(labels: Sequence[str | int] | None, input_text: str, text: str) -> tuple[Any, Any]:
    spec = model_pb2().Model(specificationVersion=1)
    spec.description.input.add(name="picture", shortDescription=input_text)
    spec.description.metadata.shortDescription = text
    return spec, spec.neuralNetwork if labels is None else spec.neuralNetworkClassifier


def _finish(
    spec: Any,
    network: Any,
    below: str,
    weights: NDArray[np.float64],
    labels: Sequence[str | int] | None,
    softmax: bool,
    bias: float,
) -> None:
    order = np.arange(10) if labels is None else np.array([int(label) % 10 for label in labels])
    rows = weights.reshape(10, -1)[order]
    dense = network.layers.add(name="dense", input=[below], output=["dense"])
    dense.innerProduct.inputChannels, dense.innerProduct.outputChannels = rows.shape[1], len(rows)
    dense.innerProduct.weights.floatValue.extend(rows.ravel())
    dense.innerProduct.hasBias = True
    dense.innerProduct.bias.floatValue.extend([bias] * len(rows))
    if softmax:
        sure = network.layers.add(name="sure", input=["dense"], output=["sure"])
        if spec.specificationVersion < 4:
            sure.softmax.SetInParent()
        else:  # arrays of any rank
            sure.softmaxND.axis = -1
    last = "sure" if softmax else "dense"
    if labels is None:
        spec.description.output.add(name=last).type.multiArrayType.shape.append(10)
        return
    whole = isinstance(labels[0], int)
    names = network.int64ClassLabels if whole else network.stringClassLabels
    names.vector.extend(labels)
    network.labelProbabilityLayerName = last
    label = spec.description.output.add(name="classLabel").type
    each = spec.description.output.add(name=last).type.dictionaryType
    (label.int64Type if whole else label.stringType).SetInParent()
    (each.int64KeyType if whole else each.stringKeyType).SetInParent()
    spec.description.predictedFeatureName = "classLabel"
    spec.description.predictedProbabilitiesName = last
