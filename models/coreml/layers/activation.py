"""The activations of ``ActivationParams``, element by element; formulas in NeuralNetwork.proto.

Parameters are compared and multiplied in float32, as stored. PReLU and parametric softplus have one parameter per
channel (axis -3) or one for all.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

from collections.abc import Callable
from typing import Any

import numpy as np

from ..weights import stored
from .layer import Array, Layer, Plan, Run, plan

Make = Callable[[Any], Run]
_f = np.float32


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x); e^-x may overflow to infinity, which gives the right 0."""
    result = np.exp(-x)
    result += _f(1)
    return np.divide(_f(1), result, out=result)


def _linear(p: Any) -> Run:
    return lambda x: x * _f(p.alpha) + _f(p.beta)


def _relu(p: Any) -> Run:  # noqa: ARG001  (has no parameter)
    return lambda x: np.maximum(x, _f(0))


def _leaky(p: Any) -> Run:
    return lambda x: np.where(x >= 0, x, x * _f(p.alpha))


def _thresholded(p: Any) -> Run:
    return lambda x: np.where(x >= _f(p.alpha), x, _f(0))


def _tanh(p: Any) -> Run:  # noqa: ARG001  (has no parameter)
    return lambda x: np.tanh(x)


def _scaled_tanh(p: Any) -> Run:
    return lambda x: _f(p.alpha) * np.tanh(x * _f(p.beta))


def _sigmoid(p: Any) -> Run:  # noqa: ARG001  (has no parameter)
    return sigmoid


def _hard_sigmoid(p: Any) -> Run:
    return lambda x: np.clip(x * _f(p.alpha) + _f(p.beta), _f(0), _f(1))


def _elu(p: Any) -> Run:
    return lambda x: np.where(x >= 0, x, _f(p.alpha) * np.expm1(np.minimum(x, _f(0))))


def _softsign(p: Any) -> Run:  # noqa: ARG001  (has no parameter)
    return lambda x: x / (_f(1) + np.abs(x))


def softplus(x: Array) -> Array:
    """Return log(1 + e^x) without overflow."""
    return np.maximum(x, _f(0)) + np.log1p(np.exp(-np.abs(x)))


def _softplus(p: Any) -> Run:  # noqa: ARG001  (has no parameter)
    return softplus


_PLAIN: dict[str, Make] = {
    "linear": _linear,
    "ReLU": _relu,
    "leakyReLU": _leaky,
    "thresholdedReLU": _thresholded,
    "tanh": _tanh,
    "scaledTanh": _scaled_tanh,
    "sigmoid": _sigmoid,
    "sigmoidHard": _hard_sigmoid,
    "ELU": _elu,
    "softsign": _softsign,
    "softplus": _softplus,
}


def activation(layer: Layer) -> Plan:
    """Plan an activation; the output has the input's shape."""
    layer.expect(1)
    kind = layer.params.WhichOneof("NonlinearityType")
    if kind is None:
        raise layer.malformed("no activation is set")
    params = getattr(layer.params, kind)
    if kind == "PReLU":
        alpha = _per_channel(layer, params, "alpha")
        return plan(layer.shape, lambda x: np.where(x >= 0, x, alpha * x))
    if kind == "parametricSoftplus":
        alpha, beta = _per_channel(layer, params, "alpha"), _per_channel(layer, params, "beta")
        return plan(layer.shape, lambda x: alpha * softplus(beta * x))
    if kind not in _PLAIN:
        raise layer.unsupported(f"activation {kind}")
    return plan(layer.shape, _PLAIN[kind](params))


def clamped_relu(layer: Layer) -> Plan:
    """Plan ``clampedReLU`` (specification 5): leaky below zero by alpha, never above beta."""
    layer.expect(1)
    alpha, beta = _f(layer.params.alpha), _f(layer.params.beta)
    return plan(layer.shape, lambda x: np.minimum(beta, np.where(x >= 0, x, x * alpha)))


def _per_channel(layer: Layer, params: Any, field: str) -> Array:
    """Return a parameter of length 1 or C, shaped to lie along the channels."""
    layer.expect(1, rank=3)
    count = 1 if stored(getattr(params, field)) == 1 else layer.shape[-3]
    return layer.of(params).weights(field, (count,))[:, None, None]
