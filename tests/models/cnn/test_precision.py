"""Smaller files: rounding once and for all, exact bytes, and a runtime that reads the rounded values back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models import coreml
from models.cnn import Cnn, Network, export, rounding
from models.coreml import weights as unpacking
from models.coreml.proto import model_pb2
from models.family import Card, Precision, Weights
from tests.models.cnn.tiny import random_weights, shipped

CARD = Card("Reads a digit", "Digit Loop", "MIT", "7", {"a": "1"})
SMALLER: tuple[Precision, ...] = ("float16", "int8")

kernels = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, width=32) | st.floats(-(2.0**-90), 2.0**-90, width=32),
)


def values(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights in the exported file, layer by layer, as the runtime unpacks them."""
    spec = model_pb2().Model.FromString(network.export(CARD))
    found = {}
    for layer in spec.neuralNetworkClassifier.layers:
        kind = layer.WhichOneof("layer")
        if kind not in {"convolution", "innerProduct"}:
            continue
        params = getattr(layer, kind)
        inputs = params.kernelChannels if kind == "convolution" else params.inputChannels
        shape = (params.outputChannels, inputs, *(params.kernelSize if kind == "convolution" else ()))
        found[f"{layer.name}/kernel"] = unpacking.unpack(params.weights, tuple(shape))
        found[f"{layer.name}/bias"] = unpacking.unpack(params.bias, (params.outputChannels,))
    return found


@pytest.mark.parametrize("precision", Cnn().precisions)
@pytest.mark.parametrize("weights", [random_weights(), shipped()], ids=["random", "base"])
def test_rounding_twice_changes_nothing(weights: Weights, precision: Precision) -> None:
    """Arrays and file are the same after another rounding, also of what was saved and loaded in between."""
    once = Cnn().load(weights).rounded(precision)
    for again in (once.rounded(precision), Cnn().load(once.weights()).rounded(precision)):
        for name, array in once.weights().items():
            np.testing.assert_array_equal(again.weights()[name], array, strict=True)
        assert again.export(CARD) == once.export(CARD)


@pytest.mark.parametrize("precision", Cnn().precisions)
def test_the_file_holds_the_rounded_values_bit_for_bit(weights: Weights, precision: Precision) -> None:
    """The runtime unpacks exactly the candidate's weights, without a second rounding."""
    network = Cnn().load(weights).rounded(precision)
    for name, array in values(network).items():
        own = network.weights()[name].astype(np.float32)
        if own.ndim == 4:
            own = own.transpose(3, 2, 0, 1)
        elif own.ndim == 2:  # rows of the file are ordered by channel, then pixel
            own = own.reshape(4, 4, 96, 10).transpose(3, 2, 0, 1).reshape(10, -1)
        np.testing.assert_array_equal(array, own)


@pytest.mark.slow
@given(kernels)
@settings(deadline=None)
def test_steps_are_exact_whatever_the_kernel(kernel: np.ndarray[Any, Any]) -> None:
    """Step times scale is exact in float32, also as the file writes it; no value moves by more than half a step."""
    made = rounding.rounded({"x/kernel": kernel}, "int8")["x/kernel"]
    taken, scales = rounding.steps(made, -1)
    assert np.abs(taken.astype(int)).max() <= rounding.STEPS
    np.testing.assert_array_equal(made.astype(np.float64), taken * scales.astype(np.float64))
    shifted = (taken.astype(np.int16) + 128).astype(np.float32)
    np.testing.assert_array_equal(shifted * scales + np.float32(-128) * scales, made)
    np.testing.assert_array_equal(rounding.rounded({"x/kernel": made}, "int8")["x/kernel"], made)
    alive = np.abs(kernel).max(axis=0) >= rounding.MIN_LARGEST
    assert (np.abs(made - kernel.astype(np.float64)) <= 0.5001 * scales)[:, alive].all()
    assert (made[:, ~alive] == 0).all()


def test_channels_have_scales_of_their_own() -> None:
    """One large channel does not coarsen the others, and zero stays zero."""
    kernel = np.array([[100.0, 0.001, 0.0], [0.0, -0.002, 0.0]], np.float32)
    made = rounding.rounded({"x/kernel": kernel}, "int8")["x/kernel"]
    np.testing.assert_allclose(made, kernel, rtol=0.01)
    assert made[1, 0] == 0
    assert (made[:, 2] == 0).all()


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.5), ("int8", 0.25)])
def test_size(weights: Weights, precision: Precision, share: float) -> None:
    """Half or a quarter of the float32 file, and at most 5 kB of structure, scales and biases."""
    whole = sum(array.size * 4 for array in weights.values())
    assert whole * share < len(Cnn().load(weights).rounded(precision).export(CARD)) < whole * share + 5_000


@pytest.mark.slow
@pytest.mark.parametrize("precision", SMALLER)
def test_the_runtime_answers_as_the_rounded_reference(
    weights: Weights, digits: tuple[np.ndarray, np.ndarray], precision: Precision
) -> None:
    """The file, run by ``models.coreml``, agrees with Keras on the rounded weights, and both differ from float32."""
    images = digits[0][:100]
    whole = Cnn().load(weights)
    candidate = whole.rounded(precision)
    ran = coreml.load(candidate.export(CARD)).predict({"image": images})["probabilities"]
    np.testing.assert_allclose(ran, candidate.probabilities(images), atol=1e-5)
    exact = coreml.load(whole.export(CARD)).predict({"image": images})["probabilities"]
    assert np.abs(ran - exact).max() > 1e-5


def test_how_it_is_stored(weights: Weights) -> None:
    """Specification 4 throughout; half precision for kernels and biases; 8 bits with a scale for each channel."""
    for precision, kernel, bias in (("float16", "float16", "float16"), ("int8", "linear 8 bit", "float32")):
        spec = model_pb2().Model.FromString(Cnn().load(weights).rounded(precision).export(CARD))
        first, last = spec.neuralNetworkClassifier.layers[0].convolution, spec.neuralNetworkClassifier.layers[-2]
        for layer in (first, last.innerProduct):
            assert (unpacking.precision(layer.weights), unpacking.precision(layer.bias)) == (kernel, bias)
        assert spec.specificationVersion == 4
    assert len(first.weights.quantization.linearQuantization.scale) == first.outputChannels
    assert len(last.innerProduct.weights.quantization.linearQuantization.scale) == 10


def test_a_base_loses_nothing_in_half_precision() -> None:
    """A base is its float16 values: rounded to float16 or float32 it is the same arrays."""
    for precision in ("float16", "float32"):
        made = Cnn().load(shipped()).rounded(precision).weights()
        for name, array in shipped().items():
            np.testing.assert_array_equal(made[name], array, strict=True)


@pytest.mark.parametrize("precision", SMALLER)
def test_export_never_rounds(weights: Weights, precision: Precision) -> None:
    """Weights that were not rounded before the judgement are refused."""
    with pytest.raises(ValueError, match="round them before"):
        export.mlmodel(weights, CARD, precision=precision)


def test_too_large_for_half_precision(weights: Weights) -> None:
    """65,520 is infinity in float16: refused by name."""
    large = {**weights, "digits/bias": weights["digits/bias"] + np.float32(1e5)}
    with pytest.raises(ValueError, match="digits/bias has values too large for float16"):
        Cnn().load(large).rounded("float16")
