"""Pooling: maximum, average and L2, by folding shifted strided slices first along the width, then along the height.

Formula: ``PoolingLayerParams`` in NeuralNetwork.proto; windows of ``includeLastPixel`` that reach beyond the padding
count as in Caffe, where the mode comes from: an average never counts what lies outside the padded image.
"""

import math
from collections.abc import Callable

import numpy as np

from .layer import Array, Layer, Plan, plan
from .windows import Axis, axes, images, padded, tensor

_MAX, _AVERAGE, _L2 = 0, 1, 2


def pooling(layer: Layer) -> Plan:
    """Plan pooling of ``(…, C, H, W)``; the output has the same rank."""
    layer.expect(1, rank=3)
    params = layer.params
    if params.type not in (_MAX, _AVERAGE, _L2):
        raise layer.unsupported(f"pooling type {params.type}")
    if params.globalPooling:
        return _whole(layer)
    kernel = layer.pair("kernelSize", 3)
    height, width = axes(layer, kernel, (1, 1), params.WhichOneof("PoolingPaddingType"))
    shape = layer.fits((*layer.shape[:-2], height.windows, width.windows))
    if params.type != _L2 and (_blind(height) or _blind(width)):
        raise layer.malformed("a pooling window would see nothing but padding")
    padded_shape = layer.fits((*layer.shape[:-2], height.extent, width.extent), what="padded image")
    steps = layer.affordable(math.prod(padded_shape) * kernel[1] + math.prod(shape) * kernel[0] * width.stride)
    counts = _counts(height, width, params.avgPoolExcludePadding) if params.type == _AVERAGE else None
    fold, fill = (np.maximum, -np.inf) if params.type == _MAX else (np.add, 0.0)

    def run(x: Array) -> Array:
        source = padded(images(x, layer.shape), height, width, fill)
        if params.type == _L2:
            source = np.square(source)
        result = _fold(_fold(source, width, 2, fold), height, 1, fold)
        if counts is not None:
            result = result / counts
        elif params.type == _L2:
            result = np.sqrt(result)
        return tensor(result, x.shape[0], shape)

    return plan(shape, run, steps, math.prod(padded_shape))


def _whole(layer: Layer) -> Plan:
    """Plan global pooling; sums are taken in float64, since one may be over a hundred thousand values."""
    shape = (*layer.shape[:-2], 1, 1)

    def run(x: Array) -> Array:
        result: Array
        if layer.params.type == _MAX:
            result = x.max(axis=(-2, -1), keepdims=True)
        elif layer.params.type == _AVERAGE:
            result = x.mean(axis=(-2, -1), keepdims=True, dtype=np.float64).astype(np.float32)
        else:
            result = np.sqrt(np.square(x, dtype=np.float64).sum(axis=(-2, -1), keepdims=True)).astype(np.float32)
        return result

    return plan(shape, run, math.prod(layer.shape), 2 * math.prod(layer.shape))


def _fold(x: Array, axis: Axis, where: int, fold: Callable[..., Array]) -> Array:
    """Return ``x`` ``(N, H, W, C)`` with its windows along one axis folded into one value each."""
    before = (slice(None),) * where
    result: Array = x[(*before, axis.taps(0))]
    if axis.kernel > 1:
        result = fold(result, x[(*before, axis.taps(1))])
    for offset in range(2, axis.kernel):
        fold(result, x[(*before, axis.taps(offset))], out=result)
    return result


def _blind(axis: Axis) -> bool:
    """Whether the first or the last window lies wholly in the padding."""
    return axis.kernel <= axis.before or (axis.windows - 1) * axis.stride - axis.before >= axis.size


def _counts(height: Axis, width: Axis, exclude: bool) -> Array:
    """Return ``(rows, columns, 1)``: how many values the average in each window is over."""
    outside = 0 if exclude else 1
    rows = _covered(height, height.before * outside, height.after * outside)
    columns = _covered(width, width.before * outside, width.after * outside)
    return (rows[:, None] * columns[None, :])[:, :, None]


def _covered(axis: Axis, before: int, after: int) -> Array:
    """Return for each window how many of its values lie inside the image widened by ``before`` and ``after``."""
    start = np.arange(axis.windows, dtype=np.int64) * axis.stride - axis.before
    inside = np.minimum(start + axis.kernel, axis.size + after) - np.maximum(start, -before)
    return inside.astype(np.float32)
