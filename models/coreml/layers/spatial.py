"""Layers that cut or widen images: padding, crop, slice, constant padding, upsampling, bilinear resizing.

Formulas: the messages of these names in NeuralNetwork.proto; upsampling grids as coremltools' builder documents them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan

_NEAREST, _BILINEAR = 0, 1


def padding(layer: Layer) -> Plan:
    """Plan ``padding`` of height and width by a constant, by reflection or by replication."""
    layer.expect(1, rank=3)
    top, bottom, left, right = layer.borders(layer.params.paddingAmounts)
    *rest, height, width = layer.shape
    shape = layer.fits((*rest, top + height + bottom, left + width + right))
    kind = layer.params.WhichOneof("PaddingType")
    amounts = (*((0, 0) for _ in range(len(rest) + 1)), (top, bottom), (left, right))
    if kind == "constant":
        value = np.float32(layer.params.constant.value)
        return plan(shape, lambda x: np.pad(x, amounts, constant_values=value))
    if kind == "reflection":
        if max(top, bottom) >= height or max(left, right) >= width:
            raise layer.malformed(f"a reflection wider than the image {layer.shape}")
        return plan(shape, lambda x: np.pad(x, amounts, mode="reflect"))
    if kind == "replication":
        return plan(shape, lambda x: np.pad(x, amounts, mode="edge"))
    raise layer.malformed("no padding type is set")


def constant_pad(layer: Layer) -> Plan:
    """Plan ``constantPad``: amounts before and after each axis, or, in the other mode, before or after up to a size."""
    layer.known(1, "amounts")
    layer.expect(1)
    given = list(layer.params.padAmounts)
    if len(given) != 2 * len(layer.shape):
        raise layer.malformed(f"expected two amounts for each axis of {layer.shape}, got {len(given)}")
    pairs = list(zip(given[::2], given[1::2], strict=True))
    if layer.params.padToGivenOutputSizeMode:
        if any(a and b for a, b in pairs):
            raise layer.malformed("a given size both before and after an axis")
        pairs = [
            (a and max(0, a - size), b and max(0, b - size)) for size, (a, b) in zip(layer.shape, pairs, strict=True)
        ]
    shape = layer.fits(tuple(a + size + b for size, (a, b) in zip(layer.shape, pairs, strict=True)))
    value = np.float32(layer.params.value)
    return plan(shape, lambda x: np.pad(x, ((0, 0), *pairs), constant_values=value))


def crop(layer: Layer) -> Plan:
    """Plan ``crop`` by border amounts, or to the size of a second input at an offset."""
    layer.expect(range(1, 3), rank=3)
    *rest, height, width = layer.shape
    if len(layer.shapes) == 1:
        top, bottom, left, right = layer.borders(layer.params.cropAmounts)
        rows, columns = height - top - bottom, width - left - right
    else:
        top, left = layer.pair("offset", 0, least=0)
        rows, columns = layer.shapes[1][-2:]
    if top + rows > height or left + columns > width:
        raise layer.malformed(f"{rows}×{columns} from {top},{left} lies outside {layer.shape}")
    shape = layer.fits((*rest, rows, columns))
    return plan(shape, lambda x, _=None: x[..., top : top + rows, left : left + columns])


def slice_layer(layer: Layer) -> Plan:
    """Plan ``slice`` along channels, height or width; negative indices count from the end."""
    layer.expect(1)
    params = layer.params
    if params.axis not in (0, 1, 2):
        raise layer.unsupported(f"slice axis {params.axis}")
    axis = layer.axis((-3, -2, -1)[params.axis])
    if params.stride < 1:
        raise layer.malformed("expected a positive stride, got 0")
    cut = slice(params.startIndex, params.endIndex, params.stride)
    index = [slice(None)] * len(layer.shape)
    index[axis] = cut
    return _cut(layer, tuple(index))


def slice_static(layer: Layer) -> Plan:
    """Plan ``sliceStatic``: begin, end and step for each axis, or its whole; squeezed axes take one value and go."""
    layer.expect(1)
    p, rank = layer.params, len(layer.shape)
    squeezed = list(p.squeezeMasks) or [False] * rank
    fields = (p.beginIds, p.beginMasks, p.endIds, p.endMasks, p.strides, squeezed)
    if any(len(field) != rank for field in fields) or 0 in p.strides:
        raise layer.malformed(f"expected {rank} begins, ends, masks and steps that are not 0")
    index: list[slice | int] = []
    for i, (begin, no_begin, end, no_end, stride, squeeze) in enumerate(zip(*fields, strict=True)):
        if squeeze:
            index.append(layer.axis(begin, layer.shape[i]))
        else:
            index.append(slice(None if no_begin else begin, None if no_end else end, stride))
    return _cut(layer, tuple(index))


def _cut(layer: Layer, index: tuple[slice | int, ...]) -> Plan:
    """Plan numpy's basic indexing of every image."""
    shape: list[int] = []
    for size, at in zip(layer.shape, index, strict=True):
        if isinstance(at, slice):
            shape.append(len(range(*at.indices(size))))
    whole = layer.fits(tuple(shape) or (1,))
    return plan(whole, lambda x: x[(slice(None), *index)].reshape(x.shape[0], *whole))


def upsample(layer: Layer) -> Plan:
    """Plan ``upsample`` to nearest neighbours or bilinearly, by whole or fractional factors."""
    layer.expect(1, rank=3)
    params = layer.params
    *rest, height, width = layer.shape
    factors: tuple[float, ...] = tuple(params.fractionalScalingFactor) or layer.pair("scalingFactor", 1)
    if len(factors) != 2 or not all(0 < factor < math.inf for factor in factors):
        raise layer.malformed(f"expected two positive factors, got {list(factors)[:4]}")
    rows, columns = math.floor(height * factors[0]), math.floor(width * factors[1])
    shape = layer.fits((*rest, rows, columns))
    if params.mode == _NEAREST:
        down = np.arange(rows) * height // rows
        across = np.arange(columns) * width // columns
        return plan(shape, lambda x: x[..., down[:, None], across])
    grid = {0: _grid_default, 1: _grid_corners, 2: _grid_half}.get(params.linearUpsampleMode)
    if params.mode != _BILINEAR or grid is None:
        raise layer.unsupported(f"upsampling mode {params.mode}, {params.linearUpsampleMode}")
    return _bilinear(layer, shape, grid(height, rows), grid(width, columns))


def resize_bilinear(layer: Layer) -> Plan:
    """Plan ``resizeBilinear`` to a stated size on one of the grids of ``SamplingMode``."""
    layer.expect(1, rank=3)
    rows, columns = layer.pair("targetSize", 1)
    *rest, height, width = layer.shape
    shape = layer.fits((*rest, rows, columns))
    grid = {0: _grid_corners, 1: _grid_centred, 2: _grid_default, 3: _grid_roi}.get(layer.params.mode.samplingMethod)
    if grid is None:
        raise layer.unsupported(f"sampling method {layer.params.mode.samplingMethod}")
    return _bilinear(layer, shape, grid(height, rows), grid(width, columns))


def _grid_default(size: int, count: int) -> Any:
    return np.linspace(0, size - size / count, count)


def _grid_corners(size: int, count: int) -> Any:
    return np.linspace(0, size - 1, count)


def _grid_centred(size: int, count: int) -> Any:
    return np.array([(size - 1) / 2]) if count == 1 else _grid_corners(size, count)


def _grid_half(size: int, count: int) -> Any:
    return (np.arange(count) + 0.5) * (size / count) - 0.5


def _grid_roi(size: int, count: int) -> Any:
    return (np.arange(count) + 0.5) * (max(1, size - 1) / count)


def _bilinear(layer: Layer, shape: Shape, down: Any, across: Any) -> Plan:
    """Plan sampling at grid points, clipped into the image, weighting the two neighbours on each axis."""

    def run(x: Array) -> Array:
        return _interpolated(_interpolated(x, down, -2), across, -1)

    steps = 4 * math.prod(shape) + 4 * math.prod(shape[:-1]) * layer.shape[-1]
    return plan(shape, run, steps, steps)


def _interpolated(x: Array, points: Any, axis: int) -> Array:
    size = x.shape[axis]
    points = np.clip(points, 0, size - 1)
    lower = np.floor(points).astype(np.intp)
    share = (points - lower).astype(np.float32)
    share = share[:, None] if axis == -2 else share
    below, above = x.take(lower, axis), x.take(np.minimum(lower + 1, size - 1), axis)
    result: Array = below * (np.float32(1) - share) + above * share
    return result


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "padding": padding,
    "constantPad": constant_pad,
    "crop": crop,
    "slice": slice_layer,
    "sliceStatic": slice_static,
    "upsample": upsample,
    "resizeBilinear": resize_bilinear,
}
