"""Models with one scalar input for each pixel, and array inputs with a scale that the file does not state."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from typer.testing import CliRunner

from loop.cli import app
from loop.errors import BadModel
from loop.evaluation import digit_classifier, pixels, scales
from loop.evaluation.input_adapter import SCALES
from models import coreml
from models.coreml.proto import model_pb2
from models.family import Weights
from models.svm import export
from models.svm.tiles import tiles
from tests.cli.test_score import write_idx
from tests.helpers import stripes

NAMES = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]


@pytest.fixture(scope="module")
def machine() -> SVC:
    """A support-vector machine on scikit-learn's digits."""
    return SVC(gamma=0.001).fit(*load_digits(return_X_y=True))


def by_pixel(machine: SVC, names: Sequence[str], order: Sequence[int] | None = None) -> bytes:
    """Return what scikit-learn's converter makes from feature names: a vectoriser of scalars, then the machine.

    ``order`` is that of the inputs in the description; the vectoriser's is that of ``names``.
    """
    spec = model_pb2().Model(specificationVersion=1)
    stages = spec.pipelineClassifier.pipeline.models
    joined, decided = stages.add(specificationVersion=1), stages.add(specificationVersion=1)
    for description in (spec.description, joined.description):
        for i in range(len(names)) if order is None else order:
            description.input.add(name=names[i]).type.doubleType.SetInParent()
    for name in names:
        joined.featureVectorizer.inputList.add(inputColumn=name, inputDimensions=1)
    for features in (joined.description.output, decided.description.input):
        vector = features.add(name="__feature_vector__").type.multiArrayType
        vector.shape.append(len(names))
        vector.dataType = vector.ArrayDataType.Value("DOUBLE")
    for description in (spec.description, decided.description):
        description.output.add(name="digit").type.stringType.SetInParent()
        description.predictedFeatureName = "digit"
    export.write(decided.supportVectorClassifier, arrays(machine))
    return bytes(spec.SerializeToString())


def arrays(machine: SVC) -> Weights:
    """Return what a fitted machine consists of, for any number of pixels."""
    return {
        "support_vectors": machine.support_vectors_,
        "counts": machine.n_support_,
        "coefficients": machine.dual_coef_,
        "intercepts": machine.intercept_,
        "gamma": np.array(machine.gamma),
    }


@pytest.mark.slow
def test_the_runtime_agrees_with_scikit_learn(machine: SVC) -> None:
    """All 1,797 digits, given pixel by pixel, get the label that scikit-learn gives them."""
    rows, _ = load_digits(return_X_y=True)
    model = coreml.load(by_pixel(machine, NAMES))
    found = model.predict({name: rows[:, i] for i, name in enumerate(NAMES)})["digit"]
    assert (found == machine.predict(rows).astype(str)).all()


@pytest.mark.parametrize(
    "names", [NAMES, [f"p{i}" for i in range(64)], [f"{a}{b}" for a in "abcdefgh" for b in "stuvwxyz"]]
)
def test_read_by_pixel(names: list[str], machine: SVC) -> None:
    """The classifier gives each pixel to its input, and lists the source of the order as an assumption."""
    drawn = np.random.default_rng(5).integers(0, 256, (300, 28, 28)).astype(np.uint8)
    drawn[:, :, :4], drawn[:, 20:] = 0, 0
    classifier = digit_classifier.classifier(digit_classifier.load(by_pixel(machine, names)))
    assert (classifier.probabilities(drawn).argmax(axis=1) == machine.predict(tiles(drawn))).all()
    assert classifier.kind == "tiles"
    assert f"64 numbers {names[0]!r} to {names[-1]!r}, in the order of" in classifier.assumptions[0]


def test_numbers_in_names_order_pixels(machine: SVC) -> None:
    """A description that lists its inputs in another order, as text sorts them, does not mix the pixels up."""
    names = [f"p{i}" for i in range(64)]
    order = sorted(range(64), key=lambda i: names[i])
    assert order != list(range(64))
    classifier = digit_classifier.classifier(digit_classifier.load(by_pixel(machine, names, order)))
    assert (classifier.probabilities(stripes.images()).argmax(axis=1) == machine.predict(tiles(stripes.images()))).all()


@pytest.mark.parametrize("count", [2, 63, 3])
def test_scalars_that_are_no_picture(count: int) -> None:
    """Scalar inputs that do not form a square picture are refused, and the message names them."""
    features = [coreml.Feature(name=f"x{i}", kind="double") for i in range(count)]
    assert pixels.find(features) is None
    assert pixels.find([coreml.Feature(name=f"x{i}", kind="array", shape=(1,)) for i in range(64)]) is None


def test_several_pictures_are_still_refused() -> None:
    """A model with two inputs that are not pixels is refused, and the message states what is expected."""
    spec = model_pb2().Model.FromString(stripes.array_model((784,)))
    spec.description.input.add().CopyFrom(spec.description.input[0])
    spec.description.input[1].name = "other"
    with pytest.raises(BadModel, match=r"or one number for each pixel; got 2: 'picture'.*'other'"):
        digit_classifier.classifier(digit_classifier.load(spec.SerializeToString()))


@pytest.fixture(scope="module")
def written() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as 28×28 pictures, each of the 8×8 values three pixels wide, and their labels."""
    values, labels = load_digits(return_X_y=True)
    large = np.kron(values.reshape(-1, 8, 8) * 15.9, np.ones((3, 3)))
    return np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8), labels.astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), SCALES)
def test_the_scale_with_the_best_accuracy(
    low: float, high: float, written: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """A machine trained at a scale that its file does not state is scored at that scale, and the report states it."""
    images, labels = written
    rows = low + images.reshape(-1, 784) * ((high - low) / 255)
    machine = SVC(gamma=1 / (784 * rows.var())).fit(rows[:1000], labels[:1000])
    (tmp_path / "made.mlmodel").write_bytes(by_pixel(machine, [f"pixel{i}" for i in range(784)]))
    write_idx(tmp_path / "data", "t10k", images[1000:], labels[1000:])
    result = CliRunner().invoke(app, ["score", str(tmp_path / "made.mlmodel"), str(tmp_path / "data"), "--json"])
    found = json.loads(result.stdout)
    assert found["accuracy"] == (machine.predict(rows[1000:]) == labels[1000:]).mean()
    (line,) = [line for line in found["assumptions"] if line.startswith("scale: ")]
    assert f"scale: {low:g} to {high:g} chosen, because it reads best; accuracy on 500 of the 797 images" in line
    accuracies = [float(each.split(" %")[0].rsplit(" ", 1)[1]) for each in line.split(": ", 2)[2].split(", ")]
    assert len(accuracies) == len(SCALES)
    assert max(accuracies) > 90 > sorted(accuracies)[-2]
    assert "chosen: the file states no range" in found["assumptions"][0]


def test_a_stated_scale_is_not_chosen() -> None:
    """If the description states the scale, no other scale is tried or listed."""
    model = digit_classifier.load(stripes.array_model((784,), 0, 255, input_text="0 to 255"))
    classifier = scales.classifier(model, stripes.images(), np.arange(10, dtype=np.uint8))
    assert not any("chosen" in line for line in classifier.assumptions)


def test_without_labels_the_usual_scale_is_assumed() -> None:
    """Without labels, as when a night judges a file, no scale is chosen."""
    classifier = digit_classifier.classifier(digit_classifier.load(stripes.array_model((784,), 0, 255)))
    assert "values 0 to 1 (assumed" in classifier.assumptions[0]
    assert not any(line.startswith("scale:") for line in classifier.assumptions)
