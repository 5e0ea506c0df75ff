"""Layers that reshape, normalise and combine, against naive references from NeuralNetwork.proto."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.coreml import specs

small = st.integers(1, 4)


def _drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= tolerance


@pytest.mark.parametrize("last", [False, True])
def test_flatten(last: bool) -> None:
    """Channels first keeps the order (C, H, W); channels last counts (H, W, C)."""
    x = _drawn(1, 2, 3, 4, 5)
    found = specs.run(specs.single("flatten", (3, 4, 5), mode=int(last)), x)[0]
    order = [(c, h, w) for c in range(3) for h in range(4) for w in range(5)]
    if last:
        order = [(c, h, w) for h in range(4) for w in range(5) for c in range(3)]
    wanted = np.array([[image[place] for place in order] for image in x])
    _close(found, wanted[:, :, None, None])


@pytest.mark.parametrize("last", [False, True])
def test_reshape(last: bool) -> None:
    """Channels first is row-major; channels last fills (H, W, C) from (H, W, C)."""
    x = _drawn(1, 2, 4, 2, 3)
    message = specs.single("reshape", (4, 2, 3), version=1, targetShape=[6, 4, 1], mode=int(last))
    flat = x.transpose(0, 2, 3, 1).reshape(2, 4, 1, 6).transpose(0, 3, 1, 2) if last else x.reshape(2, 6, 4, 1)
    _close(specs.run(message, x)[0], flat)


def test_reshape_to_a_sequence() -> None:
    """Four target numbers name the sequence axis first."""
    x = _drawn(1, 2, 4, 2, 3)
    found = specs.run(specs.single("reshape", (4, 2, 3), version=1, targetShape=[2, 6, 2, 1]), x)[0]
    _close(found, x.reshape(2, 2, 1, 6, 2, 1))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(4))))
def test_permute(axes: tuple[int, ...]) -> None:
    """Permute moves (Seq, C, H, W) and leaves the batch axis, second of five, where it is."""
    x = _drawn(1, 2, 2, 1, 3, 4, 5)
    message = specs.single("permute", (2, 1, 3, 4, 5), axis=list(axes))
    named = [[1, 3, 4, 5][axis] for axis in axes]
    _close(specs.run(message, x)[0], x.transpose(0, named[0], 2, *named[1:]))


@settings(max_examples=40, deadline=None)
@given(shape=st.lists(small, min_size=1, max_size=5), data=st.data())
def test_transpose_softmax_concat_and_split_along_any_axis(shape: list[int], data: Any) -> None:
    """Axes count per image, from either end, and never reach the axis of images."""
    axes = data.draw(st.permutations(range(len(shape))))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, y = _drawn(1, 3, *shape), _drawn(2, 3, *shape)
    _close(specs.run(specs.single("transpose", shape, axes=list(axes)), x)[0], x.transpose(0, *(a + 1 for a in axes)))
    lifted = axis + 1 if axis >= 0 else axis
    raised = np.exp(x.astype(np.float64))
    wanted = raised / raised.sum(axis=lifted, keepdims=True)
    _close(specs.run(specs.single("softmaxND", shape, axis=axis), x)[0], wanted, 1e-6)
    joined = specs.run(specs.single("concatND", shape, shape, axis=axis), x, y)[0]
    _close(joined, np.concatenate((x, y), axis=lifted))
    message = specs.single("splitND", joined.shape[1:], outputs=2, axis=axis, numSplits=2)
    for found, original in zip(specs.run(message, joined), (x, y), strict=True):
        _close(found, original)


def test_softmax_is_over_channels() -> None:
    """The old softmax is along axis -3, and stays finite for scores of ±1e4."""
    x = _drawn(1, 2, 5, 2, 1) * 1e4
    found = specs.run(specs.single("softmax", (5, 2, 1)), x)[0]
    _close(found.sum(axis=1), np.ones((2, 2, 1)), 1e-6)
    _close(found.argmax(axis=1), x.argmax(axis=1), 0)


@pytest.mark.parametrize(("kind", "sign"), [("add", 1), ("multiply", 0), ("max", 2), ("min", 3), ("average", 4)])
def test_limited_broadcasting(kind: str, sign: int) -> None:
    """Three inputs of shapes (C, 1, 1), (1, H, W) and (C, H, W) combine value by value."""
    a, b, c = _drawn(1, 2, 3, 1, 1), _drawn(2, 2, 1, 4, 5), _drawn(3, 2, 3, 4, 5)
    wanted = [
        lambda: a * b * c,
        lambda: a + b + c,
        lambda: np.maximum(np.maximum(a, b), c),
        lambda: np.minimum(np.minimum(a, b), c),
        lambda: (a + b + c) / 3,
    ][sign]()
    _close(specs.run(specs.single(kind, (3, 1, 1), (1, 4, 5), (3, 4, 5)), a, b, c)[0], wanted)


@pytest.mark.parametrize(("kind", "wanted"), [("add", 2.5), ("multiply", 1.0)])
def test_a_single_input_meets_alpha(kind: str, wanted: float) -> None:
    """Add and multiply with one input use the stored number."""
    found = specs.run(specs.single(kind, (1,), alpha=0.5), np.full((1, 1), 2.0, np.float32))[0]
    assert found.tolist() == [[wanted]]


def test_broadcasting_aligns_ranks_on_the_right() -> None:
    """A vector meets the last axis of a cube, for each image its own; a constant meets all images."""
    a, b = _drawn(1, 2, 4), _drawn(2, 2, 2, 3, 4)
    _close(specs.run(specs.single("addBroadcastable", (4,), (2, 3, 4)), a, b)[0], a[:, None, None] + b)
    message = specs.single("subtractBroadcastable", (2, 3, 4))
    network = message.neuralNetwork
    del network.layers[:]
    specs.layer(network, "loadConstantND", [], ["k"], shape=[3, 1], data=np.array([1.0, 2.0, 3.0]))
    specs.layer(network, "subtractBroadcastable", ["x0", "k"], ["y0"])
    _close(specs.run(message, b)[0], b - np.array([[1], [2], [3]], np.float32))


@pytest.mark.parametrize("instance", [False, True])
def test_batch_normalisation(instance: bool) -> None:
    """Stored statistics, or those of each image's channel, then gamma and beta; epsilon defaults to 1e-5."""
    x = _drawn(1, 3, 4, 5, 6)
    gamma, beta, mean, variance = (_drawn(seed, 4) for seed in (2, 3, 4, 5))
    variance = np.abs(variance) + 0.01
    message = specs.single(
        "batchnorm",
        (4, 5, 6),
        channels=4,
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        computeMeanVar=instance,
        instanceNormalization=instance,
    )
    wide = x.astype(np.float64)
    if instance:
        mean, variance = wide.mean(axis=(2, 3)), wide.var(axis=(2, 3))
    mean, variance = mean[..., None, None], variance[..., None, None]
    wanted = gamma[:, None, None] * (wide - mean) / np.sqrt(variance + 1e-5) + beta[:, None, None]
    _close(specs.run(message, x)[0], wanted)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 4, 5), (3, 4, 5)])
def test_scale_and_bias(shape: tuple[int, ...]) -> None:
    """Scale and bias hold one number, one per channel, per pixel or per value."""
    x, factor, shift = _drawn(1, 2, 3, 4, 5), _drawn(2, *shape), _drawn(3, *shape)
    spread = (lambda v: v[:, None, None]) if len(shape) == 1 else (lambda v: v)
    found = specs.run(specs.single("bias", (3, 4, 5), shape=list(shape), bias=shift), x)[0]
    _close(found, x + spread(shift))
    fields = {"shapeScale": list(shape), "scale": factor}
    _close(specs.run(specs.single("scale", (3, 4, 5), **fields), x)[0], x * spread(factor))
    fields |= {"hasBias": True, "shapeBias": list(shape), "bias": shift}
    _close(specs.run(specs.single("scale", (3, 4, 5), **fields), x)[0], x * spread(factor) + spread(shift))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_local_response_normalisation(size: int) -> None:
    """Each value is divided by a power of the squares in a window over channels."""
    x = _drawn(1, 2, 6, 3, 2)
    message = specs.single("lrn", (6, 3, 2), alpha=0.5, beta=0.75, localSize=size, k=2.0)
    wanted = np.empty_like(x)
    for c in range(6):
        window = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
        wanted[:, c] = x[:, c] / (2.0 + 0.5 / size * np.square(window).sum(axis=1)) ** 0.75
    _close(specs.run(message, x)[0], wanted)


@pytest.mark.parametrize(("across", "variance"), [(a, b) for a in (False, True) for b in (False, True)])
def test_mean_variance_normalisation(across: bool, variance: bool) -> None:
    """The mean goes, and the deviation if asked, within channels or across them."""
    x = _drawn(1, 2, 3, 4, 5)
    axes = (1, 2, 3) if across else (2, 3)
    wanted = x - x.mean(axis=axes, keepdims=True)
    if variance:
        wanted = wanted / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-6)
    message = specs.single("mvn", (3, 4, 5), acrossChannels=across, normalizeVariance=variance)
    _close(specs.run(message, x)[0], wanted)


@pytest.mark.parametrize("kind", ["constant", "reflection", "replication"])
def test_padding(kind: str) -> None:
    """Padding by a constant, mirrored without the edge, or repeating it: the specification's own example."""
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    message = specs.single("padding", (1, 3, 4), **{kind: {"value": 7.0} if kind == "constant" else {}})
    amounts = message.neuralNetwork.layers[0].padding.paddingAmounts
    amounts.borderAmounts.add(startEdgeSize=2)
    amounts.borderAmounts.add(startEdgeSize=2)
    rows = {
        "constant": [[7] * 6, [7] * 6, [7, 7, 1, 2, 3, 4], [7, 7, 5, 6, 7, 8], [7, 7, 9, 10, 11, 12]],
        "reflection": [
            [11, 10, 9, 10, 11, 12],
            [7, 6, 5, 6, 7, 8],
            [3, 2, 1, 2, 3, 4],
            [7, 6, 5, 6, 7, 8],
            [11, 10, 9, 10, 11, 12],
        ],
        "replication": [
            [1, 1, 1, 2, 3, 4],
            [1, 1, 1, 2, 3, 4],
            [1, 1, 1, 2, 3, 4],
            [5, 5, 5, 6, 7, 8],
            [9, 9, 9, 10, 11, 12],
        ],
    }[kind]
    _close(specs.run(message, x)[0], np.array([[rows]], dtype=np.float32), 0)


def test_crop() -> None:
    """Cropping by amounts, and to the size of a second input at an offset."""
    x = _drawn(1, 2, 3, 6, 7)
    message = specs.single("crop", (3, 6, 7))
    amounts = message.neuralNetwork.layers[0].crop.cropAmounts
    amounts.borderAmounts.add(startEdgeSize=1, endEdgeSize=2)
    amounts.borderAmounts.add(startEdgeSize=3, endEdgeSize=0)
    _close(specs.run(message, x)[0], x[:, :, 1:4, 3:], 0)
    message = specs.single("crop", (3, 6, 7), (1, 2, 3), offset=[4, 2])
    _close(specs.run(message, x, _drawn(2, 2, 1, 2, 3))[0], x[:, :, 4:6, 2:5], 0)


@pytest.mark.parametrize("mode", range(8))
def test_unary(mode: int) -> None:
    """The eight functions, after scaling and shifting; epsilon defaults to 1e-6."""
    x = np.abs(_drawn(1, 3, 4)) + 0.5
    functions = [
        math.sqrt,
        lambda v: 1 / math.sqrt(v + 1e-6),
        lambda v: 1 / (v + 1e-6),
        lambda v: v**1.5,
        math.exp,
        math.log,
        abs,
        lambda v: max(1.5, v),
    ]
    wanted = np.vectorize(functions[mode])(x * 2.0 + 0.25)
    found = specs.run(specs.single("unary", (4,), type=mode, alpha=1.5, scale=2.0, shift=0.25), x)[0]
    assert np.abs(found / wanted - 1).max() < 1e-5


def test_constants_reach_every_image() -> None:
    """A constant output is repeated for every image, in the shape the rank-5 layer gives it."""
    message = specs.single("loadConstant", (1, 1, 1), version=1)
    del message.neuralNetwork.layers[:]
    specs.layer(message.neuralNetwork, "loadConstant", [], ["y0"], shape=[2, 1, 1], data=np.array([3.0, 4.0]))
    found = specs.run(message, np.zeros((3, 1, 1, 1), np.float32))[0]
    assert found.tolist() == [[3, 4]] * 3
