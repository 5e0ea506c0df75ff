"""Operations on single values: arithmetic, comparisons, activations, casts.

Formulas: ``elementwise_binary``, ``elementwise_unary`` and ``activation`` of coremltools' MIL operation sets.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..layers.activation import sigmoid, softplus
from ..layers.broadcast import pairwise, truth, where
from ..layers.layer import Array, Plan, Run, plan
from ..layers.unary import FUNCTIONS, elementwise, erf
from .operation import Kind, Operation, kind

Planner = Callable[[Operation], Plan]
_f = np.float32

_BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "real_div": np.divide,
    "floor_div": np.floor_divide,
    "mod": np.mod,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": truth(np.equal),
    "not_equal": truth(np.not_equal),
    "less": truth(np.less),
    "less_equal": truth(np.less_equal),
    "greater": truth(np.greater),
    "greater_equal": truth(np.greater_equal),
    "logical_and": truth(np.logical_and),
    "logical_or": truth(np.logical_or),
    "logical_xor": truth(np.logical_xor),
}
_UNARY: Mapping[str, Run] = {
    **{name: FUNCTIONS[name] for name in FUNCTIONS if name not in ("asinh", "acosh")},  # MIL has no such operations
    "abs": np.abs,
    "sqrt": np.sqrt,
    "square": np.square,
    "exp": np.exp,
    "identity": lambda x: x,
    "logical_not": lambda x: (x == 0).astype(np.float32),
    "relu": lambda x: np.maximum(x, _f(0)),
    "relu6": lambda x: np.clip(x, _f(0), _f(6)),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softsign": lambda x: x / (_f(1) + np.abs(x)),
}


def _with(function: Callable[..., Array], **defaults: float | None) -> Kind:
    """Return a kind of ``function(x, *parameters)``, which are numbers; None means that one has to be given."""

    def planner(op: Operation) -> Plan:
        parameters = [op.number(name, default) for name, default in defaults.items()]
        return plan(op.shape, lambda x: function(x, *parameters))

    return kind(planner, constants=" ".join(defaults))


def _prelu(op: Operation) -> Plan:
    """Plan ``prelu``: a slope for each channel, on axis 1."""
    if len(op.shape) < 3:
        raise op.malformed(f"expected rank 3 or more, got shape {op.shape}")
    alpha = op.array("alpha", (op.shape[1],)).reshape(-1, *(1,) * (len(op.shape) - 2))
    return plan(op.shape, lambda x: np.where(x >= 0, x, alpha * x))


def _gelu(op: Operation) -> Plan:
    """Plan ``gelu``: exact, or its approximations by tanh or sigmoid."""
    table: Mapping[str, Run] = {
        "EXACT": lambda x: _f(0.5) * x * (_f(1) + erf(x * _f(math.sqrt(0.5)))),
        "TANH_APPROXIMATION": lambda x: (
            _f(0.5) * x * (_f(1) + np.tanh(_f(math.sqrt(2 / math.pi)) * (x + _f(0.044715) * x * x * x)))
        ),
        "SIGMOID_APPROXIMATION": lambda x: x * sigmoid(_f(1.702) * x),
    }
    mode = op.text("mode", "EXACT")
    if mode not in table:
        raise op.unsupported(f"mode {mode!r}")
    return plan(op.shape, table[mode], 20 * math.prod(op.shape))


def _cast(op: Operation) -> Plan:
    """Plan ``cast``: to any precision nothing changes, to whole numbers fractions are cut off, to truths 0 is false."""
    wanted = op.text("dtype")
    table: Mapping[str, Run] = {
        "fp16": lambda x: x,
        "fp32": lambda x: x,
        "int32": np.trunc,
        "bool": lambda x: (x != 0).astype(np.float32),
    }
    if wanted not in table:
        raise op.unsupported(f"a cast to {wanted!r}")
    return plan(op.shape, table[wanted])


OPERATIONS: Mapping[str, Kind] = {
    **{name: kind(pairwise(function), "x y") for name, function in _BINARY.items()},
    **{name: kind(elementwise(function)) for name, function in _UNARY.items()},
    "select": kind(where, "cond a b"),
    "prelu": kind(_prelu, constants="alpha"),
    "gelu": kind(_gelu, constants="mode"),
    "cast": kind(_cast, constants="dtype"),
    "clip": _with(lambda x, low, high: np.clip(x, low, high), alpha=None, beta=None),
    "clamped_relu": _with(lambda x, a, b: np.minimum(b, np.where(x >= 0, x, a * x)), alpha=None, beta=None),
    "elu": _with(lambda x, a: np.where(x >= 0, x, a * np.expm1(np.minimum(x, _f(0)))), alpha=1.0),
    "leaky_relu": _with(lambda x, a: np.where(x >= 0, x, a * x), alpha=0.01),
    "linear_activation": _with(lambda x, a, b: a * x + b, alpha=None, beta=0.0),
    "scaled_tanh": _with(lambda x, a, b: a * np.tanh(b * x), alpha=1.0, beta=1.0),
    "sigmoid_hard": _with(lambda x, a, b: np.clip(a * x + b, _f(0), _f(1)), alpha=0.2, beta=0.5),
    "thresholded_relu": _with(lambda x, a: np.where(x >= a, x, _f(0)), alpha=1.0),
    "threshold": _with(np.maximum, alpha=None),
    "log": _with(lambda x, e: np.log(x + e), epsilon=1e-45),
    "rsqrt": _with(lambda x, e: _f(1) / np.sqrt(x + e), epsilon=1e-12),
    "inverse": _with(lambda x, e: _f(1) / (x + e), epsilon=1e-4),
}
