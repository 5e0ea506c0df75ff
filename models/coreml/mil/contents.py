"""Summarise an ML Program for people: its operations, with the number and storage of their weights.

Nothing is unpacked: a constant counts as the lengths that its type states.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .blob import TYPES

CONSTANT, COMPRESSED = "const", "constexpr_"
_FLOATS = ("float16", "float32")
_MOST_AXES = 8
_STORED = {
    "constexpr_affine_dequantize": ("quantized_data", "linear"),
    "constexpr_blockwise_shift_scale": ("data", "linear"),
    "constexpr_lut_to_dense": ("indices", "table"),
    "constexpr_sparse_to_dense": ("nonzero_data", "sparse"),
    "constexpr_cast": ("source_val", "cast"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One operation; ``inputs`` are its tensors and weights by name, in the order of its parameters' names."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: int
    precisions: tuple[str, ...]


def operations(program: Any) -> Iterator[Row]:
    """Yield the operations of every function's own block that are not constants."""
    for function in program.functions.values():
        if function.opset in function.block_specializations:
            yield from _rows(function.block_specializations[function.opset])


def _rows(block: Any) -> Iterator[Row]:
    weights: dict[str, tuple[int, str]] = {}
    for operation in block.operations:
        names = tuple(output.name for output in operation.outputs)
        stored = _stored(operation)
        if stored is not None:
            weights.update(dict.fromkeys(names, stored))
            continue
        bound = [name for key in sorted(operation.inputs) for name in _names(operation.inputs[key])]
        used = [weights[name] for name in bound if name in weights and weights[name][1]]
        shown = tuple(name for name in bound if name not in weights or weights[name][1])
        total = sum(count for count, _ in used)
        yield Row(names[0] if names else "", operation.type, shown, names, total, _sorted(used))


def _names(argument: Any) -> Iterator[str]:
    return (each.name for each in argument.arguments if each.WhichOneof("binding") == "name")


def _sorted(used: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(sorted({precision for _, precision in used}))


def _stored(operation: Any) -> tuple[int, str] | None:
    """Return the number and storage of a constant's values; 0 for an option; None for an operation."""
    if operation.type == CONSTANT:
        count, name = _typed(operation.outputs[0].type if operation.outputs else None)
        return count, name if name in _FLOATS and operation.outputs[0].type.tensorType.dimensions else ""
    if not operation.type.startswith(COMPRESSED):
        return None
    key, how = _STORED.get(operation.type, ("", "compressed"))
    given = _value(operation, key)
    count, _ = _typed(operation.outputs[0].type if operation.outputs else None)
    if given is None or how not in ("linear", "table"):
        return count, how
    return count, f"{how} {round(_bits(given) / max(1, count), 1):g} bit"


def _value(operation: Any, key: str) -> Any:
    """Return the ``Value`` of a parameter of a compressed constant: an attribute, or an input."""
    if key in operation.attributes:
        return operation.attributes[key]
    arguments: Mapping[str, Any] = operation.inputs
    if key in arguments and len(arguments[key].arguments) == 1:
        return arguments[key].arguments[0].value
    return None


def _typed(kind: Any) -> tuple[int, str]:
    """Return the number of values that a type states, and the name of their type."""
    if kind is None or kind.WhichOneof("type") != "tensorType" or len(kind.tensorType.dimensions) > _MOST_AXES:
        return 0, ""
    lengths = [each.constant.size for each in kind.tensorType.dimensions]
    known = TYPES.get(kind.tensorType.dataType)
    return math.prod(lengths), known.name if known else ""


def _bits(value: Any) -> int:
    count, _ = _typed(value.type)
    known = TYPES.get(value.type.tensorType.dataType)
    return count * known.bits if known else 0
