"""What a file must do before it may be published, and what a device checks."""

import base64
import json

import numpy as np
import pytest

from loop.errors import BadModel
from loop.evaluation import digit_classifier, export_check
from loop.evaluation.verdict import ExportLimits, Outcome, Verdict
from models.coreml.proto import model_pb2
from tests.helpers import stripes

LIMITS = ExportLimits()
IMAGES = np.resize(stripes.images(), (1000, 28, 28))
LABELS = np.resize(np.arange(10, dtype=np.uint8), 1000)
DATA = stripes.image_model()


def reference(images: np.ndarray) -> np.ndarray:
    """The training framework's answers: the file's own answers plus a rounding error."""
    return digit_classifier.classifier(digit_classifier.load(DATA)).probabilities(images) + np.float32(1e-7)


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    """The outcome of each check."""
    return {reason.check: reason.outcome for reason in verdict.reasons}


def edited(data: bytes, **texts: str) -> bytes:
    """The same file with other metadata."""
    message = model_pb2().Model.FromString(data)
    for name, text in texts.items():
        setattr(message.description.metadata, name, text)
    return bytes(message.SerializeToString())


def test_a_sound_file_passes() -> None:
    """The judged network with other metadata, in agreement with its framework, passes every check."""
    verdict = export_check.run(edited(DATA, author="someone", versionString="7"), DATA, reference, IMAGES, LIMITS)
    assert verdict.outcome is Outcome.PASSED, verdict.reasons
    assert set(outcomes(verdict)) == {
        "size", "loads", "labels", "executes", "probabilities", "parity", "same network",
    }  # fmt: skip
    assert all(reason.text for reason in verdict.reasons)


@pytest.mark.parametrize("data", [b"", b"not a model", DATA[: len(DATA) // 2], DATA[:-1]])
def test_a_file_that_does_not_load_fails(data: bytes) -> None:
    """Damaged bytes fail a check with a reason; they do not raise."""
    verdict = export_check.run(data, DATA, reference, IMAGES, LIMITS)
    assert verdict.outcome is Outcome.FAILED
    assert outcomes(verdict)["loads"] is Outcome.FAILED


def test_labels_that_are_not_the_digits_fail() -> None:
    """A file with nine labels loads, but fails the check of labels."""
    nine = stripes.image_model([str(digit) for digit in range(9)])
    verdict = export_check.run(nine, nine, None, IMAGES, LIMITS)
    assert outcomes(verdict)["loads"] is Outcome.PASSED
    assert outcomes(verdict)["labels"] is Outcome.FAILED


def test_another_network_than_the_judged_fails() -> None:
    """A published file with one changed bias is not the file that the gate judged, even if its answers agree."""
    other = stripes.image_model(bias=1.0)
    verdict = export_check.run(other, DATA, reference, IMAGES, LIMITS)
    assert outcomes(verdict)["same network"] is Outcome.FAILED
    assert outcomes(verdict)["parity"] is Outcome.PASSED
    assert verdict.outcome is Outcome.FAILED


def test_the_description_of_the_input_belongs_to_the_network() -> None:
    """The input's description states the polarity, so a change of it is a change of the model."""
    assert not export_check.same_network(DATA, stripes.image_model(input_text="black on white"))
    assert export_check.same_network(DATA, edited(DATA, shortDescription="another"))


@pytest.mark.parametrize(
    ("off", "outcome"), [(0.9e-4, Outcome.PASSED), (1.1e-4, Outcome.FAILED), (np.nan, Outcome.FAILED)]
)
def test_parity_with_the_training_framework(off: float, outcome: Outcome) -> None:
    """One probability of one image off by more than 1e-4 fails; so does NaN."""

    def strayed(images: np.ndarray) -> np.ndarray:
        answers = digit_classifier.classifier(digit_classifier.load(DATA)).probabilities(images).astype(np.float64)
        answers[-1, 3] += off
        return answers

    assert outcomes(export_check.run(DATA, DATA, strayed, IMAGES, LIMITS))["parity"] is outcome


def test_a_reference_of_another_shape_fails() -> None:
    """Parity fails if the framework answers with nine columns."""
    assert (
        outcomes(export_check.run(DATA, DATA, lambda images: reference(images)[:, :9], IMAGES, LIMITS))["parity"]
        is Outcome.FAILED
    )


def test_a_comparison_that_was_not_made_does_not_pass() -> None:
    """Without a judged file, a reference or images the verdict is inconclusive."""
    assert export_check.run(DATA, None, reference, IMAGES, LIMITS).outcome is Outcome.INCONCLUSIVE
    assert export_check.run(DATA, DATA, None, IMAGES, LIMITS).outcome is Outcome.INCONCLUSIVE
    assert export_check.run(DATA, DATA, reference, IMAGES[:0], LIMITS).outcome is Outcome.INCONCLUSIVE


def test_answers_that_are_no_probabilities_fail() -> None:
    """A classifier without softmax gives numbers that do not sum to 1."""
    raw = stripes.image_model(softmax=False)
    assert outcomes(export_check.run(raw, raw, None, IMAGES, LIMITS))["probabilities"] is Outcome.FAILED


def test_nan_fails() -> None:
    """A network with NaN weights fails, even if it equals the judged one byte for byte."""
    broken = stripes.image_model(bias=float("nan"))
    verdict = export_check.run(broken, broken, None, IMAGES, LIMITS)
    assert outcomes(verdict)["same network"] is Outcome.PASSED
    assert verdict.outcome is Outcome.FAILED


def test_limits_of_size_and_time() -> None:
    """A file over its limit of bytes or milliseconds fails that check only."""
    for limits, check in ((ExportLimits(max_bytes=1000), "size"), (ExportLimits(max_milliseconds=1e-9), "executes")):
        found = outcomes(export_check.run(DATA, DATA, reference, IMAGES, limits))
        assert {name for name, outcome in found.items() if outcome is Outcome.FAILED} == {check}


@pytest.mark.parametrize("name", ["max_bytes", "max_milliseconds", "parity"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_that_nothing_keeps_are_refused(name: str, value: float) -> None:
    """A limit of zero or NaN is refused, and the message names the setting."""
    with pytest.raises(ValueError, match=name):
        ExportLimits(**{name: value})


def test_golden_vectors_hold_for_their_own_file() -> None:
    """Golden vectors have one vector per digit and the same bytes each time, and their own file agrees with them."""
    vectors = export_check.golden(DATA, IMAGES, LABELS)
    assert vectors == export_check.golden(DATA, IMAGES, LABELS)
    document = json.loads(vectors)
    assert [each["label"] for each in document["vectors"]] == list(range(10))
    first = np.frombuffer(base64.b64decode(document["vectors"][0]["pixels"]), np.uint8).reshape(28, 28)
    assert (first == stripes.images()[0]).all()
    assert export_check.check_golden(DATA, vectors) == []


def test_golden_vectors_find_another_file() -> None:
    """Another file is detected by its digest, and one with a forged digest by its answers."""
    document = json.loads(export_check.golden(DATA, IMAGES, LABELS))
    order = [1, 0, *range(2, 10)]
    other = stripes.image_model([str(label) for label in order])
    swapped = model_pb2().Model.FromString(other)
    swapped.neuralNetworkClassifier.stringClassLabels.vector[:] = [str(digit) for digit in range(10)]
    data = swapped.SerializeToString()
    assert len(export_check.check_golden(data, json.dumps(document).encode())) == 1
    document["model"] = digit_classifier.load(data).sha256
    found = export_check.check_golden(data, json.dumps(document).encode())
    assert found == ["vector 0: expected label 0, got 1", "vector 1: expected label 1, got 0"]


def test_golden_vectors_find_a_drift() -> None:
    """A probability that is off by more than the tolerance is a mismatch, even if the label is right."""
    document = json.loads(export_check.golden(DATA, IMAGES, LABELS))
    document["vectors"][4]["probabilities"][4] -= 0.02
    [found] = export_check.check_golden(DATA, json.dumps(document).encode())
    assert "vector 4" in found


@pytest.mark.parametrize("vectors", [b"", b"{}", b"[]", b"null", b'{"tolerance":"x"}'])
def test_unreadable_golden_vectors(vectors: bytes) -> None:
    """Golden vectors that cannot be read are a mismatch."""
    assert export_check.check_golden(DATA, vectors) != []


def test_no_golden_vectors_are_no_agreement() -> None:
    """A document without vectors is a mismatch."""
    document = json.loads(export_check.golden(DATA, IMAGES, LABELS)) | {"vectors": []}
    assert export_check.check_golden(DATA, json.dumps(document).encode()) != []


def test_golden_vectors_prefer_what_is_read_rightly() -> None:
    """If the file misclassifies one image of a digit and not another, the vector uses the other."""
    labels = LABELS.copy()
    labels[:5] = 9  # the first five images show 0 to 4
    document = json.loads(export_check.golden(DATA, IMAGES, labels))
    assert [each["label"] for each in document["vectors"]] == list(range(10))


def test_golden_vectors_of_no_model() -> None:
    """Golden vectors cannot be made for a file that does not run."""
    with pytest.raises(BadModel):
        export_check.golden(b"", IMAGES, LABELS)
