"""The support-vector family: fitted, trained, saved, exported, and run from its file."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loop.data import corpus
from loop.evaluation import digit_classifier, export_check
from loop.evaluation.verdict import ExportLimits, Outcome
from models import coreml
from models.bundled import load_bundled
from models.coreml.proto import model_pb2
from models.family import Card, Family, Lesson, Weights, no_progress
from models.svm import Machine, Recipe, Svm, export, vectors
from models.svm.tiles import tiles
from tests.models import converted

CARD = Card("Reads digits", "someone", "MIT", "3", {"b": "2", "a": "1"})
FAMILY: Family = Svm()


@pytest.fixture(scope="module")
def digits() -> corpus.Corpus:
    """scikit-learn's digits at 28×28."""
    return corpus.digits()


@pytest.fixture(scope="module")
def base(digits: corpus.Corpus) -> Machine:
    """The family's base."""
    return Svm().train_base(digits.train_images, digits.train_labels, 0, no_progress)


@pytest.fixture(scope="module")
def tutorial() -> tuple[Any, np.ndarray, np.ndarray]:
    """The tutorial's own machine (fitted to the first half of the raw 8×8 digits), all tiles, all labels."""
    from sklearn.svm import SVC

    images, labels = load_bundled()
    flat = images.reshape(-1, 64).astype(np.float64)
    half, labels = len(flat) // 2, labels.astype(np.int64)
    return SVC(gamma=Recipe().gamma).fit(flat[:half], labels[:half]), flat, labels


def accuracy(machine: Machine, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of correct answers."""
    return float((machine.probabilities(images).argmax(axis=1) == labels).mean())


def lesson(digits: corpus.Corpus, images: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Lesson:
    """Return a night that replays the digits and trains on these."""
    return Lesson(digits.train_images, digits.train_labels, images, labels, weights)


def test_the_tutorials_experiment(tutorial: tuple[Any, np.ndarray, np.ndarray]) -> None:
    """Trained on the first half of the digits, the machine reads 96.9 % of the second: 871 of 899."""
    machine, flat, labels = tutorial
    half = len(flat) // 2
    right = int((machine.predict(flat[half:]) == labels[half:]).sum())
    assert (right, len(flat) - half) == (871, 899)
    assert f"{right / 899:.1%}" == "96.9%"


def test_the_exported_file_answers_as_scikit_learn(tutorial: tuple[Any, np.ndarray, np.ndarray]) -> None:
    """Run from its file, the tutorial's machine gives scikit-learn's label for every one of the 1,797 digits."""
    machine, flat, _ = tutorial
    model = coreml.load(export.mlmodel(vectors.taken(machine), CARD))
    named = model.predict({"tiles": flat})["classLabel"]
    assert len(named) == 1797
    assert (named == machine.predict(flat).astype(str)).all()


def test_the_file_is_the_one_that_coremltools_writes() -> None:
    """The kernel, vectors, coefficients and intercepts of a machine equal those in coremltools' own file."""
    stored = converted.case("tutorial")
    fitted = SimpleNamespace(**{name: stored[f"fitted/{name}"] for name in converted.FITTED})
    theirs = model_pb2().Model.FromString(stored["file"].tobytes())
    ours = model_pb2().Model.FromString(export.mlmodel(vectors.taken(fitted), CARD))
    for spec in (theirs, ours):
        spec.supportVectorClassifier.ClearField(spec.supportVectorClassifier.WhichOneof("ClassLabels"))
    deterministic = {"deterministic": True}
    assert theirs.supportVectorClassifier.SerializeToString(**deterministic) == (
        ours.supportVectorClassifier.SerializeToString(**deterministic)
    )
    assert theirs.specificationVersion == ours.specificationVersion
    assert theirs.description.input[0].type == ours.description.input[0].type


def test_scikit_learn_still_fits_the_machine_that_coremltools_converted(
    tutorial: tuple[Any, np.ndarray, np.ndarray],
) -> None:
    """The installed scikit-learn takes the same support vectors as 1.5.1; coefficients differ by rounding at most."""
    machine, flat, _ = tutorial
    stored = converted.case("tutorial")
    for name in ("support_vectors_", "n_support_", "gamma"):
        assert np.array_equal(getattr(machine, name), stored[f"fitted/{name}"]), name
    for name in ("dual_coef_", "intercept_"):
        np.testing.assert_allclose(getattr(machine, name), stored[f"fitted/{name}"], rtol=1e-6, atol=1e-9, err_msg=name)
    assert np.array_equal(machine.predict(flat), stored["answers"])


def test_the_base_passes_the_second_judge(base: Machine, digits: corpus.Corpus) -> None:
    """Published and run from its bytes, the base gives the labels that scikit-learn gives."""
    data = base.export(CARD)
    verdict = export_check.run(data, data, base.probabilities, digits.test_images, ExportLimits())
    assert verdict.outcome is Outcome.PASSED, verdict.reasons
    reader = digit_classifier.classifier(digit_classifier.load(data))
    assert (reader.kind, reader.label_only, reader.polarity) == ("tiles", True, "white on black")
    assert "values 0 to 16 (read from its description)" in reader.assumptions[0]


def test_the_base_reads_digits_of_others(base: Machine, digits: corpus.Corpus) -> None:
    """The base reads the test forms, by other writers, as well as the tutorial's machine reads its second half."""
    assert accuracy(base, digits.test_images, digits.test_labels) > 0.93


def test_the_file_says_what_the_card_says(base: Machine) -> None:
    """The file contains the card, interface and labels, without a date or the version of a tool."""
    model = coreml.load(base.export(CARD))
    assert model.metadata == {
        "a": "1", "b": "2", "description": "Reads digits", "author": "someone", "license": "MIT", "version": "3",
    }  # fmt: skip
    assert model.labels == tuple("0123456789")
    assert model.label_name == "classLabel"
    assert model.probabilities_name is None
    assert [(each.name, each.kind, each.shape, each.dtype) for each in model.inputs] == [
        ("tiles", "array", (64,), "float64")
    ]


def test_rebuilding_gives_what_was_fitted(digits: corpus.Corpus, base: Machine) -> None:
    """The rebuilt machine gives the same answers as the fitted one, also far from the training data."""
    from sklearn.svm import SVC

    fitted = SVC(gamma=0.001).fit(tiles(digits.train_images), digits.train_labels)
    noise = np.random.default_rng(0).integers(0, 256, (300, 28, 28)).astype(np.uint8)
    images = np.concatenate([digits.test_images, noise])
    assert (base.probabilities(images).argmax(axis=1) == fitted.predict(tiles(images))).all()


def test_the_seed_changes_nothing(base: Machine, digits: corpus.Corpus) -> None:
    """The same lesson gives the same arrays with another seed, because the training is not random."""
    taught = lesson(digits, digits.test_images[:50], digits.test_labels[:50], np.ones(50))
    first, second = (FAMILY.fine_tune(base.weights(), taught, seed, no_progress).weights() for seed in (0, 1))
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name


def test_a_night_teaches(base: Machine, digits: corpus.Corpus) -> None:
    """A night of digits turned by 90° makes the machine read them, and it still reads upright digits."""
    images, labels = (np.rot90(digits.test_images, axes=(1, 2)).copy(), digits.test_labels)
    pupils = np.arange(len(labels)) % 2 == 0
    taught = lesson(digits, images[pupils], labels[pupils], np.ones(int(pupils.sum())))
    after = FAMILY.fine_tune(base.weights(), taught, 0, no_progress)
    assert accuracy(base, images[~pupils], labels[~pupils]) < 0.5
    assert (after.probabilities(images[~pupils]).argmax(axis=1) == labels[~pupils]).mean() > 0.8
    assert (after.probabilities(digits.train_images).argmax(axis=1) == digits.train_labels).mean() > 0.97


def test_weights_are_relative_and_count(base: Machine, digits: corpus.Corpus) -> None:
    """Doubling all weights changes nothing; a correction of weight 0 has no effect."""
    images, labels = digits.test_images[:40], digits.test_labels[:40]
    wrong = ((labels[:20] + 1) % 10).astype(np.uint8)
    mixed = np.concatenate([wrong, labels[20:]]).astype(np.uint8)
    weights = np.r_[np.zeros(20), np.ones(20)]
    machines = [
        FAMILY.fine_tune(base.weights(), lesson(digits, images, mixed, scale * weights), 0, no_progress).weights()
        for scale in (1.0, 2.0)
    ]
    assert all(np.array_equal(machines[0][name], machines[1][name]) for name in machines[0])
    believed = FAMILY.fine_tune(base.weights(), lesson(digits, images, mixed, np.ones(40)), 0, no_progress)
    asked = images[:20]
    unmoved = FAMILY.load(machines[0]).probabilities(asked).argmax(axis=1)
    assert (unmoved == labels[:20]).mean() > (believed.probabilities(asked).argmax(axis=1) == labels[:20]).mean()


def test_a_base_without_one_digit_is_refused(digits: corpus.Corpus) -> None:
    """A machine needs images of all ten digits; the message lists the digits that it got."""
    without = digits.train_labels != 7
    with pytest.raises(ValueError, match=r"ten digits"):
        FAMILY.train_base(digits.train_images[without], digits.train_labels[without], 0, no_progress)


def test_an_empty_lesson_is_the_base(base: Machine, digits: corpus.Corpus) -> None:
    """A night without corrections gives the base again."""
    again = FAMILY.fine_tune(
        base.weights(), lesson(digits, digits.test_images[:0], digits.test_labels[:0], np.zeros(0)), 0, no_progress
    )
    assert all(np.array_equal(array, base.weights()[name]) for name, array in again.weights().items())


def spoiled(base: Machine, name: str, change: str) -> Weights:
    """The base's arrays, one of them malformed."""
    arrays = base.weights()
    array = arrays[name]
    match change:
        case "another type":
            arrays[name] = array.astype(np.float32)
        case "too short":
            arrays[name] = array[..., :-1] if array.ndim else np.zeros(0)
    return arrays


@pytest.mark.parametrize("change", ["another type", "too short"])
@pytest.mark.parametrize("name", ["support_vectors", "counts", "coefficients", "intercepts", "gamma"])
def test_malformed_arrays_are_refused_by_name(base: Machine, name: str, change: str) -> None:
    """Every malformed array raises ValueError with its name; libsvm would read past its end."""
    with pytest.raises(ValueError, match=name):
        FAMILY.load(spoiled(base, name, change))


@pytest.mark.parametrize("counts", [[2**31 - 1] * 10, [-1] + [60] * 9, [0] * 10])
def test_counts_that_lie_are_refused(base: Machine, counts: list[int]) -> None:
    """Counts of support vectors that overflow, are negative or zero do not reach libsvm."""
    with pytest.raises(ValueError, match=r"counts|support_vectors"):
        FAMILY.load(base.weights() | {"counts": np.array(counts, np.int32)})


def test_the_recipe_is_the_tutorial_s(base: Machine) -> None:
    """The recipe and the machine have the tutorial's gamma, and no base is shipped."""
    assert FAMILY.recipe()["gamma"] == 0.001
    assert float(base.weights()["gamma"]) == 0.001
    assert FAMILY.shipped() is None
