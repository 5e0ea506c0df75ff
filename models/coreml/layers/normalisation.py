"""Scaling, normalising and softmax layers; formulas: the messages of these names in NeuralNetwork.proto."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan


def exponential_shares(x: Array, axis: int) -> Array:
    """Return softmax along one axis."""
    result: Array = x - x.max(axis=axis, keepdims=True)
    np.exp(result, out=result)
    result /= result.sum(axis=axis, keepdims=True)
    return result


def softmax(layer: Layer) -> Plan:
    """Plan softmax along the channels (axis -3)."""
    layer.expect(1, rank=3)
    return plan(layer.shape, lambda x: exponential_shares(x, -3), 4 * math.prod(layer.shape))


def softmax_nd(layer: Layer) -> Plan:
    """Plan softmax along any axis."""
    layer.expect(1)
    axis = layer.axis(layer.params.axis)
    return plan(layer.shape, lambda x: exponential_shares(x, axis), 4 * math.prod(layer.shape))


def batchnorm(layer: Layer) -> Plan:
    """Plan ``batchnorm`` along the channels, with stored statistics or those of each image (instance normalisation)."""
    layer.expect(1, rank=3)
    params = layer.params
    if params.channels != layer.shape[-3]:
        raise layer.malformed(f"expected {params.channels} channels, got shape {layer.shape}")
    if params.computeMeanVar and not params.instanceNormalization:
        raise layer.unsupported("batch normalisation by the statistics of the batch")
    epsilon = params.epsilon or 1e-5
    gamma, beta = _channels(layer, "gamma"), _channels(layer, "beta")
    if params.computeMeanVar:
        return plan(layer.shape, lambda x: standardised(x, (-2, -1), epsilon) * gamma + beta)
    mean, variance = _channels(layer, "mean"), _channels(layer, "variance")
    scale = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).astype(np.float32)
    shift = (beta - mean.astype(np.float64) * scale).astype(np.float32)
    return plan(layer.shape, lambda x: x * scale + shift)


def _channels(layer: Layer, field: str) -> Array:
    """Return a parameter per channel."""
    return layer.weights(field, (layer.shape[-3],))[:, None, None]


def standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """Return ``x`` less its mean, divided by its standard deviation, over ``axes``; statistics in float64."""
    mean = x.mean(axis=axes, keepdims=True, dtype=np.float64)
    variance = np.square(x - mean).mean(axis=axes, keepdims=True)
    result: Array = ((x - mean) / np.sqrt(variance + epsilon)).astype(np.float32)
    return result


def mvn(layer: Layer) -> Plan:
    """Plan mean-variance normalisation within each channel or across all of them."""
    layer.expect(1, rank=3)
    params = layer.params
    axes = (-3, -2, -1) if params.acrossChannels else (-2, -1)
    epsilon = params.epsilon or 1e-6
    if params.normalizeVariance:
        return plan(layer.shape, lambda x: standardised(x, axes, epsilon))
    return plan(layer.shape, lambda x: (x - x.mean(axes, np.float64, keepdims=True)).astype(np.float32))


def layer_normalization(layer: Layer) -> Plan:
    """Plan ``layerNormalization`` over the last axes, whose sizes are ``normalizedShape``."""
    layer.expect(1)
    params = layer.params
    shape = tuple(params.normalizedShape)
    if not shape or shape != layer.shape[-len(shape) :]:
        raise layer.malformed(f"normalised shape {shape[:8]} is not the end of {layer.shape}")
    gamma, beta = layer.weights("gamma", shape), layer.weights("beta", shape)
    axes, epsilon = tuple(range(-len(shape), 0)), params.eps or 1e-5
    return plan(layer.shape, lambda x: standardised(x, axes, epsilon) * gamma + beta)


def l2_normalize(layer: Layer) -> Plan:
    """Plan division by the L2 norm over channels, height and width."""
    layer.expect(1, rank=3)
    epsilon = np.float32(layer.params.epsilon or 1e-6)
    return plan(layer.shape, lambda x: x / np.sqrt(np.square(x).sum((-3, -2, -1), keepdims=True) + epsilon))


def lrn(layer: Layer) -> Plan:
    """Plan local response normalisation over ``localSize`` neighbouring channels."""
    layer.expect(1, rank=3)
    params, channels = layer.params, layer.shape[-3]
    size = params.localSize
    if size < 1:
        raise layer.malformed("expected a window of at least one channel, got 0")
    below, above = min((size - 1) // 2, channels), min(size // 2, channels)
    factor, k = np.float32(params.alpha / size), np.float32(params.k or 1.0)
    power = np.float32(-params.beta)

    def run(x: Array) -> Array:
        squares = np.square(x)
        total = squares.copy()
        for offset in range(1, below + 1):
            total[..., offset:, :, :] += squares[..., :-offset, :, :]
        for offset in range(1, above + 1):
            total[..., :-offset, :, :] += squares[..., offset:, :, :]
        result: Array = x * np.power(k + factor * total, power)
        return result

    return plan(layer.shape, run, math.prod(layer.shape) * (below + above + 1), 2 * math.prod(layer.shape))


def scale(layer: Layer) -> Plan:
    """Plan ``scale``: times one factor, a factor per channel, per pixel or per value, and a bias likewise."""
    layer.expect(1, rank=3)
    params = layer.params
    factor = _spread(layer, "scale", params.shapeScale)
    if not params.hasBias:
        return plan(layer.shape, lambda x: x * factor)
    shift = _spread(layer, "bias", params.shapeBias)
    return plan(layer.shape, lambda x: x * factor + shift)


def bias(layer: Layer) -> Plan:
    """Plan ``bias``: plus one number, one per channel, per pixel or per value."""
    layer.expect(1, rank=3)
    shift = _spread(layer, "bias", layer.params.shape)
    return plan(layer.shape, lambda x: x + shift)


def _spread(layer: Layer, field: str, stated: Any) -> Array:
    """Return parameters of the shapes [1], [C], [1, H, W] or [C, H, W], ready to broadcast."""
    shape: Shape = tuple(stated)
    channels, height, width = layer.shape[-3:]
    if shape not in ((1,), (channels,), (1, height, width), (channels, height, width), (channels, 1, 1), (1, 1, 1)):
        raise layer.malformed(f"{field} of shape {shape[:8]} does not fit {layer.shape}")
    values = layer.weights(field, shape)
    return values[:, None, None] if len(shape) == 1 else values


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "softmax": softmax,
    "softmaxND": softmax_nd,
    "batchnorm": batchnorm,
    "mvn": mvn,
    "layerNormalization": layer_normalization,
    "l2normalize": l2_normalize,
    "lrn": lrn,
    "scale": scale,
    "bias": bias,
}
