"""The inputs and outputs of a model: the features of ``ModelDescription`` as frozen values.

Flexible sizes and shapes have their default: the size or shape in the description.
"""

import math
from dataclasses import dataclass
from typing import Any

from .budget import Budget

_KINDS = {
    "imageType": "image",
    "multiArrayType": "array",
    "dictionaryType": "dictionary",
    "stringType": "string",
    "int64Type": "int64",
    "doubleType": "double",
    "sequenceType": "sequence",
    "stateType": "state",
}
_COLOURS = {10: "grayscale", 20: "rgb", 30: "bgr"}
_TYPES = {0: "float32", 65568: "float32", 65600: "float64", 131104: "int32", 65552: "float16", 131080: "int8"}


@dataclass(frozen=True, slots=True)
class Feature:
    """One input or output.

    An image has ``height``, ``width`` and ``colour`` (``grayscale``, ``rgb``, ``bgr``); an array has ``shape`` (empty
    if the file states none) and ``dtype``; the other kinds have neither.
    """

    name: str
    kind: str
    description: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    height: int = 0
    width: int = 0
    colour: str = ""
    optional: bool = False


def read(message: Any, budget: Budget) -> Feature:
    """Return one ``FeatureDescription`` as a value; sizes are positive and within the limits."""
    where = f"feature {message.name!r}"
    kind = message.type.WhichOneof("Type")
    if not message.name or kind is None:
        raise budget.malformed(f"{where}: expected a name and a type, got {kind}")
    base = {"name": message.name, "description": message.shortDescription, "optional": message.type.isOptional}
    if kind == "imageType":
        return Feature(kind="image", **base, **_image(message.type.imageType, where, budget))
    if kind == "multiArrayType":
        return Feature(kind="array", **base, **_array(message.type.multiArrayType, where, budget))
    return Feature(kind=_KINDS.get(kind, kind), **base)


def _image(image: Any, where: str, budget: Budget) -> dict[str, Any]:
    if image.colorSpace not in _COLOURS:
        raise budget.unsupported(f"{where}: colour space {image.colorSpace}, other than grayscale, RGB and BGR,")
    _check((image.height, image.width), where, budget)
    return {"height": image.height, "width": image.width, "colour": _COLOURS[image.colorSpace]}


def _array(array: Any, where: str, budget: Budget) -> dict[str, Any]:
    if array.dataType not in _TYPES:
        raise budget.unsupported(f"{where}: data type {array.dataType}")
    shape = tuple(array.shape)
    _check(shape, where, budget)
    return {"shape": shape, "dtype": _TYPES[array.dataType]}


def _check(shape: tuple[int, ...], where: str, budget: Budget) -> None:
    rank, size = budget.limits.rank, budget.limits.tensor
    if len(shape) > rank or min(shape, default=1) < 1 or math.prod(shape) > size:
        raise budget.malformed(f"{where}: shape {shape[:8]} is not of up to {rank} positive lengths, {size} in all")
