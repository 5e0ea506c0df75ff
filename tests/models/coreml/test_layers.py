"""Layers against references written down naively from the formulas in NeuralNetwork.proto, one value at a time."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.coreml import specs

quick = settings(max_examples=60, deadline=None)
sizes = st.integers(1, 9)
small = st.integers(1, 4)
Pair = tuple[int, int]


def _drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= tolerance


def _total_same(size: int, kernel: int, stride: int) -> int:
    return max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)


def _borders(mode: str, size: Pair, kernel: Pair, stride: Pair, pads: tuple[int, ...]) -> list[Pair]:
    """Return (before, after) for height and width: ``valid`` with pads, ``same`` in one of its two modes."""
    if mode == "valid":
        return [(pads[0], pads[1]), (pads[2], pads[3])]
    totals = [_total_same(n, k, s) for n, k, s in zip(size, kernel, stride, strict=True)]
    if mode == "BOTTOM_RIGHT_HEAVY":
        return [(t // 2, t - t // 2) for t in totals]
    return [(t - t // 2, t // 2) for t in totals]


def _padding(mode: str) -> dict[str, Any]:
    """Return the padding fields of a convolution or pooling."""
    if mode != "valid":
        return {"same": {"asymmetryMode": ["BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"].index(mode)}}
    return {"valid": {"paddingAmounts": {}}}


def _set_borders(borders: Any, pads: tuple[int, ...]) -> None:
    for start, end in (pads[:2], pads[2:]):
        borders.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)


modes = st.sampled_from(["valid", "BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"])
pairs = st.tuples(small, small)
pads4 = st.tuples(*[st.integers(0, 3)] * 4)


@pytest.mark.slow
@quick
@given(
    size=st.tuples(sizes, sizes),
    channels=st.tuples(small, small, small),
    kernel=pairs,
    stride=pairs,
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    mode=modes,
    pads=pads4,
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_convolution(
    size: Pair,
    channels: tuple[int, int, int],
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    mode: str,
    pads: tuple[int, ...],
    bias: bool,
    seed: int,
) -> None:
    """Every output is the sum over its window, in every padding mode, stride, dilation, group count and bias."""
    inputs, outputs, groups = channels
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    borders = _borders(mode, size, reach, stride, pads)
    if any(n + sum(b) < r for n, b, r in zip(size, borders, reach, strict=True)):
        return
    weights = _drawn(seed, outputs * groups, inputs, *kernel)
    shift = _drawn(seed + 1, outputs * groups) * bias
    x = _drawn(seed + 2, 3, inputs * groups, *size)
    message = specs.single(
        "convolution",
        (1, *x.shape[1:]),
        outputChannels=outputs * groups,
        kernelChannels=inputs,
        nGroups=groups,
        kernelSize=list(kernel),
        stride=list(stride),
        dilationFactor=list(dilation),
        hasBias=bias,
        weights=weights,
        **_padding(mode),
        **({"bias": shift} if bias else {}),
    )
    if mode == "valid":
        _set_borders(message.neuralNetwork.layers[0].convolution.valid.paddingAmounts, pads)
    wide = np.pad(x, ((0, 0), (0, 0), *borders)).astype(np.float64)
    spans = [(wide.shape[2 + i] - reach[i]) // stride[i] + 1 for i in (0, 1)]
    wanted = np.zeros((3, outputs * groups, *spans))
    for o, row, column in itertools.product(range(outputs * groups), *map(range, spans)):
        first = o // outputs * inputs
        for c, i, j in itertools.product(range(inputs), range(kernel[0]), range(kernel[1])):
            value = wide[:, first + c, row * stride[0] + i * dilation[0], column * stride[1] + j * dilation[1]]
            wanted[:, o, row, column] += value * weights[o, c, i, j]
        wanted[:, o, row, column] += shift[o]
    _close(specs.run(message, x[:, None])[0][:, 0], wanted)


@quick
@given(
    size=st.tuples(sizes, sizes),
    kernel=pairs,
    stride=pairs,
    mode=st.sampled_from(["valid", "BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY", "includeLastPixel"]),
    pads=pads4,
    kind=st.sampled_from(["MAX", "AVERAGE", "L2"]),
    exclude=st.booleans(),
    seed=st.integers(0, 99),
)
def test_pooling(
    size: Pair, kernel: Pair, stride: Pair, mode: str, pads: tuple[int, ...], kind: str, exclude: bool, seed: int
) -> None:
    """Maximum, average (with or without padding counted) and L2 over each window, in all four padding modes."""
    pads = tuple(min(p, kernel[i // 2] - 1) for i, p in enumerate(pads))
    x = _drawn(seed, 3, 2, *size)
    fields: dict[str, Any] = _padding(mode) if mode != "includeLastPixel" else {}
    if mode == "includeLastPixel":
        stride = tuple(min(s, k) for s, k in zip(stride, kernel, strict=True))  # type: ignore[assignment]  # a pair
        borders = [(pads[0], pads[0]), (pads[2], pads[2])]
        fields["includeLastPixel"] = {"paddingAmounts": [pads[0], pads[2]]}
    else:
        borders = _borders(mode, size, kernel, stride, pads)
    if any(n + sum(b) < k for n, b, k in zip(size, borders, kernel, strict=True)):
        return
    message = specs.single(
        "pooling",
        (1, *x.shape[1:]),
        type=["MAX", "AVERAGE", "L2"].index(kind),
        kernelSize=list(kernel),
        stride=list(stride),
        avgPoolExcludePadding=exclude,
        **fields,
    )
    if mode == "valid":
        _set_borders(message.neuralNetwork.layers[0].pooling.valid.paddingAmounts, pads)
    spans = [_windows(size[i], kernel[i], stride[i], borders[i], mode, any(pads[::2])) for i in (0, 1)]
    wanted = np.zeros((3, 2, len(spans[0]), len(spans[1])))
    for (r, top), (c, left) in itertools.product(enumerate(spans[0]), enumerate(spans[1])):
        rows = [i for i in range(top, top + kernel[0]) if 0 <= i < size[0]]
        columns = [j for j in range(left, left + kernel[1]) if 0 <= j < size[1]]
        if not rows or not columns:
            return  # refused while loading; test_refusals
        window = x[:, :, rows][:, :, :, columns].astype(np.float64)
        padded = [
            sum(-b[0] <= i < n + b[1] for i in range(start, start + k))
            for start, k, n, b in zip((top, left), kernel, size, borders, strict=True)
        ]
        count = len(rows) * len(columns) if exclude else math.prod(padded)
        wanted[:, :, r, c] = {
            "MAX": window.max(axis=(2, 3)),
            "AVERAGE": window.sum(axis=(2, 3)) / count,
            "L2": np.sqrt(np.square(window).sum(axis=(2, 3))),
        }[kind]
    _close(specs.run(message, x[:, None])[0][:, 0], wanted)


def _windows(size: int, kernel: int, stride: int, border: Pair, mode: str, padded: bool) -> list[int]:
    """Return where windows start, counted in the unpadded image."""
    room = size + sum(border) - kernel
    count = room // stride + 1
    if mode == "includeLastPixel":
        count = math.ceil(room / stride) + 1
        if padded and (count - 1) * stride >= size + border[0]:
            count -= 1
    return [i * stride - border[0] for i in range(count)]


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("version", [1, 4])
def test_global_pooling(kind: int, version: int) -> None:
    """Global pooling takes the whole image, whatever the kernel is; version 1 has rank-5 tensors, 4 exact ones."""
    x = _drawn(1, 4, 3, 7, 5)
    shape = (3, 7, 5) if version == 1 else (1, 3, 7, 5)
    message = specs.single("pooling", shape, version=version, type=kind, globalPooling=True, valid={})
    reduced = [x.max((2, 3)), x.mean((2, 3)), np.sqrt(np.square(x).sum((2, 3)))][kind]
    found = specs.run(message, x.reshape(4, *shape))[0]
    _close(found, reduced if version == 1 else reduced[:, None, :, None, None])


ACTIVATIONS: list[tuple[str, dict[str, float], Callable[[float], float]]] = [
    ("linear", {"alpha": 0.7, "beta": -0.2}, lambda x: 0.7 * x - 0.2),
    ("ReLU", {}, lambda x: max(0.0, x)),
    ("leakyReLU", {"alpha": 0.3}, lambda x: x if x >= 0 else 0.3 * x),
    ("thresholdedReLU", {"alpha": 0.5}, lambda x: x if x >= 0.5 else 0.0),
    ("tanh", {}, math.tanh),
    ("scaledTanh", {"alpha": 1.7, "beta": 0.6}, lambda x: 1.7 * math.tanh(0.6 * x)),
    ("sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
    ("sigmoidHard", {"alpha": 0.2, "beta": 0.5}, lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0)),
    ("ELU", {"alpha": 0.8}, lambda x: x if x >= 0 else 0.8 * (math.exp(x) - 1)),
    ("softsign", {}, lambda x: x / (1 + abs(x))),
    ("softplus", {}, lambda x: math.log(1 + math.exp(x))),
]


@pytest.mark.parametrize(("kind", "params", "reference"), ACTIVATIONS, ids=[a[0] for a in ACTIVATIONS])
def test_activation(kind: str, params: dict[str, float], reference: Callable[[float], float]) -> None:
    """Each activation is its formula at every value."""
    x = _drawn(2, 5, 3, 4, 4) * 4
    wanted = np.vectorize(reference)(x.astype(np.float64))
    _close(specs.run(specs.single("activation", x.shape[1:], **{kind: params}), x)[0], wanted, 2e-6)


def test_activation_far_out_is_finite() -> None:
    """Sigmoid and softplus of ±1000 are 0, 1, 0 and 1000: nothing overflows into a NaN."""
    x = np.array([[-1000.0, 1000.0]], np.float32)
    assert specs.run(specs.single("activation", (2,), sigmoid={}), x)[0].tolist() == [[0, 1]]
    assert specs.run(specs.single("activation", (2,), softplus={}), x)[0].tolist() == [[0, 1000]]


@pytest.mark.parametrize("length", [1, 3])
def test_activation_per_channel(length: int) -> None:
    """PReLU and parametric softplus hold one parameter per channel, or one for all."""
    x, alpha, beta = _drawn(3, 5, 3, 4, 2), _drawn(4, length), _drawn(5, length)
    a, b = alpha[:, None, None], beta[:, None, None]
    found = specs.run(specs.single("activation", x.shape[1:], PReLU={"alpha": alpha}), x)[0]
    _close(found, np.where(x >= 0, x, a * x))
    message = specs.single("activation", x.shape[1:], parametricSoftplus={"alpha": alpha, "beta": beta})
    _close(specs.run(message, x)[0], a * np.log(1 + np.exp(b * x)))


@pytest.mark.slow
@quick
@given(shape=st.lists(small, min_size=1, max_size=5), outputs=small, bias=st.booleans(), seed=st.integers(0, 99))
def test_inner_product(shape: list[int], outputs: int, bias: bool, seed: int) -> None:
    """Rank 1 to 3 multiply the last axis, rank 4 and 5 the last three, which become (C_out, 1, 1)."""
    kept = {1: 0, 2: 1, 3: 2, 4: 1, 5: 2}[len(shape)]
    inputs = math.prod(shape[kept:])
    weights, shift = _drawn(seed, outputs, inputs), _drawn(seed + 1, outputs)
    x = _drawn(seed + 2, 3, *shape)
    fields = {"bias": shift} if bias else {}
    message = specs.single(
        "innerProduct",
        shape,
        inputChannels=inputs,
        outputChannels=outputs,
        hasBias=bias,
        weights=weights,
        **fields,
    )
    flat = x.reshape(3, *shape[:kept], inputs) @ weights.T + (shift if bias else 0)
    tail = (outputs, 1, 1) if len(shape) > 3 else (outputs,)
    _close(specs.run(message, x)[0], flat.reshape(3, *shape[:kept], *tail))


@pytest.mark.parametrize("bias", [False, True])
def test_batched_matmul_with_a_constant(bias: bool) -> None:
    """The constant [X1, X2] is stored column by column."""
    x, matrix, shift = _drawn(1, 4, 2, 5), _drawn(2, 5, 3), _drawn(3, 3)
    message = specs.single(
        "batchedMatmul",
        (2, 5),
        weightMatrixFirstDimension=5,
        weightMatrixSecondDimension=3,
        hasBias=bias,
        weights=np.ravel(matrix, order="F"),
        **({"bias": shift} if bias else {}),
    )
    _close(specs.run(message, x)[0], x @ matrix + (shift if bias else 0))


@pytest.mark.parametrize(
    ("left", "right", "a", "b"),
    [
        ((2, 3), (3, 4), 0, 0),
        ((3, 2), (3, 4), 1, 0),
        ((5, 2, 3), (4, 3), 0, 1),
        ((3,), (3, 4), 0, 0),
        ((2, 3), (3,), 0, 0),
    ],
)
def test_batched_matmul_of_two_inputs(left: tuple[int, ...], right: tuple[int, ...], a: int, b: int) -> None:
    """Two inputs multiply as matrices, each image its own; vectors become a row or a column."""
    x, y = _drawn(1, 3, *left), _drawn(2, 3, *right)
    message = specs.single("batchedMatmul", left, right, transposeA=bool(a), transposeB=bool(b))
    one = lambda m, flip: np.swapaxes(m, -1, -2) if flip else m  # noqa: E731
    rows = [
        one(p[None] if p.ndim == 1 else p, a) @ one(q[:, None] if q.ndim == 1 else q, b)
        for p, q in zip(x, y, strict=True)
    ]
    _close(specs.run(message, x, y)[0], np.array(rows))
