"""This runtime gives the results that Apple's own tests expect of Core ML, layer by layer (see ``borrowed``)."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import borrowed

LOOSE = {
    "test_gelu_activation": 0.01,  # expects the exact function of its two approximations, too
    "test_unary_inverse": 2e-4,  # expects 1/x of 1/(x + epsilon)
    "test_unary_rsqrt": 2e-4,  # likewise
    "test_tiny_upsample_linear_mode": 1e-3,  # expected values are written with four digits
}
"""Tolerances where the expectation itself is rough; 1e-5 relative elsewhere, where Apple allows 1e-2."""

RANDOM = ("random_", "categorical_distribution")
NEEDS_TORCH = ("conv3d", "pool3d", "upsample_pytorch", "pixel_shuffle", "dyn_weight", "static_weight")
FLEXIBLE = ("shape_flexibility",)  # other sizes than the described default are refused
NOT_A_LAYER = ("min_macos", "gpu", *RANDOM, *NEEDS_TORCH, *FLEXIBLE)


PARTLY = {"batchedMatmul", "constantPad", "convolution", "innerProduct", "tile"}
"""Kinds with an option that is refused by name: int8 activations, deconvolution, parameters computed while running."""


def _compare(self: Any, model: Any, inputs: Any, expected: Any, precision: str = "", **options: Any) -> None:
    """Stand in for ``CorrectnessTest._test_model`` with a stricter comparison; counts what is not supported."""
    half = "HALF" in f"{precision}{options.get('model_precision')}".upper()
    if half:
        utils = sys.modules["coremltools"].models.utils
        model = utils._convert_neural_network_spec_weights_to_fp16(model)
    try:
        found = borrowed.Runtime(model).predict(inputs)
    except borrowed.NotSupported as error:
        self.tally.unsupported.add(str(error).split("(")[1].split(")")[0])
        return
    for name, value in expected.items():
        wanted = np.asarray(value, dtype=np.float64)
        shape = options.get("output_name_shape_dict", {}).get(name) or wanted.shape or (1,)
        assert found[name].squeeze().shape == np.empty(shape).squeeze().shape
        if not options.get("validate_shapes_only"):
            error = np.abs(found[name].reshape(wanted.shape) - wanted) / np.maximum(np.abs(wanted), 1)
            tolerance = 2e-3 if half else LOOSE.get(self.borrowed, 1e-5)
            assert np.max(error, initial=0) <= tolerance, f"{np.max(error)} beyond {tolerance}"
            self.tally.compared += 1


@pytest.mark.usefixtures("torch_stand_in")
def test_every_layer_answers_as_apples_numpy_references(ct: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some thousand networks of one layer each give what coremltools' layer tests expect, within 1e-5."""
    assert ct
    layers = borrowed.module("test_numpy_nn_layers", monkeypatch)
    monkeypatch.setattr(layers.CorrectnessTest, "_test_model", _compare)
    tally = borrowed.run(layers, lambda name: any(part in name for part in NOT_A_LAYER))
    assert not tally.failed
    assert tally.compared > 3000
    assert tally.unsupported & set(coreml.KINDS) == PARTLY


@pytest.mark.usefixtures("torch_stand_in")
@pytest.mark.parametrize("name", ["test_tf_numeric", "test_nn_builder", "test_quantization"])
def test_builder_networks_answer_as_tensorflow(name: str, ct: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depthwise convolution, resizing, reorganising and weights of 1 to 8 bits pass coremltools' own tests."""
    assert ct
    tally = borrowed.run(borrowed.module(name, monkeypatch), lambda test: test.endswith("cpu_only"))
    assert not tally.failed
    assert tally.passed
