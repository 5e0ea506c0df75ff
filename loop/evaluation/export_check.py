"""Check that the exact bytes to be published load and run: bytes → verdict; and make golden vectors.

Runs beside ``gate`` at the end of a night; a device runs ``check_golden``. Rules: the file itself is executed, in
``models.coreml``, and must agree with the framework that trained it. A defect of the file is a reason in the
verdict, never an exception. A comparison that could not be made is inconclusive, never passed.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.errors import BadModel, one_line
from loop.evaluation import digit_classifier, golden_file
from loop.evaluation.digit_classifier import Answers, DigitClassifier
from loop.evaluation.golden_file import Golden
from loop.evaluation.input_adapter import Images
from loop.evaluation.verdict import ExportLimits, Outcome, Reason, Verdict
from models import coreml
from models.coreml import proto

DEVICE_TOLERANCE = 0.01  # a phone's GPU and Neural Engine compute in half precision: three decimal digits
SENSITIVE_PROBABILITY = 0.9  # wrong preprocessing moves a probability near this; it hardly moves one near 1

_SUM_TOLERANCE = 1e-3


def run(
    data: bytes,
    judged: bytes | None,
    reference: Callable[[Images], NDArray[Any]] | None,
    images: Images,
    limits: ExportLimits,
) -> Verdict:
    """May these bytes be published?

    ``judged`` are the bytes that the gate's report was made from; only metadata may differ. ``reference`` returns the
    training framework's answers to ``images`` ``(n, 28, 28) uint8``. If either is None, or ``images`` is empty, the
    check is inconclusive. Never raises because of the file.
    """
    reasons = (*_cost(data, limits), *_checks(data, reference, images, limits), _same(data, judged))
    worst = max((reason.outcome for reason in reasons), key=list(Outcome).index)
    sha256 = hashlib.sha256(data).hexdigest()
    return Verdict(worst, reasons, None, sha256, limits)


def same_network(one: bytes, other: bytes) -> bool:
    """Whether two files differ only in metadata. Raises BadModel if one is not a Core ML file."""
    return _without_metadata(one) == _without_metadata(other)


def golden(data: bytes, images: Images, labels: NDArray[np.uint8]) -> bytes:
    """Golden vectors for a file, as canonical JSON: a device tests itself with them before it switches.

    For each digit among ``labels``, one of ``images`` that the model classifies correctly with a probability of about
    90 %. The same arguments give the same bytes. ``label`` and ``probabilities`` are the file's own answers in this
    runtime; ``pixels`` are the 784 bytes in base64, white ink on black. Raises BadModel if the file cannot be run.
    """
    classifier = digit_classifier.classifier(digit_classifier.load(data))
    answers = classifier.probabilities(images)
    vectors = [
        {
            "pixels": base64.b64encode(images[i].tobytes()).decode(),
            "label": int(answers[i].argmax()),
            "probabilities": [round(float(p), 6) for p in answers[i]],
        }
        for i in _sensitive(answers, labels)
    ]
    document = {"format": 1, "model": classifier.model, "tolerance": DEVICE_TOLERANCE, "vectors": vectors}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def check_golden(data: bytes, vectors: bytes) -> list[str]:
    """Run a file on its golden vectors. Returns one sentence per difference; empty if all agree."""
    try:
        golden = golden_file.parse(vectors)
    except ValueError as error:
        return [f"the golden vectors cannot be read ({one_line(error)}); fetch them again"]
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != golden.model:
        return [f"the golden vectors belong to model {golden.model:.12}…, got {sha256:.12}…; fetch both again"]
    try:
        answers = digit_classifier.classifier(digit_classifier.load(data)).probabilities(golden.images)
    except BadModel as error:
        return [str(error)]
    return list(_mismatches(answers, golden))


def _mismatches(answers: Answers, golden: Golden) -> Iterator[str]:
    for i, label in enumerate(golden.labels):
        answer, off = int(answers[i].argmax()), float(np.abs(answers[i] - golden.probabilities[i]).max())
        if answer != label:
            yield f"vector {i}: expected label {label}, got {answer}"
        elif not off <= golden.tolerance:  # so that NaN is a mismatch
            yield f"vector {i}: a probability is off by {off:.2g}, allowed {golden.tolerance:g}"


def _sensitive(answers: Answers, labels: NDArray[np.uint8]) -> list[int]:
    """One image of each digit, classified correctly if any is, with a probability near ``SENSITIVE_PROBABILITY``."""
    finite: NDArray[np.bool_] = np.all(np.isfinite(answers), axis=1)
    wrong = answers.argmax(axis=1) != labels
    distance = np.where(finite, np.abs(answers.max(axis=1, initial=0.0) - SENSITIVE_PROBABILITY), np.inf)
    order = np.lexsort((distance, wrong))
    chosen = [order[(labels[order] == digit) & finite[order]][:1] for digit in range(10)]
    return [int(i) for at in chosen for i in at]


def _cost(data: bytes, limits: ExportLimits) -> Iterator[Reason]:
    text = f"{len(data):,} bytes, at most {limits.max_bytes:,}"
    yield Reason("size", _passed(len(data) <= limits.max_bytes), text, {"bytes": len(data), "limit": limits.max_bytes})


def _checks(
    data: bytes, reference: Callable[[Images], NDArray[Any]] | None, images: Images, limits: ExportLimits
) -> Iterator[Reason]:
    """Load, find the ten labels, execute. Each step needs the one before it."""
    try:
        model = digit_classifier.load(data)
    except BadModel as error:
        yield Reason("loads", Outcome.FAILED, str(error))
        return
    numbers = {"specification": model.spec_version, "kind": model.kind}
    yield Reason("loads", Outcome.PASSED, f"specification {model.spec_version}, {model.kind}", numbers)
    try:
        classifier = digit_classifier.classifier(model)
    except BadModel as error:
        yield Reason("labels", Outcome.FAILED, str(error))
        return
    yield Reason("labels", Outcome.PASSED, "the ten digits", {"assumptions": list(classifier.assumptions)})
    if not len(images):
        yield Reason("executes", Outcome.INCONCLUSIVE, "no images to execute it on", {"n": 0})
        return
    try:
        answers, milliseconds = _timed(classifier, images)
        if milliseconds > limits.max_milliseconds:  # the machine may be busy: the better of two runs counts
            milliseconds = min(milliseconds, _timed(classifier, images)[1])
    except BadModel as error:
        yield Reason("executes", Outcome.FAILED, str(error))
        return
    yield _executes(milliseconds, len(images), limits)
    yield _probabilities(answers)
    yield _parity(classifier, answers, None if reference is None else np.asarray(reference(images)), limits)


def _timed(classifier: DigitClassifier, images: Images) -> tuple[Answers, float]:
    """The answers, and milliseconds per image."""
    start = time.perf_counter()
    answers = classifier.probabilities(images)
    return answers, (time.perf_counter() - start) * 1000 / len(images)


def _executes(milliseconds: float, n: int, limits: ExportLimits) -> Reason:
    text = f"{milliseconds:.2f} ms per image over {n:,} images, at most {limits.max_milliseconds:g}"
    numbers = {"n": n, "milliseconds_per_image": milliseconds, "limit": limits.max_milliseconds}
    return Reason("executes", _passed(milliseconds <= limits.max_milliseconds), text, numbers)


def _probabilities(answers: Answers) -> Reason:
    if not np.isfinite(answers).all():
        bad = int((~np.isfinite(answers).all(axis=1)).sum())
        return Reason("probabilities", Outcome.FAILED, f"NaN or infinity for {bad:,} of {len(answers):,} images")
    off = float(np.abs(answers.sum(axis=1, dtype=np.float64) - 1).max())
    inside = bool((answers >= 0).all())
    text = f"sums within {off:.1e} of 1, allowed {_SUM_TOLERANCE:g}" + ("" if inside else "; some are negative")
    return Reason("probabilities", _passed(inside and off <= _SUM_TOLERANCE), text, {"off": off})


def _parity(
    classifier: DigitClassifier, answers: Answers, expected: NDArray[Any] | None, limits: ExportLimits
) -> Reason:
    n = len(answers)
    if expected is None:
        return Reason("parity", Outcome.INCONCLUSIVE, "no answers of the training framework to compare with")
    if expected.shape != answers.shape:
        text = f"expected answers of shape {answers.shape} from the training framework, got {expected.shape}"
        return Reason("parity", Outcome.FAILED, text)
    others = int((answers.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if classifier.label_only:
        text = f"labels differ from the training framework's on {others} of {n:,} images"
        return Reason("parity", _passed(others == 0), text, {"n": n, "labels_differ": others})
    off = float(np.abs(answers.astype(np.float64) - expected).max())
    text = f"differs from the training framework by at most {off:.1e} on {n:,} images, allowed {limits.parity:g}"
    outcome = _passed(off <= limits.parity)  # NaN fails
    return Reason("parity", outcome, text, {"n": n, "off": off, "limit": limits.parity, "labels_differ": others})


def _same(data: bytes, judged: bytes | None) -> Reason:
    if judged is None:
        return Reason("same network", Outcome.INCONCLUSIVE, "no judged file to compare with")
    try:
        same = same_network(data, judged)
    except BadModel as error:
        return Reason("same network", Outcome.FAILED, str(error))
    text = "only metadata differs from the judged file" if same else "this is not the network that was judged"
    return Reason("same network", _passed(same), text, {"judged": hashlib.sha256(judged).hexdigest()})


def _without_metadata(data: bytes) -> bytes:
    """The file without its metadata. Compared as bytes, not as messages, because NaN weights differ from themselves."""
    try:
        message = proto.parse(data, "model.mlmodel", coreml.Limits())
    except coreml.ModelError as error:
        raise BadModel(f"{error}; give a Core ML digit classifier") from error
    message.description.metadata.Clear()
    return bytes(message.SerializeToString(deterministic=True))


def _passed(is_so: bool) -> Outcome:
    return Outcome.PASSED if is_so else Outcome.FAILED
