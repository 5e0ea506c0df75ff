"""Layers over several tensors that numpy's broadcasting brings to one shape, and the helpers for it.

Ranks are aligned on the right, behind the images' axis. ``add``, ``multiply``, ``max`` … and their
``…Broadcastable`` forms differ in Core ML only in which shapes are allowed; here all that broadcast are.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan

Planner = Callable[[Layer], Plan]


def broadcast(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """Return the shape that all ``shapes`` broadcast to; refuses those that do not."""
    try:
        return layer.fits(np.broadcast_shapes(*shapes))
    except ValueError as error:
        raise layer.malformed(f"shapes {tuple(shapes)} do not broadcast") from error


def aligned(x: Array, rank: int) -> Array:
    """Return ``x`` with axes of length 1 put between the images' axis and its own, up to ``rank`` axes for an image."""
    return x.reshape(x.shape[0], *(1,) * (rank + 1 - x.ndim), *x.shape[1:])


def folding(function: Callable[[Array, Array], Array], scalar: bool = False) -> Planner:
    """Return the planner of ``function`` folded over all inputs; a single input meets ``alpha`` if ``scalar``."""

    def planner(layer: Layer) -> Plan:
        layer.expect(range(1, 1_000))
        if scalar and len(layer.shapes) == 1:
            alpha = np.float32(layer.params.alpha)
            return plan(layer.shape, lambda x: function(x, np.full((1,), alpha)))
        shape = broadcast(layer, layer.shapes)
        rank = len(shape)
        run = lambda *tensors: reduce(function, [aligned(x, rank) for x in tensors])  # noqa: E731
        return plan(shape, run, math.prod(shape) * len(layer.shapes))

    return planner


def pairwise(function: Callable[[Array, Array], Array], scalar: bool = False) -> Planner:
    """Return the planner of ``function`` over two inputs, or over one and ``alpha`` if ``scalar``."""
    fold = folding(function, scalar)

    def planner(layer: Layer) -> Plan:
        layer.expect(range(1 if scalar else 2, 3))
        return fold(layer)

    return planner


def average(layer: Layer) -> Plan:
    """Plan the mean of several tensors."""
    summed = folding(np.add)(layer)
    share = np.float32(1 / len(layer.shapes))
    return plan(summed.shapes[0], lambda *tensors: np.multiply(summed.run(*tensors), share))


def truth(function: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Array]:
    """Return ``function`` with 1.0 and 0.0 for true and false."""
    return lambda a, b: function(a, b).astype(np.float32)


def _either(a: Array, b: Array) -> Any:
    return np.logical_or(a != 0, b != 0)


def _both(a: Array, b: Array) -> Any:
    return np.logical_and(a != 0, b != 0)


def _one(a: Array, b: Array) -> Any:
    return np.logical_xor(a != 0, b != 0)


def where(layer: Layer) -> Plan:
    """Plan ``whereBroadcastable``: the second input where the first is not 0, else the third."""
    layer.expect(3)
    shape = broadcast(layer, layer.shapes)
    rank = len(shape)
    return plan(shape, lambda c, a, b: np.where(aligned(c, rank) != 0, aligned(a, rank), aligned(b, rank)))


def broadcast_to_static(layer: Layer) -> Plan:
    """Plan ``broadcastToStatic``: the input repeated along axes of length 1, up to a stated shape."""
    layer.expect(1)
    shape = layer.fits(tuple(layer.params.targetShape))
    if broadcast(layer, (layer.shape, shape)) != shape:
        raise layer.malformed(f"{layer.shape} does not broadcast to {shape}")
    return plan(shape, lambda x: np.broadcast_to(aligned(x, len(shape)), (x.shape[0], *shape)))


LAYERS: dict[str, Planner] = {
    "add": folding(np.add, scalar=True),
    "multiply": folding(np.multiply, scalar=True),
    "average": average,
    "max": folding(np.maximum),
    "min": folding(np.minimum),
    "addBroadcastable": pairwise(np.add),
    "subtractBroadcastable": pairwise(np.subtract),
    "multiplyBroadcastable": pairwise(np.multiply),
    "divideBroadcastable": pairwise(np.divide),
    "floorDivBroadcastable": pairwise(np.floor_divide),
    "modBroadcastable": pairwise(np.mod),
    "powBroadcastable": pairwise(np.power),
    "maxBroadcastable": pairwise(np.maximum),
    "minBroadcastable": pairwise(np.minimum),
    "whereBroadcastable": where,
    "broadcastToStatic": broadcast_to_static,
    "logicalOr": pairwise(truth(_either)),
    "logicalAnd": pairwise(truth(_both)),
    "logicalXor": pairwise(truth(_one)),
    "equal": pairwise(truth(np.equal), scalar=True),
    "notEqual": pairwise(truth(np.not_equal), scalar=True),
    "lessThan": pairwise(truth(np.less), scalar=True),
    "lessEqual": pairwise(truth(np.less_equal), scalar=True),
    "greaterThan": pairwise(truth(np.greater), scalar=True),
    "greaterEqual": pairwise(truth(np.greater_equal), scalar=True),
}
