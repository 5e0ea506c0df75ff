"""Compressed constants (``constexpr_…`` operations) to float32: quantised, by lookup table, sparse, cast.

Formulas: ``constexpr_ops`` of iOS 16 and ``compression`` of iOS 18 in coremltools' MIL operation sets. In those
of iOS 16 indices and masks are bytes with the values packed in; from iOS 18 on they have their own types.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers.layer import Array, Shape
from . import blob
from .operation import Operation
from .values import as_float

_BITS = {1 << kind.bits: kind for kind in blob.TYPES.values() if kind.name.startswith("uint") and kind.bits <= 8}
"""The type of indices into a table, by its length."""
_MASK = _BITS[2]


def affine(op: Operation) -> Array:
    """Return ``(quantised - zero point) · scale``, one pair for all or one for each length of an axis."""
    data = op.numbers("quantized_data")
    axis = op.axis(op.whole("axis"), data.ndim)
    along: list[int] = [1] * data.ndim
    along[axis] = -1
    zero, scale = as_float(op.numbers("zero_point")), as_float(op.numbers("scale"))
    if any(each.size not in (1, data.shape[axis]) for each in (zero, scale)):
        raise op.malformed(f"expected 1 or {data.shape[axis]} scales and zero points, got {scale.size}, {zero.size}")
    result: Array = (as_float(data) - zero.reshape(along)) * scale.reshape(along)
    return result


def blockwise(op: Operation) -> Array:
    """Return ``(data - offset) · scale``, with one pair for each block of the data."""
    data = op.numbers("data")
    result = as_float(data)
    if op.has("offset"):
        result = result - _spread(op, as_float(op.numbers("offset")), data.shape)
    return as_float(result * _spread(op, as_float(op.numbers("scale")), data.shape))


def _spread(op: Operation, values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Return ``values`` of fewer lengths repeated in blocks up to ``shape``."""
    fits = values.ndim == len(shape) and all(b and not a % b for a, b in zip(shape, values.shape, strict=True))
    if not fits:
        raise op.malformed(f"blocks of shape {values.shape} do not divide {shape}")
    for axis, (whole, blocks) in enumerate(zip(shape, values.shape, strict=True)):
        if blocks > 1:
            values = values.repeat(whole // blocks, axis)
    return np.broadcast_to(values, shape)


def table(op: Operation) -> Array:
    """Return the values of a lookup table at the indices; one table for all, or one for each block of the indices."""
    lut = as_float(op.numbers("lut"))
    if op.has("shape"):
        shape, kind = _shape(op), _BITS.get(lut.size)
        if kind is None or lut.ndim != 1:
            raise op.malformed(f"expected a table of 2, 4 … 256 values, got shape {lut.shape}")
        return as_float(lut[_packed(op, "indices", kind, shape)])
    indices = op.numbers("indices")
    if op.has("vector_axis") or lut.ndim != indices.ndim + 2 or lut.shape[-1] != 1:
        raise op.unsupported(f"a table of vectors, of shape {lut.shape},")
    if indices.dtype.kind != "u" or int(indices.max(initial=0)) >= lut.shape[-2]:
        raise op.malformed(f"an index beyond the table of {lut.shape[-2]} values")
    blocks, length = lut.shape[:-2], lut.shape[-2]
    first = np.arange(math.prod(blocks)).reshape(blocks) * length
    return as_float(lut.ravel()[_spread(op, first, indices.shape) + indices])


def sparse(op: Operation) -> Array:
    """Return the values where the mask is 1, in row-major order, and 0 elsewhere."""
    mask = _packed(op, "mask", _MASK, _shape(op)) if op.has("shape") else op.numbers("mask")
    values, places = as_float(op.numbers("nonzero_data")).ravel(), mask != 0
    if int(places.sum()) != values.size:
        raise op.malformed(f"expected {int(places.sum())} values, as the mask has ones, got {values.size}")
    result = np.zeros(mask.shape, np.float32)
    result[places] = values
    return result


def cast(op: Operation) -> Array:
    """Return the constant in float32."""
    return as_float(op.numbers("source_val"))


def _shape(op: Operation) -> Shape:
    """Return the shape that is stated beside packed values, once there is room for it."""
    shape = op.fits(op.wholes("shape", least=1))
    op.budget.spend_weights(shape)
    return shape


def _packed(op: Operation, key: str, kind: blob.Type, shape: Shape) -> NDArray[Any]:
    data, count = op.numbers(key), math.prod(shape)
    if data.dtype != np.uint8 or data.size != (count * kind.bits + 7) // 8:
        raise op.malformed(f"{key}: expected {count} values of {kind.bits} bits, got {data.size} bytes")
    return blob.unpacked(data.tobytes(), kind, count).reshape(shape)


OPERATIONS: Mapping[str, Callable[[Operation], Array]] = {
    "constexpr_affine_dequantize": affine,
    "constexpr_blockwise_shift_scale": blockwise,
    "constexpr_lut_to_dense": table,
    "constexpr_sparse_to_dense": sparse,
    "constexpr_cast": cast,
}
