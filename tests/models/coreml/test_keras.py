"""Converted Keras networks answer as Keras does, within 1e-5, for every layer and option that Keras reaches.

A conversion costs about a second, so layers of a kind share one network with one output for each option.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import coreml
from tests.models.coreml.networks import convert, shaken

SHAPE = (13, 11, 6)
CLOSE = 1e-5


@pytest.fixture(scope="module")
def keras(ct: ModuleType) -> ModuleType:
    """Keras, imported after coremltools, with its layers seeded."""
    import keras

    assert ct
    keras.utils.set_random_seed(1)
    return keras


def _convolutions(layers: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield convolutions over paddings, strides, dilations, biases and kernel shapes.

    Other groups are in ``test_layers``: Keras computes them with XLA, which coremltools does not convert.
    """
    for padding in ("valid", "same"):
        for options in (
            {"kernel_size": 3},
            {"kernel_size": (5, 2), "use_bias": False},
            {"kernel_size": 1},
            {"kernel_size": 3, "strides": 2},
            {"kernel_size": (2, 4), "strides": (3, 2)},
            {"kernel_size": 3, "dilation_rate": 2},
            {"kernel_size": (2, 3), "dilation_rate": (3, 1), "use_bias": False},
            {"kernel_size": 1, "strides": 2},
        ):
            yield layers.Conv2D(12, padding=padding, **options)
        yield layers.DepthwiseConv2D(3, padding=padding, depth_multiplier=2)
        yield layers.DepthwiseConv2D((2, 3), strides=2, padding=padding, use_bias=False)
        yield layers.SeparableConv2D(7, 3, padding=padding)


def _poolings(layers: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield poolings over kinds, paddings, window shapes and strides."""
    for kind in (layers.MaxPooling2D, layers.AveragePooling2D):
        for padding in ("valid", "same"):
            yield kind(2, padding=padding)
            yield kind(3, strides=1, padding=padding)
            yield kind((2, 3), strides=(3, 2), padding=padding)
            yield kind((5, 4), strides=2, padding=padding)
    yield layers.GlobalMaxPooling2D()
    yield layers.GlobalAveragePooling2D()
    yield layers.GlobalMaxPooling2D(keepdims=True)
    yield layers.GlobalAveragePooling2D(keepdims=True)


def _activations(layers: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield the activations of Keras that coremltools converts; gelu is not among them (TensorFlow's Erfc)."""
    for name in (
        "relu",
        "relu6",
        "sigmoid",
        "hard_sigmoid",
        "tanh",
        "softplus",
        "softsign",
        "elu",
        "selu",
        "swish",
        "leaky_relu",
        "exponential",
        "softmax",
        "log_softmax",
        "linear",
    ):
        yield layers.Activation(name)
    yield layers.LeakyReLU(0.3)
    yield layers.ELU(0.7)
    yield layers.ReLU(max_value=0.5)
    yield layers.PReLU(shared_axes=[1, 2])
    yield layers.Softmax(axis=2)


def _shapes(layers: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield layers that reorder, pad, cut, join, scale or normalise."""
    yield layers.Flatten()
    yield layers.Reshape((11, 13, 6))
    yield layers.Reshape((6, -1))
    yield layers.Permute((3, 1, 2))
    yield layers.ZeroPadding2D(((1, 2), (0, 3)))
    yield layers.Cropping2D(((1, 2), (0, 3)))
    yield layers.UpSampling2D((2, 3))
    yield layers.UpSampling2D(2, interpolation="bilinear")
    yield layers.BatchNormalization(epsilon=0.01)
    yield layers.BatchNormalization(center=False)
    yield layers.BatchNormalization(scale=False)
    yield layers.LayerNormalization()
    yield layers.Rescaling(0.3, 0.2)
    yield layers.Dropout(0.5)
    yield layers.SpatialDropout2D(0.5)
    yield layers.Dense(5)
    yield layers.Dense(5, use_bias=False, activation="relu")
    yield lambda x: layers.Dense(4, activation="softmax")(layers.Flatten()(x))
    yield lambda x: layers.Add()([x, layers.Conv2D(6, 1)(x)])
    yield lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    yield lambda x: layers.Subtract()([x, layers.Conv2D(1, 1)(x)])
    yield lambda x: layers.Maximum()([x, layers.Conv2D(6, 1)(x)])
    yield lambda x: layers.Minimum()([x, layers.Conv2D(6, 1)(x)])
    yield lambda x: layers.Average()([x, layers.Conv2D(6, 1)(x)])
    yield lambda x: layers.Concatenate()([x, layers.Conv2D(3, 1)(x)])
    yield lambda x: layers.Concatenate(axis=1)([x, x])
    yield lambda x: layers.Dot(axes=1)([layers.Flatten()(x), layers.Flatten()(x)])


@pytest.mark.parametrize("family", [_convolutions, _poolings, _activations, _shapes])
def test_every_option_of_a_family_answers_as_keras(family: Any, ct: ModuleType, keras: ModuleType) -> None:
    """Every output of a network with one branch for each option differs from Keras by at most 1e-5."""
    image = keras.Input(SHAPE)
    branches = list(family(keras.layers))
    model = shaken(keras.Model(image, [branch(image) for branch in branches]), 2)
    loaded = coreml.load(convert(ct, model, SHAPE))
    x = np.random.default_rng(3).normal(size=(5, *SHAPE)).astype(np.float32)
    wanted = [np.asarray(y) for y in model(x, training=False)]
    found = loaded.predict({"image": x[:, None]})
    assert len(found) == len(branches)
    names = [f"Identity_{i}" if i else "Identity" for i in range(len(branches))]
    errors = [_error(found[name], y) for name, y in zip(names, wanted, strict=True)]
    assert max(errors) <= CLOSE, names[int(np.argmax(errors))]


def _error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference, relative where the value is beyond 1; the element order must be the same."""
    assert found.size == wanted.size
    return float((np.abs(found.reshape(wanted.shape) - wanted) / np.maximum(1, np.abs(wanted))).max())


blocks = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from([1, 2, 3, (3, 1), 5]),
        st.sampled_from(["valid", "same"]),
        st.sampled_from([1, 2]),
        st.booleans(),
        st.sampled_from(["relu", "tanh", "sigmoid", "elu"]),
        st.booleans(),
        st.sampled_from([None, "max", "average"]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=blocks,
    size=st.tuples(st.integers(12, 20), st.integers(12, 20)),
    colour=st.booleans(),
    seed=st.integers(0, 9),
)
def test_generated_classifiers_answer_as_keras(
    blocks: Any, size: tuple[int, int], colour: bool, seed: int, ct: ModuleType, keras: ModuleType
) -> None:
    """Random image classifiers, gray or colour, give Keras's probabilities within 1e-5 and its labels."""
    layers, shape = keras.layers, (*size, 3 if colour else 1)
    stack: list[Any] = [keras.Input(shape)]
    for filters, kernel, padding, strides, bias, activation, normed, pool in blocks:
        stack.append(layers.Conv2D(filters, kernel, padding=padding, strides=strides, use_bias=bias))
        stack += [layers.BatchNormalization()] if normed else []
        stack.append(layers.Activation(activation))
        stack += [layers.MaxPooling2D(2, padding="same")] if pool == "max" else []
        stack += [layers.AveragePooling2D(2, padding="same")] if pool == "average" else []
    try:
        model = keras.Sequential([*stack, layers.Flatten(), layers.Dense(7, activation="softmax")])
    except ValueError:  # a valid convolution of an image that earlier blocks made too small
        return
    shaken(model, seed)
    layout = ct.colorlayout.RGB if colour else ct.colorlayout.GRAYSCALE
    data = convert(
        ct,
        model,
        shape,
        inputs=[ct.ImageType(name="image", shape=(1, *shape), scale=1 / 255, color_layout=layout)],
        classifier_config=ct.ClassifierConfig([f"c{i}" for i in range(7)]),
    )
    loaded = coreml.load(data)
    images = np.random.default_rng(seed).integers(0, 256, (9, *shape)).astype(np.uint8)
    wanted = np.asarray(model(images / np.float32(255), training=False))
    found = loaded.predict({"image": images})
    assert np.abs(found[loaded.probabilities_name] - wanted).max() <= CLOSE
    sure = np.sort(wanted, axis=1)[:, -1] - np.sort(wanted, axis=1)[:, -2] > 2 * CLOSE
    assert [f"c{i}" for i in wanted.argmax(axis=1)[sure]] == list(found[loaded.label_name][sure])
