"""Check the arguments of ``predict`` against the description before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .features import Feature


def checked(inputs: Mapping[str, Any], features: Sequence[Feature], file: str) -> dict[str, NDArray[Any]]:
    """Return the arrays for a model's inputs, one batch length for all; raises ``BadInput``."""
    expected = {feature.name for feature in features}
    if set(inputs) != expected:
        raise BadInput(f"{file}: expected the inputs {sorted(expected)}, got {sorted(map(str, inputs))}")
    arrays = {feature.name: _checked(inputs[feature.name], feature, file) for feature in features}
    counts = {array.shape[0] for array in arrays.values()}
    if len(counts) != 1:
        raise BadInput(f"{file}: expected as many rows for each input, got {sorted(counts)}")
    return arrays


def _checked(given: Any, feature: Feature, file: str) -> NDArray[Any]:
    if not isinstance(given, np.ndarray):
        raise BadInput(f"{file}: input {feature.name!r}: expected a numpy array, got {type(given).__name__}")
    shapes: tuple[tuple[int, ...], ...] = (feature.shape,)
    if feature.kind == "image":
        size = (feature.height, feature.width)
        shapes = (size, (*size, 1)) if feature.colour == "grayscale" else ((*size, 3),)
        if given.dtype != np.uint8:
            raise BadInput(f"{file}: image {feature.name!r}: expected uint8, got {given.dtype}")
    elif given.dtype.kind not in "fiub":
        raise BadInput(f"{file}: input {feature.name!r}: expected numbers, got {given.dtype}")
    if given.ndim == 0 or given.shape[1:] not in shapes:
        raise BadInput(f"{file}: input {feature.name!r}: expected (n, {str(shapes[0])[1:-1]}), got {given.shape}")
    return given
