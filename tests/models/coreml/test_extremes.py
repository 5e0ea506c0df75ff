"""Each integer field of a file at its extremes: a file that loads also runs, and only ``ModelError`` is raised."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import mutations, seeds, specs
from tests.models.coreml.mil import programs

EXTREMES = (2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 0, -1, -(2**31), -(2**63))
RANGES = {1: (-(2**31), 2**31 - 1), 2: (-(2**63), 2**63 - 1), 3: (0, 2**32 - 1), 4: (0, 2**64 - 1), 8: (-1, 2**31 - 1)}
"""By protobuf's C++ type: int32, int64, uint32, uint64, enumeration."""


def _windows(kind: str, padding: str, kernel: int) -> Any:
    """Return a convolution or pooling of 4×4, all sizes stated; kernel 4 gives one window, kernel 1 has one tap."""
    fields: dict[str, Any] = {"kernelSize": [kernel] * 2, "stride": [1, 1], padding: {}}
    if kind == "convolution":
        fields |= {"outputChannels": 1, "kernelChannels": 1, "dilationFactor": [1, 1], "nGroups": 1}
        fields["weights"] = np.ones(kernel * kernel)
    message = specs.single(kind, (1, 1, 4, 4), **fields)
    inner = getattr(message.neuralNetwork.layers[0], kind)
    if padding == "valid":
        for _ in range(2):
            inner.valid.paddingAmounts.borderAmounts.add(startEdgeSize=0, endEdgeSize=0)
    elif padding == "includeLastPixel":
        inner.includeLastPixel.paddingAmounts.extend([0, 0])
    return message


def _sliced() -> Any:
    fields: dict[str, Any] = {"beginIds": [0, 1], "endIds": [2, 3], "strides": [1, 1], "squeezeMasks": [False, True]}
    return specs.single("sliceStatic", (2, 3), **fields, beginMasks=[False] * 2, endMasks=[False] * 2)


BASES: dict[str, Callable[[], Any]] = {
    "convolution, one window": lambda: _windows("convolution", "valid", 4),
    "convolution, one tap": lambda: _windows("convolution", "valid", 1),
    "convolution, same, one tap": lambda: _windows("convolution", "same", 1),
    "convolution, same": lambda: _windows("convolution", "same", 4),
    "pooling, one window": lambda: _windows("pooling", "valid", 4),
    "pooling, one tap": lambda: _windows("pooling", "same", 1),
    "pooling, same": lambda: _windows("pooling", "same", 4),
    "pooling, last pixel": lambda: _windows("pooling", "includeLastPixel", 4),
    "pooling, last pixel, one tap": lambda: _windows("pooling", "includeLastPixel", 1),
    "convolutional": seeds.convolutional,
    "exact": seeds.exact,
    "machine": seeds.machine,
    "program": seeds.program,
    "program of arrangements": programs.arranged,
    "slice": lambda: specs.single("slice", (2, 3, 4), startIndex=1, endIndex=2, stride=1, axis=1),
    "sliceStatic": _sliced,
    "crop": lambda: specs.single("crop", (1, 4, 4), (1, 2, 2), offset=[1, 1]),
    "upsample": lambda: specs.single("upsample", (1, 2, 2), scalingFactor=[2, 2], mode=1),
    "resizeBilinear": lambda: specs.single("resizeBilinear", (1, 2, 2), targetSize=[3, 3]),
    "reorganizeData": lambda: specs.single("reorganizeData", (4, 2, 2), blockSize=2, mode=1),
    "permute": lambda: specs.single("permute", (1, 1, 2, 3, 4), axis=[1, 2, 3, 0]),
    "squeeze": lambda: specs.single("squeeze", (2, 1), axes=[1]),
    "flattenTo2D": lambda: specs.single("flattenTo2D", (1, 2), axis=1),
    "broadcastToStatic": lambda: specs.single("broadcastToStatic", (1, 2), targetShape=[3, 2]),
    "fillStatic": lambda: specs.single("fillStatic", targetShape=[2, 3]),
    "stack": lambda: specs.single("stack", (2,), (2,), axis=1),
    "split": lambda: specs.single("split", (4, 1, 1), outputs=2, nOutputs=2),
    "splitND": lambda: specs.single("splitND", (4,), outputs=2, axis=-1, splitSizes=[1, 3]),
    "argMax": lambda: specs.single("argMax", (2, 3), axis=1),
    "rankPreservingReshape": lambda: specs.single("rankPreservingReshape", (2, 3), targetShape=[3, 2]),
    "loadConstant": lambda: specs.single("loadConstant", shape=[1, 1, 2], data=np.ones(2)),
    "layerNormalization": lambda: specs.single(
        "layerNormalization", (2,), normalizedShape=[2], gamma=np.ones(2), beta=np.ones(2)
    ),
    "innerProduct": lambda: specs.single("innerProduct", (2,), inputChannels=2, outputChannels=2, weights=np.ones(4)),
}


def _extremes(message: Any) -> Iterator[bytes]:
    """Yield the file with one integer field, or all or one of a field's values, at an extreme of its type."""
    for inner in mutations.messages(message):
        for field in inner.DESCRIPTOR.fields:
            low, high = RANGES.get(field.cpp_type, (1, 0))
            for number in (number for number in EXTREMES if low <= number <= high):
                before = list(getattr(inner, field.name)) if field.is_repeated else None
                if before is None:
                    kept, held = getattr(inner, field.name), field.containing_oneof is None
                    setattr(inner, field.name, number)
                    yield message.SerializeToString()
                    setattr(inner, field.name, kept)
                    if not held:
                        inner.ClearField(field.name)
                    continue
                changed = [[number] * len(before), [number, *before[1:]], [*before[:-1], number], [*before, number]]
                for values in changed:
                    getattr(inner, field.name)[:] = values
                    yield message.SerializeToString()
                getattr(inner, field.name)[:] = before


def _given(feature: coreml.Feature) -> np.ndarray:
    if feature.kind == "image":
        return np.ones((2, feature.height, feature.width), np.uint8)
    return np.ones((2, *feature.shape), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_integers_at_their_extremes_are_refused_or_run(base: str) -> None:
    """Negative, huge and overflowing sizes, strides, axes, counts and options end in ``ModelError`` or an answer."""
    message = BASES[base]()
    original = coreml.load(message.SerializeToString())
    refused = 0
    for data in _extremes(message):
        try:
            model = coreml.load(data)
            if sum(np.prod(feature.shape) for feature in model.inputs) <= 1 << 20:
                model.predict({feature.name: _given(feature) for feature in model.inputs})
        except coreml.ModelError:
            refused += 1
    assert refused > 20
    assert original.predict({feature.name: _given(feature) for feature in original.inputs})
