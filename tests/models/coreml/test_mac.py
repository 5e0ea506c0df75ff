"""Core ML itself against this runtime: two files by other people, and this repository's own exports.

Predictions of Core ML exist on macOS only. Elsewhere everything else is done all the same: files parsed and wrapped as
coremltools does it, inputs built, answers compared, with this runtime one input at a time in Core ML's place.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml

FILES = ["keras-cnn-2017.mlmodel", "keras-cnn-2021.mlmodel", "cnn-float32", "cnn-float16", "cnn-int8", "svm"]
COUNT = 50
NEAR = 1e-3
"""Core ML may compute in half precision."""

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _inputs(feature: coreml.Feature, images: np.ndarray, tiles: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Return inputs as this runtime takes them, together, and as Core ML does, one by one."""
    if feature.kind != "image":
        return tiles[:COUNT], list(tiles[:COUNT])
    from PIL import Image

    return images[:COUNT], [Image.fromarray(pixels) for pixels in images[:COUNT]]


def _in_its_place(model: coreml.Model) -> Predict:
    """Return this runtime with Core ML's interface: one input, a dictionary of probabilities."""

    def predict(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        found = model.predict({name: np.asarray(value)[None] for name, value in inputs.items()})
        answer: dict[str, Any] = {str(model.label_name): found[str(model.label_name)][0]}
        if model.probabilities_name is not None:
            answer[model.probabilities_name] = dict(
                zip(model.labels or (), found[model.probabilities_name][0], strict=True)
            )
        return answer

    return predict


def _agree(predict: Predict, model: coreml.Model, ours: Mapping[str, np.ndarray], singles: Sequence[Any]) -> None:
    """Assert that ``predict`` gives the same labels and, within ``NEAR``, the same probabilities."""
    assert len(singles) == COUNT
    for i, single in enumerate(singles):
        theirs = predict({model.inputs[0].name: single})
        assert str(theirs[str(model.label_name)]) == str(ours[str(model.label_name)][i])
        if model.probabilities_name is not None:
            row = [theirs[model.probabilities_name][label] for label in model.labels or ()]
            assert np.abs(ours[model.probabilities_name][i] - row).max() < NEAR


@pytest.mark.parametrize("name", FILES)
def test_core_ml_itself_agrees(name: str, ct: ModuleType, request: pytest.FixtureRequest) -> None:
    """``MLModel.predict`` on a Mac gives this runtime's labels, and its probabilities within 1e-3."""
    foreign = name.endswith(".mlmodel")
    data: bytes = request.getfixturevalue("foreign" if foreign else "exports")[name]
    tiles, _ = request.getfixturevalue("bundled")
    images = (np.kron(tiles.reshape(-1, 8, 8), np.ones((3, 3))) * (255 / 16)).astype(np.uint8)
    model = coreml.load(data, name=name)
    together, singles = _inputs(model.inputs[0], np.pad(images, ((0, 0), (2, 2), (2, 2))), tiles)
    ours = model.predict({model.inputs[0].name: together})
    assert len(np.unique(ours[str(model.label_name)])) > 5
    _agree(_in_its_place(model), model, ours, singles)
    spec = ct.proto.Model_pb2.Model.FromString(data)
    assert ct.models.MLModel(spec, skip_model_load=True).get_spec() == spec
    if sys.platform != "darwin":
        pytest.skip("Core ML itself predicts on macOS only; all up to its prediction ran")
    real = ct.models.MLModel(spec, compute_units=ct.ComputeUnit.CPU_ONLY)
    _agree(real.predict, model, ours, singles)
