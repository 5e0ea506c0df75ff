"""Support-vector machines and pipelines: scikit-learn's own answers, after conversion."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import seeds

KERNELS: list[dict[str, Any]] = [
    {"gamma": 0.001},
    {"gamma": 0.001, "probability": True, "random_state": 0},
    {"kernel": "linear"},
    {"kernel": "poly", "degree": 2, "coef0": 1.0},
    {"kernel": "sigmoid", "gamma": 1e-4, "coef0": 0.1},
]
LABELS: list[Any] = [lambda y: y, lambda y: y.astype(str), lambda y: (y > 4).astype(int)]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits of 8×8, flat, 0 to 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data, bunch.target


@pytest.mark.parametrize("options", KERNELS, ids=str)
@pytest.mark.parametrize("relabel", LABELS, ids=["integers", "strings", "two classes"])
def test_answers_as_scikit_learn(options: Any, relabel: Any, digits: Any, ct: ModuleType) -> None:
    """Every digit gets scikit-learn's label; with probabilities, scikit-learn's probabilities and the likeliest label.

    Of two classes Core ML keeps libsvm's pair, scikit-learn couples it once more: coremltools warns of up to 0.5 %.
    """
    from sklearn.svm import SVC

    data, target = digits[0], relabel(digits[1])
    machine = SVC(**options).fit(data[:400], target[:400])
    model = coreml.load(ct.converters.sklearn.convert(machine, "pixels", "digit").get_spec().SerializeToString())
    found = model.predict({"pixels": data})
    assert model.labels == tuple(machine.classes_.tolist())
    if model.probabilities_name is None:
        assert np.array_equal(found["digit"], machine.predict(data))
        return
    chances = found[model.probabilities_name]
    assert np.abs(chances - machine.predict_proba(data)).max() < (1e-9 if len(model.labels) > 2 else 0.005)
    assert np.array_equal(found["digit"], machine.classes_[chances.argmax(axis=1)])


def test_the_tutorials_experiment(digits: Any, ct: ModuleType) -> None:
    """Trained on the first half of the digits, the published file reads 871 of the 899 others: 96.9 %."""
    from sklearn.svm import SVC

    data, target = digits
    machine = SVC(gamma=0.001).fit(data[:898], target[:898])
    model = coreml.load(ct.converters.sklearn.convert(machine, "pixels", "digit").get_spec().SerializeToString())
    assert (model.predict({"pixels": data[898:]})["digit"] == target[898:]).sum() == 871


@pytest.mark.parametrize("scaled", [False, True])
def test_pipelines_of_loose_numbers(scaled: bool, ct: ModuleType) -> None:
    """Three numbers are joined, scaled and classified as scikit-learn does it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (150, 3)), rng.integers(0, 4, 150)
    chain = make_pipeline(StandardScaler(), SVC()) if scaled else SVC()
    chain.fit(x, y)
    model = coreml.load(ct.converters.sklearn.convert(chain, ["a", "b", "c"], "t").get_spec().SerializeToString())
    assert [(feature.name, feature.kind) for feature in model.inputs] == [(n, "double") for n in "abc"]
    found = model.predict({name: x[:, i] for i, name in enumerate("abc")})["t"]
    assert np.array_equal(found, chain.predict(x))


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
