"""Constants of a program: ``Value`` messages, in the file itself or in the package's weight file, to numpy."""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..budget import Budget
from ..layers.layer import Array, Shape
from . import blob

Constant = NDArray[Any] | tuple[str, ...]
"""Numbers in the file's own type, or texts."""

_PLAIN = {"floats": "<f4", "ints": "<i4", "longInts": "<i8", "doubles": "<f8", "bools": "u1"}
_STRING = 2


def shape_of(kind: Any, budget: Budget) -> Shape | None:
    """Return the shape that a ``ValueType`` states; None where a length is open or it is no tensor."""
    if kind.WhichOneof("type") != "tensorType":
        return None
    dimensions = kind.tensorType.dimensions
    if len(dimensions) > budget.limits.rank:
        raise budget.malformed(f"a tensor of rank {len(dimensions)}, at most {budget.limits.rank} are read")
    if any(each.WhichOneof("dimension") != "constant" for each in dimensions):
        return None
    return tuple(each.constant.size for each in dimensions)


def read(value: Any, budget: Budget) -> Constant:
    """Return the numbers or texts of a ``Value`` message; a list of tensors is joined."""
    if value.immediateValue.WhichOneof("value") == "list":
        return joined([read(each, budget) for each in value.immediateValue.list.values], budget)
    shape = shape_of(value.type, budget)
    number = value.type.tensorType.dataType
    if shape is None or number not in (_STRING, *blob.TYPES):
        raise budget.unsupported(f"a constant of type {number} and no fixed shape")
    if value.WhichOneof("value") == "blobFileValue":
        return blob.read(value.blobFileValue, _type(number, shape, budget), shape, budget)
    return _immediate(value.immediateValue.tensor, number, shape, budget)


def _type(number: int, shape: Shape, budget: Budget) -> blob.Type:
    """Return the type of numbers, once there is room for ``shape`` of them."""
    if number == _STRING:
        raise budget.malformed("texts in a weight file")
    budget.spend_weights(shape)
    return blob.TYPES[number]


def _immediate(tensor: Any, number: int, shape: Shape, budget: Budget) -> Constant:
    form = tensor.WhichOneof("value")
    if form is None:
        raise budget.malformed("a constant without a value")
    stored = getattr(tensor, form).values
    count = math.prod(shape)
    if form == "strings":
        if len(stored) != count:
            raise budget.malformed(f"expected {count} texts, got {len(stored)}")
        return tuple(stored)
    kind = _type(number, shape, budget)
    size = len(stored) if form != "bytes" else len(stored) * 8 // kind.bits
    exact = len(stored) == (count * kind.bits + 7) // 8 if form == "bytes" else size == count
    if not exact:
        raise budget.malformed(f"a constant of shape {shape[:8]}: expected {count} values, got {size}")
    if form == "bytes":
        return blob.unpacked(stored, kind, count).reshape(shape)
    return np.array(stored, dtype=_PLAIN[form]).reshape(shape)


def joined(values: list[Constant], budget: Budget) -> Constant:
    """Return several constants as one list."""
    texts = [value for value in values if isinstance(value, tuple)]
    if len(texts) == len(values):
        return tuple(text for value in texts for text in value)
    if texts:
        raise budget.malformed("a list of both texts and numbers")
    return np.concatenate([np.ravel(value) for value in values])


def as_float(values: NDArray[Any]) -> Array:
    """Return numbers as float32; whole numbers up to 2^24 stay exact."""
    return values.astype(np.float32)
