"""The two feature stages that scikit-learn's pipelines are converted to: joining numbers into a vector, and scaling it.

Formulas: FeatureVectorizer.proto (inputs one after another, each of a stated length) and Scaler.proto
(``(x + shift) · scale``).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .body import Arrays, Body, Wanted, arguments, features
from .budget import Budget

KINDS = ("featureVectorizer", "scaler")


def build(message: Any, budget: Budget) -> Body:
    """Return the body of a ``featureVectorizer`` or ``scaler``; both give one array of float64."""
    budget.layer()
    if message.WhichOneof("Type") == "scaler":
        return _scaler(message, budget)
    return _vectorizer(message, budget)


def _vectorizer(message: Any, budget: Budget) -> Body:
    inputs = {feature.name: feature for feature in arguments(message.description, budget)}
    outputs = features(message.description.output, "output", budget)
    listed = [(column.inputColumn, column.inputDimensions) for column in message.featureVectorizer.inputList]
    for name, size in listed:
        feature = inputs.get(name)
        if feature is None or feature.kind == "image" or math.prod(feature.shape) != size:
            raise budget.malformed(f"the vectorizer wants {size} values of {name!r}, which the inputs do not give")
    if not listed or len(outputs) != 1:
        raise budget.malformed("expected a vectorizer with inputs and one output")
    shape = (sum(size for _, size in listed),)
    budget.spend((shape,), 0)

    def run(arrays: Arrays, _: Wanted) -> dict[str, NDArray[Any]]:
        columns = [arrays[name].reshape(-1, size).astype(np.float64) for name, size in listed]
        return {outputs[0].name: np.concatenate(columns, axis=1)}

    return Body(tuple(inputs.values()), (replace(outputs[0], kind="array", shape=shape),), run, _twice(shape))


def _scaler(message: Any, budget: Budget) -> Body:
    inputs = arguments(message.description, budget)
    outputs = features(message.description.output, "output", budget)
    shift, scale = np.array(message.scaler.shiftValue), np.array(message.scaler.scaleValue)
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].kind == "image":
        raise budget.malformed("expected a scaler with one input of numbers and one output")
    size = math.prod(inputs[0].shape)
    if shift.size not in (0, 1, size) or scale.size not in (0, 1, size):
        raise budget.malformed(f"expected 1 or {size} shifts and scales, got {shift.size} and {scale.size}")
    shift, scale = (shift if shift.size else np.zeros(1)), (scale if scale.size else np.ones(1))

    def run(arrays: Arrays, _: Wanted) -> dict[str, NDArray[Any]]:
        x = arrays[inputs[0].name]
        flat = x.reshape(-1, size).astype(np.float64)
        return {outputs[0].name: ((flat + shift) * scale).reshape(x.shape)}

    given = replace(outputs[0], kind=inputs[0].kind, shape=inputs[0].shape)
    return Body(inputs, (given,), run, _twice(inputs[0].shape))


def _twice(shape: tuple[int, ...]) -> Callable[[Wanted], int]:
    """Return the cost of an array of ``shape`` in float64 and of a copy on the way to it."""
    return lambda _: 4 * math.prod(shape)
