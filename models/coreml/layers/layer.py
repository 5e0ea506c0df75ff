"""The interface for kinds of layers: the layer in the file, and the plan that loading makes from it.

Rules every kind keeps:

- Tensors have the shape that Core ML gives them for one image. At run time they carry one more axis in front,
  the image's, of length n or 1 (a constant); so axes count from the end, or are raised by one.
- A plan function computes shapes, reads weights and refuses; it allocates nothing that the file's size does not bound.
- ``run`` is only called with arrays of the planned shapes, never writes into its inputs, and cannot fail.
- Tensors are addressed ``(…, C, H, W)`` as Core ML does; images often *lie* channels last in memory, which
  convolution and pooling are fastest with. No layer may depend on how an array lies.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..budget import Budget
from ..errors import LimitExceeded, Malformed, Unsupported
from ..weights import BadWeights, unpack

Array = NDArray[np.float32]
Shape = tuple[int, ...]
Run = Callable[..., Array | tuple[Array, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one layer will run: ``run(*inputs)`` gives one array, or a tuple where there are several outputs."""

    shapes: tuple[Shape, ...]
    run: Run
    macs: int
    """Multiply-adds, or other elementary steps, per image."""
    scratch: int = 0
    """Values of working memory per image, beside inputs and outputs."""


def plan(shape: Shape, run: Run, macs: int = 0, scratch: int = 0) -> Plan:
    """Return the plan of a layer with one output; costs at least one step for each value."""
    return Plan((shape,), run, max(macs, math.prod(shape)), scratch)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the file with the shapes of its inputs; ``params`` is its protobuf message."""

    name: str
    kind: str
    params: Any
    shapes: tuple[Shape, ...]
    outputs: int
    budget: Budget

    def _where(self) -> str:
        return f"{self.budget.file}: layer {self.name!r} ({self.kind})"

    def malformed(self, why: str) -> Malformed:
        """Return the error to raise for a layer that contradicts itself."""
        return Malformed(f"{self._where()}: {why}")

    def unsupported(self, what: str) -> Unsupported:
        """Return the error to raise for an option that this runtime does not have."""
        return Unsupported(f"{self._where()}: {what} is not supported")

    def known(self, inputs: int, what: str) -> None:
        """Refuse, as unsupported, more inputs: parameters that only come to be while running."""
        if len(self.shapes) > inputs:
            raise self.unsupported(f"{what} given as an input")

    def too_large(self, what: str, size: int, limit: int) -> LimitExceeded:
        """Return the error to raise before something too large is made."""
        return LimitExceeded(f"{self._where()}: {what} of {size}, at most {limit} is allowed")

    def of(self, params: Any) -> "Layer":
        """Return the same layer with one of its parameter messages in place of the whole."""
        return replace(self, params=params)

    def expect(self, inputs: int | range, rank: int = 0) -> None:
        """Refuse unless there are that many inputs, each at least of that rank, and one output."""
        if len(self.shapes) not in (range(inputs, inputs + 1) if isinstance(inputs, int) else inputs):
            wanted = inputs if isinstance(inputs, int) else f"{inputs.start} or more"
            raise self.malformed(f"expected {wanted} inputs, got {len(self.shapes)}")
        if self.outputs != 1:
            raise self.malformed(f"expected 1 output, got {self.outputs}")
        for shape in self.shapes:
            if len(shape) < rank:
                raise self.malformed(f"expected an input of rank {rank} or more, got shape {shape}")

    @property
    def shape(self) -> Shape:
        """The shape of the first input."""
        return self.shapes[0]

    def axis(self, axis: int, rank: int | None = None) -> int:
        """Return ``axis`` counted from the end (-1 is the last), refusing one outside the rank."""
        rank = len(self.shape) if rank is None else rank
        if not -rank <= axis < rank:
            raise self.malformed(f"axis {axis} is outside rank {rank}")
        return axis if axis < 0 else axis - rank

    def axes(self, axes: Sequence[int], rank: int | None = None) -> tuple[int, ...]:
        """Return several axes counted from the end, sorted, refusing a repeated one."""
        found = sorted(self.axis(axis, rank) for axis in axes)
        if len(set(found)) != len(found):
            raise self.malformed(f"axes {list(axes)} name one axis twice")
        return tuple(found)

    def affordable(self, macs: int) -> int:
        """Return ``macs``, refusing more than a whole file may cost before anything is made for it."""
        if macs > self.budget.limits.macs:
            raise self.too_large("work", macs, self.budget.limits.macs)
        return macs

    def pair(self, field: str, default: int, least: int = 1) -> tuple[int, int]:
        """Return a ``[H, W]`` field, ``default`` for both where it is not set."""
        values = tuple(getattr(self.params, field)) or (default, default)
        if len(values) != 2 or min(values) < least:
            raise self.malformed(f"expected two numbers from {least} as {field}, got {list(values)[:4]}")
        if max(values) > self.budget.limits.tensor:
            raise self.too_large(field, max(values), self.budget.limits.tensor)
        return values[0], values[1]

    def borders(self, amounts: Any) -> tuple[int, int, int, int]:
        """Return a ``BorderAmounts`` message as top, bottom, left, right; zeros where it is not set."""
        edges = amounts.borderAmounts
        if len(edges) not in (0, 2):
            raise self.malformed(f"expected border amounts for height and width, got {len(edges)}")
        if not edges:
            return 0, 0, 0, 0
        height, width = edges
        return height.startEdgeSize, height.endEdgeSize, width.startEdgeSize, width.endEdgeSize

    def weights(self, field: str, shape: Shape, axis: int = 0) -> Array:
        """Return the weights in ``field`` as an array of ``shape``; ``axis`` is their output-channel axis."""
        if not shape or min(shape) < 1:
            raise self.malformed(f"{field} has the impossible shape {shape}")
        self.budget.spend_weights(shape)
        try:
            return unpack(getattr(self.params, field), shape, axis)
        except BadWeights as error:
            raise self.malformed(f"{field} of shape {shape}: {error}") from error

    def fits(self, shape: Shape, what: str = "tensor") -> Shape:
        """Return ``shape``, refusing one that is empty, of too many axes or too large."""
        limits = self.budget.limits
        if min(shape, default=1) < 1:
            raise self.malformed(f"{what} would have the empty or negative shape {shape}")
        if len(shape) > limits.rank:
            raise self.too_large("rank", len(shape), limits.rank)
        if math.prod(shape) > limits.tensor:
            raise self.too_large(f"{what} size", math.prod(shape), limits.tensor)
        return shape
