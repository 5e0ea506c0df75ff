"""Layers without input and with values in the file; they carry an images' axis of length 1."""

from collections.abc import Callable

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan


def _constant(shape: Shape, values: Array) -> Plan:
    array = values.reshape(1, *shape)
    array.flags.writeable = False
    return plan(shape, lambda: array)


def load_constant(layer: Layer) -> Plan:
    """Plan ``loadConstant``: stored ``[C, H, W]``, given as ``(1, 1, C, H, W)``."""
    layer.expect(0)
    shape = tuple(layer.params.shape)
    if len(shape) != 3:
        raise layer.malformed(f"expected a shape [C, H, W], got {shape[:8]}")
    layer.fits(shape)
    return _constant((1, 1, *shape), layer.weights("data", shape))


def load_constant_nd(layer: Layer) -> Plan:
    """Plan ``loadConstantND``: any shape."""
    layer.expect(0)
    shape = layer.fits(tuple(layer.params.shape))
    return _constant(shape, layer.weights("data", shape))


def fill_static(layer: Layer) -> Plan:
    """Plan ``fillStatic``: one value in any shape."""
    layer.expect(0)
    shape = layer.fits(tuple(layer.params.targetShape))
    value = np.full((1,) * (len(shape) + 1), layer.params.value, dtype=np.float32)
    return plan(shape, lambda: np.broadcast_to(value, (1, *shape)))


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "loadConstant": load_constant,
    "loadConstantND": load_constant_nd,
    "fillStatic": fill_static,
}
