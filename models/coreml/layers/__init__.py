"""Every layer kind that this runtime knows, by its field name in ``NeuralNetworkLayer``."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import (
    activation,
    arrange,
    broadcast,
    constant,
    convolution,
    matrix,
    normalisation,
    pooling,
    reduction,
    reshape,
    spatial,
    unary,
)
from .layer import Layer, Plan

KINDS: Mapping[str, Callable[[Layer], Plan]] = MappingProxyType(
    {
        "convolution": convolution.convolution,
        "pooling": pooling.pooling,
        "activation": activation.activation,
        "clampedReLU": activation.clamped_relu,
        "innerProduct": matrix.inner_product,
        "batchedMatmul": matrix.batched_matmul,
        "dot": matrix.dot,
        **arrange.LAYERS,
        **broadcast.LAYERS,
        **constant.LAYERS,
        **normalisation.LAYERS,
        **reduction.LAYERS,
        **reshape.LAYERS,
        **spatial.LAYERS,
        **unary.LAYERS,
    }
)

__all__ = ["KINDS", "Layer", "Plan"]
