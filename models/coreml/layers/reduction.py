"""Reductions over axes: ``reduce`` of the first versions, the ``reduce…`` layers of version 4, arg-max and arg-min.

Formulas: ``ReduceLayerParams`` and the messages of these names in NeuralNetwork.proto. Sums are taken in float64:
one may run over a hundred thousand values.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .layer import Array, Layer, Plan, plan

Reduction = Callable[[Array, tuple[int, ...]], Any]
_AXES = {0: (-3, -2, -1), 1: (-2, -1), 2: (-3,), 3: (-2,), 4: (-1,)}
_ARGMAX = 9


def _sum(x: Array, axes: tuple[int, ...]) -> Any:
    return x.sum(axis=axes, keepdims=True, dtype=np.float64)


def _log_sum_exp(x: Array, axes: tuple[int, ...]) -> Any:
    peak = x.max(axis=axes, keepdims=True)
    return np.log(_sum(np.exp(x - peak), axes)) + peak


FUNCTIONS: dict[str, Reduction] = {
    "Sum": _sum,
    "Mean": lambda x, axes: x.mean(axis=axes, keepdims=True, dtype=np.float64),
    "Prod": lambda x, axes: x.prod(axis=axes, keepdims=True, dtype=np.float64),
    "LogSum": lambda x, axes: np.log(_sum(x, axes)),
    "LogSumExp": _log_sum_exp,
    "SumSquare": lambda x, axes: _sum(np.square(x), axes),
    "L1": lambda x, axes: _sum(np.abs(x), axes),
    "L2": lambda x, axes: np.sqrt(_sum(np.square(x), axes)),
    "Max": lambda x, axes: x.max(axis=axes, keepdims=True),
    "Min": lambda x, axes: x.min(axis=axes, keepdims=True),
}
_MODES = ("Sum", "Mean", "Prod", "", "SumSquare", "L1", "L2", "Max", "Min")
_SUM_OF_LOGS = 3


def reduce(layer: Layer) -> Plan:
    """Plan ``reduce`` over channels, height, width or several of them; the axes stay with length 1."""
    params = layer.params
    if params.axis not in _AXES or params.mode not in range(_ARGMAX + 1):
        raise layer.unsupported(f"reduction {params.mode} over axes {params.axis}")
    axes = _AXES[params.axis]
    layer.expect(1, rank=-min(axes))
    if params.mode == _ARGMAX:
        if len(axes) != 1:
            raise layer.malformed("an arg-max over several axes")
        return _arg(layer, np.argmax, axes[0], keep=True)
    if params.mode == _SUM_OF_LOGS:
        epsilon = np.float32(params.epsilon or 1e-6)
        return _reduced(layer, lambda x, axes: _sum(np.log(x + epsilon), axes), axes, keep=True)
    return _reduced(layer, FUNCTIONS[_MODES[params.mode]], axes, keep=True)


def _general(function: Reduction) -> Callable[[Layer], Plan]:
    """Return the planner of a ``reduce…`` layer: named axes or all, kept with length 1 or dropped."""

    def planner(layer: Layer) -> Plan:
        layer.expect(1, rank=1)
        params = layer.params
        everything = params.reduceAll or not params.axes
        axes = tuple(range(-len(layer.shape), 0)) if everything else layer.axes(params.axes)
        return _reduced(layer, function, axes, params.keepDims)

    return planner


def _reduced(layer: Layer, function: Reduction, axes: tuple[int, ...], keep: bool) -> Plan:
    rank = len(layer.shape)
    sizes = [(1 if i - rank in axes else size) for i, size in enumerate(layer.shape)]
    kept = tuple(size for i, size in enumerate(sizes) if keep or i - rank not in axes) or (1,)

    def run(x: Array) -> Array:
        result: Array = function(x, axes).astype(np.float32).reshape(x.shape[0], *kept)
        return result

    return plan(kept, run, math.prod(layer.shape), 2 * math.prod(layer.shape))


def _arg(layer: Layer, function: Callable[..., Any], axis: int, keep: bool) -> Plan:
    sizes = list(layer.shape)
    sizes[axis] = 1
    if not keep and len(sizes) > 1:
        del sizes[axis]
    shape = tuple(sizes)

    def run(x: Array) -> Array:
        result: Array = function(x, axis=axis).astype(np.float32).reshape(x.shape[0], *shape)
        return result

    return plan(shape, run, math.prod(layer.shape))


def _positions(function: Callable[..., Any]) -> Callable[[Layer], Plan]:
    def planner(layer: Layer) -> Plan:
        layer.expect(1, rank=1)
        return _arg(layer, function, layer.axis(layer.params.axis), not layer.params.removeDim)

    return planner


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "reduce": reduce,
    "argMax": _positions(np.argmax),
    "argMin": _positions(np.argmin),
    **{f"reduce{name}": _general(function) for name, function in FUNCTIONS.items()},
}
