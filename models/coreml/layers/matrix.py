"""Matrix products: ``innerProduct``, ``batchedMatmul`` with constant or second input, ``dot``, ``embedding``.

Formulas: the messages of these names in NeuralNetwork.proto. With a constant matrix all images go through one product.
"""

import math

import numpy as np

from .broadcast import aligned, broadcast
from .layer import Array, Layer, Plan, Shape, plan


def inner_product(layer: Layer) -> Plan:
    """Plan a dense layer; which axes make up the C_in values depends on the rank, as the specification lists."""
    layer.expect(1, rank=1)
    params, shape = layer.params, layer.shape
    if params.int8DynamicQuantize:
        raise layer.unsupported("dynamic int8 quantisation of activations")
    if len(shape) > 5:
        raise layer.malformed(f"expected rank 1 to 5, got shape {shape}")
    kept = {1: 0, 2: 1, 3: 2, 4: 1, 5: 2}[len(shape)]
    if math.prod(shape[kept:]) != params.inputChannels:
        raise layer.malformed(f"expected {params.inputChannels} values, got shape {shape}")
    tail = (params.outputChannels, 1, 1) if len(shape) > 3 else (params.outputChannels,)
    return _constant(layer, params.inputChannels, params.outputChannels, (*shape[:kept], *tail))


def batched_matmul(layer: Layer) -> Plan:
    """Plan a product of the last two axes of two inputs, or of the last axis of one with a constant matrix."""
    layer.expect(range(1, 3), rank=1)
    if len(layer.shapes) == 2:
        return _two_inputs(layer)
    params = layer.params
    if params.int8DynamicQuantize:
        raise layer.unsupported("dynamic int8 quantisation of activations")
    first, second = params.weightMatrixFirstDimension, params.weightMatrixSecondDimension
    if layer.shape[-1] != first:
        raise layer.malformed(f"expected a last axis of {first}, got shape {layer.shape}")
    return _constant(layer, first, second, (*layer.shape[:-1], second))


def _constant(layer: Layer, inputs: int, outputs: int, shape: Shape) -> Plan:
    """Plan ``x W^T + b`` with W stored ``[outputs, inputs]``: rows of an inner product, columns of a matmul."""
    layer.fits(shape)
    matrix = layer.weights("weights", (outputs, inputs)).T
    bias = layer.weights("bias", (outputs,)) if layer.params.hasBias else None

    def run(x: Array) -> Array:
        result = x.reshape(-1, inputs) @ matrix
        if bias is not None:
            result += bias
        return result.reshape(x.shape[0], *shape)

    return plan(shape, run, math.prod(shape) * inputs)


def _two_inputs(layer: Layer) -> Plan:
    """Plan a product of two tensors; one-dimensional ones become a row (first) or a column (second)."""
    if layer.params.hasBias:
        raise layer.malformed("a bias is only possible with a constant matrix")
    first, second = layer.shapes
    left: Shape = (1, *first) if len(first) == 1 else first
    right: Shape = (*second, 1) if len(second) == 1 else second
    flip_left, flip_right = layer.params.transposeA, layer.params.transposeB
    rows, inner = left[-2:][:: -1 if flip_left else 1]
    inner_too, columns = right[-2:][:: -1 if flip_right else 1]
    if inner != inner_too:
        raise layer.malformed(f"shapes {first} and {second} have no common inner axis")
    shape = layer.fits((*broadcast(layer, (left[:-2], right[:-2])), rows, columns))
    rank = len(shape)

    def run(a: Array, b: Array) -> Array:
        a = aligned(a.reshape(-1, *left), rank)
        b = aligned(b.reshape(-1, *right), rank)
        a = a.swapaxes(-1, -2) if flip_left else a
        result: Array = np.matmul(a, b.swapaxes(-1, -2) if flip_right else b)
        return result

    return plan(shape, run, math.prod(shape) * inner)


def dot(layer: Layer) -> Plan:
    """Plan the dot product of two ``(…, C, 1, 1)`` tensors, or their cosine."""
    layer.expect(2, rank=3)
    if layer.shapes[0] != layer.shapes[1] or layer.shape[-2:] != (1, 1):
        raise layer.malformed(f"expected two equal shapes (…, C, 1, 1), got {layer.shapes}")
    cosine = layer.params.cosineSimilarity

    def run(a: Array, b: Array) -> Array:
        result: Array = (a * b).sum(axis=-3, keepdims=True)
        if cosine:
            result = result / np.sqrt((a * a).sum(axis=-3, keepdims=True) * (b * b).sum(axis=-3, keepdims=True))
        return result

    return plan((*layer.shape[:-3], 1, 1, 1), run, math.prod(layer.shape) * 3)
