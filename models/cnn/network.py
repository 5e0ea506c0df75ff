"""The architecture, in the two forms that the family needs.

In the training from random weights, batch normalisation follows every convolution. Its result is folded (``fold``) to
plain convolutions with a bias. The folded network is published, and a night tunes it directly: no statistics drift, and
a step costs half.

Weights are named arrays, ``<layer>/kernel`` (height, width, in, out) or (in, out) and ``<layer>/bias`` (out,).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from models.family import Weights

SIDE = 28
CLASSES = 10
NORM_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Convolution:
    """A square convolution of stride 1 with a ReLU."""

    name: str
    size: int
    channels: int
    padding: Literal["valid", "same"]


@dataclass(frozen=True, slots=True)
class Pooling:
    """Maximum pooling of 2×2 pixels."""

    name: str


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer on everything before it, flattened as (height, width, channel)."""

    name: str
    units: int


Layer = Convolution | Pooling | Dense

LAYERS: tuple[Layer, ...] = (
    Convolution("conv1", 5, 24, "valid"),
    Pooling("pool1"),
    Convolution("conv2", 3, 48, "same"),
    Convolution("conv3", 3, 48, "same"),
    Pooling("pool2"),
    Convolution("conv4", 3, 96, "same"),
    Convolution("conv5", 3, 96, "valid"),
    Dense("digits", CLASSES),
)


def shapes(layers: tuple[Layer, ...] = LAYERS) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every array of the folded network, in the order of the layers."""
    found: dict[str, tuple[int, ...]] = {}
    side, channels = SIDE, 1
    for layer in layers:
        if isinstance(layer, Pooling):
            side //= 2
            continue
        if isinstance(layer, Convolution):
            found[f"{layer.name}/kernel"] = (layer.size, layer.size, channels, layer.channels)
            side -= layer.size - 1 if layer.padding == "valid" else 0
            channels = layer.channels
        else:
            found[f"{layer.name}/kernel"] = (side * side * channels, layer.units)
            channels = layer.units
        found[f"{layer.name}/bias"] = (channels,)
    return found


def checked(
    weights: Mapping[str, np.ndarray[Any, Any]], layers: tuple[Layer, ...] = LAYERS, *, finite: bool = True
) -> Weights:
    """Return the arrays in the order of the layers, or raise ``ValueError`` with the name of a wrong one."""
    expected = shapes(layers)
    missing, extra = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    if missing or extra:
        raise ValueError(f"expected the weights of models/cnn: missing {sorted(missing)}, unexpected {sorted(extra)}")
    for name, shape in expected.items():
        array = weights[name]
        if array.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
        if array.dtype not in (np.float16, np.float32):
            raise ValueError(f"{name}: expected float16 or float32, got {array.dtype}")
        if finite and not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")
    return {name: weights[name] for name in expected}


def build(*, normalised: bool, policy: str = "float32", layers: tuple[Layer, ...] = LAYERS) -> Any:
    """Return the Keras model: images ``(n, 28, 28, 1) float32`` in 0 to 1 → logits ``(n, 10) float32``.

    ``normalised`` adds batch normalisation after every convolution; ``policy`` is Keras's dtype policy of all layers
    but the last, which always computes in float32.
    """
    from keras import Input, Model
    from keras import layers as kl

    image = value = Input((SIDE, SIDE, 1), name="image")
    for layer in layers:
        if isinstance(layer, Pooling):
            value = kl.MaxPool2D(name=layer.name, dtype=policy)(value)
        elif isinstance(layer, Dense):
            value = kl.Flatten(name="flat", dtype=policy)(value)
            value = kl.Dense(layer.units, name=layer.name, dtype="float32")(value)
        else:
            value = kl.Conv2D(
                layer.channels,
                layer.size,
                padding=layer.padding,
                use_bias=not normalised,
                name=layer.name,
                dtype=policy,
            )(value)
            if normalised:
                value = kl.BatchNormalization(
                    epsilon=NORM_EPSILON, momentum=0.99, name=f"{layer.name}_norm", dtype=policy
                )(value)
            value = kl.ReLU(name=f"{layer.name}_relu", dtype=policy)(value)
    return Model(image, value)


def start(model: Any, seed: int) -> None:
    """Set a normalised model's kernels to He's initial values (He et al. 2015, eq. 10), drawn from ``seed``."""
    generator = np.random.default_rng([seed, 0])
    for layer in model.layers:
        if getattr(layer, "kernel", None) is not None:
            shape = tuple(layer.kernel.shape)
            gain = 2.0 if len(shape) == 4 else 1.0  # the last layer has no ReLU
            draw = generator.standard_normal(shape, dtype=np.float32)
            layer.kernel.assign(draw * np.float32(np.sqrt(gain / np.prod(shape[:-1]))))


def fill(model: Any, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Put folded weights into a model built with ``normalised=False``."""
    for name, array in weights.items():
        layer, _, part = name.partition("/")
        getattr(model.get_layer(layer), part).assign(array.astype(np.float32))


def fold(arrays: Mapping[str, np.ndarray[Any, Any]], layers: tuple[Layer, ...] = LAYERS) -> Weights:
    """Fold batch normalisation into the convolutions, in float64; arrays are named by ``train.arrays``.

    ``y = γ (k∗x − μ) / √(σ² + ε) + β`` is a convolution with kernel ``kγ/√(σ² + ε)`` and bias
    ``β − μγ/√(σ² + ε)``. Without normalisation the arrays pass unchanged.
    """
    folded: Weights = {}
    for name in shapes(layers):
        layer, _, part = name.partition("/")
        norm = f"{layer}_norm"
        if f"{norm}/gamma" not in arrays:
            folded[name] = np.asarray(arrays[name], np.float32)
            continue
        gamma, beta, mean, variance = (
            arrays[f"{norm}/{key}"].astype(np.float64) for key in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + NORM_EPSILON)
        value = arrays[name].astype(np.float64) * scale if part == "kernel" else beta - mean * scale
        folded[name] = value.astype(np.float32)
    return folded


def rounded(weights: Mapping[str, np.ndarray[Any, Any]]) -> Weights:
    """Return the arrays as float16: a frozen base is defined as these values."""
    return {name: array.astype(np.float16) for name, array in weights.items()}


def plain(layers: tuple[Layer, ...] = LAYERS) -> list[dict[str, Any]]:
    """Return the layers as plain JSON values."""
    return [{"kind": type(layer).__name__.lower(), **asdict(layer)} for layer in layers]
