"""Convert a caller's images and arrays to a network's input tensors: checked, scaled, mapped.

Formulas: ``NeuralNetworkPreprocessing`` and the two shape mappings in NeuralNetwork.proto. Scaler and mean image are
applied to an image in file order. Colour images are given as RGB whatever order the file wants; the network sees the
order of its ``colour``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .budget import Budget
from .features import Feature
from .layers.layer import Array, Shape

RANK5_ARRAYS, EXACT_ARRAYS = 0, 1
RANK5_IMAGES, RANK4_IMAGES = 0, 1
_CHANNELS = {"grayscale": ("gray",), "rgb": ("red", "green", "blue"), "bgr": ("blue", "green", "red")}


@dataclass(frozen=True, slots=True)
class Entrance:
    """The conversion of one input: ``convert`` takes the caller's array and returns ``(n, *shape)`` float32."""

    feature: Feature
    shape: Shape
    convert: Callable[[NDArray[Any]], Array]


def entrances(network: Any, features: Sequence[Feature], budget: Budget) -> dict[str, Entrance]:
    """Return the entrance of each input of a neural network message."""
    arrays, pictures = network.arrayInputShapeMapping, network.imageInputShapeMapping
    if arrays not in (RANK5_ARRAYS, EXACT_ARRAYS) or pictures not in (RANK5_IMAGES, RANK4_IMAGES):
        raise budget.unsupported(f"the input shape mapping {arrays} of arrays, {pictures} of images")
    steps = _steps(network, features, budget)
    found = {}
    for feature in features:
        if feature.kind == "image":
            entrance = _image(network, feature, steps.get(feature.name, []), budget)
        elif feature.kind == "array":
            entrance = _array(network, feature, budget)
        else:
            raise budget.unsupported(f"input {feature.name!r}: a network's input of kind {feature.kind}")
        found[feature.name] = entrance
        budget.spend((entrance.shape,), len(steps.get(feature.name, ())) * math.prod(entrance.shape))
    return found


def _steps(network: Any, features: Sequence[Feature], budget: Budget) -> dict[str, list[Any]]:
    """Return the preprocessing messages of each image, in file order; one without a name belongs to the only input."""
    kinds = {feature.name: feature.kind for feature in features}
    found: dict[str, list[Any]] = {}
    for each in network.preprocessing:
        budget.layer()
        if not each.featureName and len(features) != 1:
            raise budget.malformed(f"preprocessing without a name, but {len(features)} inputs it may belong to")
        name = each.featureName or features[0].name
        if kinds.get(name) != "image":
            raise budget.malformed(f"preprocessing for {name!r}, which is not an image input")
        found.setdefault(name, []).append(each)
    return found


def _image(network: Any, feature: Feature, steps: Sequence[Any], budget: Budget) -> Entrance:
    channels = len(_CHANNELS[feature.colour])
    leading = (1,) if network.imageInputShapeMapping == RANK4_IMAGES else (1, 1)
    shape = (*leading, channels, feature.height, feature.width)
    stages = [_stage(each, feature, budget) for each in steps]

    def convert(given: NDArray[Any]) -> Array:
        pixels = given.reshape(given.shape[0], feature.height, feature.width, channels)
        x = (pixels[..., ::-1] if feature.colour == "bgr" else pixels).astype(np.float32)
        for stage in stages:
            x = stage(x)
        return x.transpose(0, 3, 1, 2).reshape(given.shape[0], *shape)

    return Entrance(feature, shape, convert)


def _stage(message: Any, feature: Feature, budget: Budget) -> Callable[[Array], Array]:
    """Return one preprocessing step on ``(n, H, W, C)`` values in the network's channel order."""
    kind = message.WhichOneof("preprocessor")
    names = _CHANNELS[feature.colour]
    if kind == "scaler":
        scale = np.float32(message.scaler.channelScale)
        bias = np.array([getattr(message.scaler, f"{name}Bias") for name in names], dtype=np.float32)
        return lambda x: x * scale + bias
    if kind == "meanImage":
        mean = np.array(message.meanImage.meanImage, dtype=np.float32)
        expected = (len(names), feature.height, feature.width)
        if mean.size != np.prod(expected):
            raise budget.malformed(
                f"mean image for {feature.name!r}: expected shape {expected}, got {mean.size} values"
            )
        mean = mean.reshape(expected).transpose(1, 2, 0)
        return lambda x: x - mean
    raise budget.malformed(f"preprocessing for {feature.name!r} of no known kind")


def _array(network: Any, feature: Feature, budget: Budget) -> Entrance:
    if not feature.shape:
        raise budget.malformed(f"input {feature.name!r}: expected a shape, got none")
    if network.arrayInputShapeMapping != RANK5_ARRAYS:
        shape = feature.shape
    elif len(feature.shape) == 1:
        shape = (1, 1, *feature.shape, 1, 1)
    elif len(feature.shape) == 3:
        shape = (1, 1, *feature.shape)
    else:
        raise budget.malformed(
            f"input {feature.name!r}: rank-5 mapping takes arrays of 1 or 3 axes, got {feature.shape}"
        )
    return Entrance(feature, shape, lambda given: given.astype(np.float32).reshape(given.shape[0], *shape))
