"""Operations that add up: matrix products, reductions, normalisation, softmax.

Formulas: ``linear``, ``reduction`` and ``normalization`` of coremltools' MIL operation sets. As in layers, sums of many
values are taken in float64.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..layers import matrix
from ..layers.layer import Array, Plan, Shape, plan
from ..layers.normalisation import exponential_shares, standardised
from ..layers.reduction import FUNCTIONS, Reduction
from .operation import Kind, Operation, kind

_REDUCTIONS = {
    "reduce_sum": "Sum",
    "reduce_mean": "Mean",
    "reduce_prod": "Prod",
    "reduce_max": "Max",
    "reduce_min": "Min",
    "reduce_l1_norm": "L1",
    "reduce_l2_norm": "L2",
    "reduce_log_sum": "LogSum",
    "reduce_log_sum_exp": "LogSumExp",
    "reduce_sum_square": "SumSquare",
}


def _linear(op: Operation) -> Plan:
    """Plan ``x W^T + b`` with a constant ``(outputs, inputs)`` matrix."""
    weight = op.array("weight")
    if weight.ndim != 2 or not op.shape or op.shape[-1] != weight.shape[1]:
        raise op.malformed(f"expected a matrix for {op.shape[-1:]} values, got shape {weight.shape}")
    outputs, inputs = weight.shape
    bias = op.array("bias", (outputs,)) if op.has("bias") else np.zeros(outputs, np.float32)
    turned, shape = weight.T, op.fits((*op.shape[:-1], outputs))
    run = lambda x: (x.reshape(-1, inputs) @ turned + bias).reshape(x.shape[0], *shape)  # noqa: E731
    return plan(shape, run, math.prod(shape) * inputs)


def _matmul(op: Operation) -> Plan:
    """Plan a product of the last two axes of two tensors."""
    if min(map(len, op.shapes)) < 2:
        raise op.unsupported("a product with a vector")
    layer = op.as_layer("batchedMatmul")
    layer.params.transposeA, layer.params.transposeB = op.flag("transpose_x"), op.flag("transpose_y")
    return matrix.batched_matmul(layer)


def _reduction(function: Reduction) -> Callable[[Operation], Plan]:
    """Return the planner of a reduction over named axes, or all."""

    def planner(op: Operation) -> Plan:
        named = op.wholes("axes", tuple(range(len(op.shape))))
        axes = op.axes(named)
        shape = _reduced(op, axes, op.flag("keep_dims"))

        def run(x: Array) -> Array:
            result: Array = function(x, axes).astype(np.float32).reshape(x.shape[0], *shape)
            return result

        return plan(shape, run, math.prod(op.shape), 2 * math.prod(op.shape))

    return planner


def _position(function: Callable[..., Any]) -> Callable[[Operation], Plan]:
    """Return the planner of the place of the largest or smallest value along one axis."""

    def planner(op: Operation) -> Plan:
        axis = op.axis(op.whole("axis", -1))
        shape = _reduced(op, (axis,), op.flag("keep_dims"))
        run = lambda x: function(x, axis=axis).astype(np.float32).reshape(x.shape[0], *shape)  # noqa: E731
        return plan(shape, run, math.prod(op.shape))

    return planner


def _reduced(op: Operation, axes: Shape, keep: bool) -> Shape:
    """Return the shape of the operand with ``axes`` of length 1, or without them."""
    rank = len(op.shape)
    sizes = [(size, i - rank in axes) for i, size in enumerate(op.shape)]
    return tuple(1 if gone else size for size, gone in sizes if keep or not gone)


def _softmax(op: Operation) -> Plan:
    axis = op.axis(op.whole("axis", -1))
    return plan(op.shape, lambda x: exponential_shares(x, axis), 4 * math.prod(op.shape))


def _channels(op: Operation, key: str, default: float) -> Array:
    """Return a parameter for each channel, which lie on axis 1."""
    if len(op.shape) < 3:
        raise op.malformed(f"expected rank 3 or more, got shape {op.shape}")
    channels = op.shape[1]
    found = op.array(key, (channels,)) if op.has(key) else np.full(channels, default, np.float32)
    return found.reshape(-1, *(1,) * (len(op.shape) - 2))


def _batch_norm(op: Operation) -> Plan:
    """Plan ``batch_norm`` by constant statistics of each channel."""
    mean, variance = (op.array(key, op.shape[1:2]) for key in ("mean", "variance"))
    spread = np.sqrt(variance.astype(np.float64) + op.number("epsilon", 1e-5)).reshape(-1, *(1,) * (len(op.shape) - 2))
    scale = _channels(op, "gamma", 1.0) / spread
    shift = (_channels(op, "beta", 0.0) - mean.reshape(scale.shape) * scale).astype(np.float32)
    factor = scale.astype(np.float32)
    return plan(op.shape, lambda x: x * factor + shift)


def _instance_norm(op: Operation) -> Plan:
    """Plan ``instance_norm``: each channel of each image by its own statistics."""
    gamma, beta = _channels(op, "gamma", 1.0), _channels(op, "beta", 0.0)
    axes, epsilon = tuple(range(2 - len(op.shape), 0)), float(op.number("epsilon", 1e-5))
    return plan(op.shape, lambda x: standardised(x, axes, epsilon) * gamma + beta, 8 * math.prod(op.shape))


def _layer_norm(op: Operation) -> Plan:
    """Plan ``layer_norm`` over the last axes."""
    axes = op.axes(op.wholes("axes", tuple(range(len(op.shape)))))
    if axes != tuple(range(-len(axes), 0)) or not axes:
        raise op.unsupported(f"normalisation over the axes {axes}, other than the last ones,")
    shape, epsilon = op.shape[-len(axes) :], float(op.number("epsilon", 1e-5))
    gamma = op.array("gamma", shape) if op.has("gamma") else np.float32(1)
    beta = op.array("beta", shape) if op.has("beta") else np.float32(0)
    return plan(op.shape, lambda x: standardised(x, axes, epsilon) * gamma + beta, 8 * math.prod(op.shape))


OPERATIONS: Mapping[str, Kind] = {
    "linear": kind(_linear, constants="weight bias"),
    "matmul": kind(_matmul, "x y", constants="transpose_x transpose_y"),
    "softmax": kind(_softmax, constants="axis"),
    "batch_norm": kind(_batch_norm, constants="mean variance gamma beta epsilon"),
    "instance_norm": kind(_instance_norm, constants="gamma beta epsilon"),
    "layer_norm": kind(_layer_norm, constants="axes gamma beta epsilon"),
    "reduce_argmax": kind(_position(np.argmax), constants="axis keep_dims output_dtype"),
    "reduce_argmin": kind(_position(np.argmin), constants="axis keep_dims output_dtype"),
    **{name: kind(_reduction(FUNCTIONS[of]), constants="axes keep_dims") for name, of in _REDUCTIONS.items()},
}
