"""The interface for kinds of operations: a layer with named constants as parameters.

The rules of layers hold here too (``layers.layer``). ``shapes`` are those of the operands, constant or not, in the
order that the kind names them; ``run`` gets them all as arrays.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Malformed, Unsupported
from ..layers.layer import Array, Layer, Plan, Shape
from ..proto import model_pb2
from .values import Constant, as_float


@dataclass(frozen=True, slots=True)
class Operation(Layer):
    """One operation; ``kind`` is its type in the program, ``given`` its constants by parameter."""

    given: Mapping[str, Constant] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """Weights by the names that a layer's kind knows them by, where one plans the operation."""

    def _where(self) -> str:
        return f"{self.budget.file}: operation {self.name!r} ({self.kind})"

    def malformed(self, why: str) -> Malformed:
        """Return the error to raise for an operation that contradicts itself."""
        return Malformed(f"{self._where()}: {why}")

    def unsupported(self, what: str) -> Unsupported:
        """Return the error to raise for an option that this runtime does not have."""
        return Unsupported(f"{self._where()}: {what} is not supported")

    def has(self, key: str) -> bool:
        """Whether a parameter is given."""
        return key in self.given

    def numbers(self, key: str) -> NDArray[Any]:
        """Return a parameter of numbers, in the file's type."""
        found = self.given.get(key)
        if found is None or isinstance(found, tuple):
            raise self.malformed(f"expected numbers as {key}, got {'nothing' if found is None else 'text'}")
        return found

    def array(self, key: str, shape: Shape | None = None) -> Array:
        """Return a parameter as float32, of ``shape`` where one is stated; each use is a copy, and counts as one."""
        self.budget.spend_weights(self.numbers(key).shape)
        found = as_float(self.numbers(key))
        if shape is not None and found.shape != shape:
            raise self.malformed(f"expected {key} of shape {shape}, got {found.shape}")
        return found

    def number(self, key: str, default: float | None = None) -> np.float32:
        """Return a single number."""
        if default is not None and not self.has(key):
            return np.float32(default)
        found = self.numbers(key)
        if found.size != 1:
            raise self.malformed(f"expected one number as {key}, got {found.size}")
        return np.float32(found.ravel()[0])

    def wholes(self, key: str, default: Shape | None = None, least: int | None = None) -> Shape:
        """Return whole numbers, at most what a tensor may hold either way, and from ``least`` on."""
        if default is not None and not self.has(key):
            return default
        found, most = self.numbers(key), self.budget.limits.tensor
        if found.dtype.kind not in "iu" or found.size > self.budget.limits.layers:
            raise self.malformed(f"expected whole numbers as {key}, got {found.size} of {found.dtype}")
        values = tuple(int(each) for each in found.ravel().tolist())
        if any(not (-most if least is None else least) <= each <= most for each in values):
            raise self.malformed(f"{key} {values[:8]}: expected numbers from {least} to {most}")
        return values

    def whole(self, key: str, default: int | None = None, least: int | None = None) -> int:
        """Return one whole number."""
        found = self.wholes(key, None if default is None else (default,), least)
        if len(found) != 1:
            raise self.malformed(f"expected one number as {key}, got {len(found)}")
        return found[0]

    def flag(self, key: str, default: bool = False) -> bool:
        """Return whether a parameter is true."""
        return bool(self.number(key, float(default)))

    def flags(self, key: str, count: int) -> tuple[bool, ...]:
        """Return booleans; all are false if the parameter is missing."""
        if not self.has(key):
            return (False,) * count
        found = self.numbers(key)
        if found.size != count:
            raise self.malformed(f"expected {count} truths as {key}, got {found.size}")
        return tuple(bool(each) for each in found.ravel())

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        found = self.given.get(key, (default,))
        if not isinstance(found, tuple) or len(found) != 1:
            raise self.malformed(f"expected one text as {key}, got something else")
        return found[0]

    def weights(self, field: str, shape: Shape, axis: int = 0) -> Array:  # noqa: ARG002  (the interface of layers)
        """Return the weights that a layer's kind asks for."""
        found = self.arrays[field]
        if found.size != math.prod(shape):
            raise self.malformed(f"expected {field} of shape {shape}, got {found.shape}")
        return found.reshape(shape)

    def as_layer(self, kind: str, arrays: Mapping[str, Array] | None = None) -> "Operation":
        """Return the operation as a layer of ``kind``: with an empty parameter message, to be filled, and weights."""
        params = getattr(model_pb2().Model().neuralNetwork.layers.add(), kind)
        return replace(self, params=params, arrays=arrays or {})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operation: the parameters that may be tensors, those that are constants, and how it is planned.

    An operation with any other parameter is refused: its meaning would be guessed.
    """

    plan: Callable[[Operation], Plan]
    operands: tuple[str, ...] = ("x",)
    constants: frozenset[str] = frozenset()


def kind(plan: Callable[[Any], Plan], operands: str = "x", constants: str = "") -> Kind:
    """Return a kind, its parameters named in one text each."""
    return Kind(plan, tuple(operands.split()), frozenset(constants.split()))
