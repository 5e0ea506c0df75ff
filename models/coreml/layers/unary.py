"""Functions of single values beside ``ActivationParams``: ``unary``, rounding, trigonometry, clip, gelu, erf …

Formulas: ``UnaryFunctionLayerParams``, ``GeluLayerParams`` and the elementwise messages in NeuralNetwork.proto.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from .activation import sigmoid
from .layer import Array, Layer, Plan, Run, plan

_f = np.float32


def _operation(layer: Layer) -> Run:
    """Return the function of a ``unary`` layer after scaling and shifting."""
    params = layer.params
    alpha, epsilon = _f(params.alpha), _f(params.epsilon or 1e-6)
    table: Mapping[int, Run] = {
        0: np.sqrt,
        1: lambda x: _f(1) / np.sqrt(x + epsilon),
        2: lambda x: _f(1) / (x + epsilon),
        3: lambda x: np.power(x, alpha),
        4: np.exp,
        5: np.log,
        6: np.abs,
        7: lambda x: np.maximum(x, alpha),
    }
    if params.type not in table:
        raise layer.unsupported(f"unary operation {params.type}")
    return table[params.type]


def unary(layer: Layer) -> Plan:
    """Plan ``f(scale · x + shift)``; scale 0 means 1."""
    layer.expect(1)
    function = _operation(layer)
    scale, shift = _f(layer.params.scale or 1.0), _f(layer.params.shift)
    return plan(layer.shape, lambda x: function(x * scale + shift))


def clip(layer: Layer) -> Plan:
    """Plan ``clip`` between minVal and maxVal."""
    layer.expect(1)
    low, high = _f(layer.params.minVal), _f(layer.params.maxVal)
    return plan(layer.shape, lambda x: np.minimum(np.maximum(x, low), high))


def erf(x: Array) -> Array:
    """Return the error function, to about 1e-7.

    The Chebyshev fit of erfc in Press et al., Numerical Recipes, 2nd ed., 6.2 (fractional error below 1.2e-7), in
    float64; numpy has no error function.
    """
    wide = np.abs(x.astype(np.float64))
    t = 1.0 / (1.0 + 0.5 * wide)
    coefficients = (
        0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807,
        -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
    )  # fmt: skip
    fit = np.zeros_like(t)
    for coefficient in coefficients:
        fit = fit * t + coefficient
    return np.copysign(1.0 - t * np.exp(-wide * wide + fit), x).astype(np.float32)


def gelu(layer: Layer) -> Plan:
    """Plan ``gelu``: exact, or its approximations by tanh or sigmoid."""
    layer.expect(1)
    table: Mapping[int, Run] = {
        0: lambda x: _f(0.5) * x * (_f(1) + erf(x * _f(math.sqrt(0.5)))),
        1: lambda x: _f(0.5) * x * (_f(1) + np.tanh(_f(math.sqrt(2 / math.pi)) * (x + _f(0.044715) * x * x * x))),
        2: lambda x: x * sigmoid(_f(1.702) * x),
    }
    if layer.params.mode not in table:
        raise layer.unsupported(f"gelu mode {layer.params.mode}")
    return plan(layer.shape, table[layer.params.mode], 20 * math.prod(layer.shape))


def logical_not(layer: Layer) -> Plan:
    """Plan ``logicalNot``: 1.0 where the value is 0, else 0.0."""
    layer.expect(1)
    return plan(layer.shape, lambda x: (x == 0).astype(np.float32))


def elementwise(function: Run) -> Callable[[Layer], Plan]:
    """Return the planner of a function of single values."""

    def planner(layer: Layer) -> Plan:
        layer.expect(1)
        return plan(layer.shape, lambda x: function(x))

    return planner


FUNCTIONS: Mapping[str, Run] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round": np.rint,
    "sign": np.sign,
    "exp2": np.exp2,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": erf,
}

LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "unary": unary,
    "clip": clip,
    "gelu": gelu,
    "logicalNot": logical_not,
    **{name: elementwise(function) for name, function in FUNCTIONS.items()},
}
