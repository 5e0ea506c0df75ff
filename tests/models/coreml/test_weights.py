"""Weights in every precision are unpacked to the same values as by coremltools."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import coreml
from models.coreml import proto
from models.coreml.weights import BadWeights, precision, stored, unpack
from tests.models.coreml import specs


def _message() -> Any:
    proto.model_pb2()
    return specs.single("bias", (1,)).neuralNetwork.layers[0].bias.bias


def _packed(numbers: list[int], bits: int) -> bytes:
    """Return the numbers one after another, most significant bit first, filled up with zeros to whole bytes."""
    text = "".join(f"{number:0{bits}b}" for number in numbers)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


@settings(max_examples=80, deadline=None)
@given(bits=st.integers(1, 8), shape=st.tuples(st.integers(1, 4), st.integers(1, 7)), data=st.data())
def test_quantised_weights_of_one_to_eight_bits(bits: int, shape: tuple[int, int], data: Any) -> None:
    """Numbers of any width are unpacked in order; linear scales are per channel or shared, tables by index."""
    count = shape[0] * shape[1]
    numbers = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=count, max_size=count))
    channels = data.draw(st.sampled_from([1, shape[0]]))
    params = _message()
    params.rawValue, params.quantization.numberOfBits = _packed(numbers, bits), bits
    scale, bias = np.arange(1, channels + 1) / 8, np.arange(channels) / 4
    params.quantization.linearQuantization.scale.extend(scale)
    params.quantization.linearQuantization.bias.extend(bias)
    grid = np.array(numbers).reshape(shape)
    assert np.array_equal(unpack(params, shape), grid * scale[:, None] + bias[:, None])
    assert (precision(params), stored(params)) == (f"linear {bits} bit", len(params.rawValue) * 8 // bits)
    table = np.arange(2**bits) * 0.5 - 3
    params.quantization.lookupTableQuantization.floatValue.extend(table)
    assert np.array_equal(unpack(params, shape), table[grid])
    assert precision(params) == f"table {bits} bit"


def test_half_precision() -> None:
    """float16 is stored little end first."""
    values = np.array([0.1, -2.5, 65504, 1e-7], dtype="<f2")
    params = _message()
    params.float16Value = values.tobytes()
    assert np.array_equal(unpack(params, (2, 2)), values.astype(np.float32).reshape(2, 2))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p.Clear(), "expected values in one precision, got none"),
        (lambda p: p.floatValue.extend([1.0] * 5), "expected 4 values, got 5"),
        (lambda p: (p.floatValue.append(1.0), setattr(p, "float16Value", b"12")), "floatValue and float16Value"),
        (lambda p: setattr(p, "float16Value", b"123"), "pairs of bytes"),
        (lambda p: setattr(p, "rawValue", b"1234"), "no quantisation of 0 bits"),
        (lambda p: specs.fill(p, _quantised(9, b"12345")), "of 9 bits"),
        (lambda p: specs.fill(p, _quantised(8, b"123")), "expected 4 values of 8 bits, got 3 bytes"),
        (lambda p: specs.fill(p, _quantised(8, b"1234", scale=[])), "got 0 and 0"),
        (lambda p: specs.fill(p, _quantised(8, b"1234", scale=[1.0] * 3)), "expected 1 or 2 scales"),
        (lambda p: specs.fill(p, _quantised(2, b"1", table=[1.0] * 3)), "expected a table of 4 values"),
        (lambda p: setattr(p, "int8RawValue", b"1234"), "dynamic quantisation"),
    ],
)
def test_nonsense_is_refused(change: Any, problem: str) -> None:
    """Wrong counts, two precisions at once, missing or impossible quantisation are named."""
    params = _message()
    change(params)
    with pytest.raises(BadWeights, match=problem):
        unpack(params, (2, 2))


def _quantised(bits: int, raw: bytes, **how: list[float]) -> dict[str, Any]:
    kind = {"lookupTableQuantization": {"floatValue": how["table"]}} if "table" in how else {}
    if not kind:
        kind = {"linearQuantization": {"scale": how.get("scale", [1.0])}}
    return {"rawValue": raw, "quantization": {"numberOfBits": bits, **kind}}


@pytest.mark.parametrize(
    ("bits", "mode"),
    [
        (16, "linear"),
        (8, "linear"),
        (8, "linear_symmetric"),
        (8, "linear_lut"),
        (4, "linear"),
        (3, "linear_lut"),
        (1, "linear_lut"),
    ],
)
def test_coremltools_own_quantisation(bits: int, mode: str, ct: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier quantised by coremltools gives the same answers as after coremltools' own unpacking."""
    utils = ct.models.neural_network.quantization_utils
    monkeypatch.setattr(utils, "_macos_version", lambda: (10, 13))  # on a newer Mac it returns a loaded model
    rng = np.random.default_rng(bits)
    message = specs.classifier([f"c{i}" for i in range(5)], version=4)
    weights = message.neuralNetworkClassifier.layers[1].innerProduct.weights
    weights.floatValue[:] = rng.normal(size=80).tolist()
    quantised = ct.models.neural_network.quantization_utils.quantize_weights(
        ct.models.MLModel(message, skip_model_load=True), bits, mode
    )
    spec = quantised.get_spec() if hasattr(quantised, "get_spec") else quantised
    images = rng.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    small = coreml.load(spec.SerializeToString())
    kinds = {layer.precisions for layer in coreml.inspect(spec.SerializeToString()).layers if layer.weights}
    if bits == 16:
        weights.floatValue[:] = np.float16(weights.floatValue).astype(float).tolist()
        wanted = coreml.load(message.SerializeToString())
    else:
        utils._dequantize_nn_spec(spec.neuralNetworkClassifier)
        wanted = coreml.load(spec.SerializeToString())
    assert kinds == {("float16",) if bits == 16 else (f"{'table' if 'lut' in mode else 'linear'} {bits} bit",)}
    difference = small.predict({"image": images})["scores"] - wanted.predict({"image": images})["scores"]
    assert np.abs(difference).max() < 1e-5
