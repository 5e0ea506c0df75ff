"""Support-vector machines and pipelines: scikit-learn's own answers, after conversion by coremltools (stored once)."""

import numpy as np
import pytest

from models import coreml
from tests.models import converted
from tests.models.coreml import seeds

Digits = tuple[np.ndarray, np.ndarray]


def test_the_stored_files_are_the_converters() -> None:
    """The archive was made by the newest scikit-learn that coremltools' converter accepts, and that coremltools."""
    assert converted.made_with() == converted.MADE_WITH


@pytest.mark.parametrize("kernel", converted.KERNELS)
@pytest.mark.parametrize("kind", converted.LABELS)
def test_answers_as_scikit_learn(kernel: str, kind: str, bundled: Digits) -> None:
    """Every digit gets scikit-learn's label; with probabilities, scikit-learn's probabilities and the likeliest label.

    Of two classes Core ML keeps libsvm's pair, scikit-learn couples it once more: coremltools warns of up to 0.5 %.
    """
    stored = converted.case(f"{kernel}, {kind}")
    model = coreml.load(stored["file"].tobytes())
    found = model.predict({"pixels": bundled[0]})
    assert model.labels == tuple(stored["classes"].tolist())
    assert (model.probabilities_name is None) == ("probabilities" not in stored)
    if model.probabilities_name is None:
        assert np.array_equal(found["digit"], stored["answers"])
        return
    chances = found[model.probabilities_name]
    errors = np.abs(chances[:: converted.PROBABILITIES_EVERY] - stored["probabilities"])
    assert errors.max() < (1e-9 if len(model.labels) > 2 else 0.005)
    assert np.array_equal(found["digit"], stored["classes"][chances.argmax(axis=1)])


def test_the_tutorials_experiment(bundled: Digits) -> None:
    """Trained on the first half of the digits, the published file reads 871 of the 899 others: 96.9 %."""
    data, target = bundled
    stored, half = converted.case("tutorial"), converted.TUTORIAL_TAUGHT
    found = coreml.load(stored["file"].tobytes()).predict({"tiles": data[half:]})["classLabel"]
    assert len(found) == 899
    assert (found == target[half:]).sum() == 871


@pytest.mark.parametrize("name", ["loose numbers", "scaled numbers"])
def test_pipelines_of_loose_numbers(name: str) -> None:
    """Three numbers are joined, scaled and classified as scikit-learn does it."""
    stored = converted.case(name)
    model = coreml.load(stored["file"].tobytes())
    assert [(feature.name, feature.kind) for feature in model.inputs] == [(n, "double") for n in "abc"]
    found = model.predict({name: stored["inputs"][:, i] for i, name in enumerate("abc")})["t"]
    assert np.array_equal(found, stored["answers"])


def test_sparse_support_vectors_count_from_one() -> None:
    """The same machine with sparse vectors, whose indices start at 1, gives the same probabilities."""
    message = seeds.machine()
    dense = coreml.load(message.SerializeToString())
    svm = message.pipelineClassifier.pipeline.models[1].supportVectorClassifier
    rows = [list(row.values) for row in svm.denseSupportVectors.vectors]
    for row in rows:
        vector = svm.sparseSupportVectors.vectors.add()
        for index, value in enumerate(row, start=1):
            if value:
                vector.nodes.add(index=index, value=value)
    sparse = coreml.load(message.SerializeToString())
    x = np.random.default_rng(0).normal(size=(20, 2))
    assert np.array_equal(sparse.predict({"x0": x})["p"], dense.predict({"x0": x})["p"])
    svm.sparseSupportVectors.vectors[0].nodes[0].index = 0
    with pytest.raises(coreml.Malformed, match="index 0 is outside 1 to 2"):
        coreml.load(message.SerializeToString())
