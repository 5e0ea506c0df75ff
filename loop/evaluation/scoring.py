"""Score any model on named slices of the holdout: model, slices → Report.

Sits between the published bytes (run by ``models.coreml``) and the ``gate``. Rules: frozen values in and out, no
database, no TensorFlow. Invalid answers of a model are described in the report's health and raise no exception.
Slices are weighted by inverse sampling rate, so that accuracy estimates accuracy for users. A report keeps every
image's outcome, so two reports on the same slice can be paired later.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals, users
from loop.evaluation.verdict import USERS

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]

NO_ANSWER = 255
"""The value in ``Score.predictions`` for an image without a finite answer; it counts as an error."""

KEY_BYTES = 16
"""The length of an item's key: nobody finds two images with one key."""

_SUM_TOLERANCE = 1e-3  # ten float16 outputs of a softmax sum to 1 within this
_CONSTANT_TOLERANCE = 1e-6
_MIN_IMAGES_OF_A_DIGIT = 10  # a digit with this many images that is never predicted is missing from the label set


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A named part of the holdout.

    ``images`` ``(n, 28, 28) uint8``, ``labels`` ``(n,) uint8`` in 0 to 9, ``weights`` ``(n,) float64``, positive:
    inverse sampling rates (1 for a base corpus and for corrections, 1/rate for confirmations). ``sources``
    ``(n,) int64`` numbers the hands. ``confirmed`` ``(n,) bool`` marks the confirmations; if it is None, items
    with a weight above 1 count as confirmations. ``keys`` ``(n, 16) uint8`` names each image with its label, so that
    ``reports.update`` finds its earlier answer in another slice.
    """

    name: str
    images: Images
    labels: Labels
    weights: NDArray[np.float64]
    sources: NDArray[np.int64] | None = None
    confirmed: NDArray[np.bool_] | None = None
    keys: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        """Raise ``ValueError``, a bug in our own code, if the arrays do not belong together."""
        n = len(self.labels)
        if self.images.shape != (n, 28, 28) or self.images.dtype != np.uint8:
            raise ValueError(f"slice {self.name}: images must be ({n}, 28, 28) uint8, got {self.images.shape}")
        per_item = (self.labels, self.weights, self.sources, self.confirmed)
        if any(array is not None and array.shape != (n,) for array in per_item):
            raise ValueError(f"slice {self.name}: labels, weights, sources and confirmed must all be ({n},)")
        if self.keys is not None and self.keys.shape != (n, KEY_BYTES):
            raise ValueError(f"slice {self.name}: keys must be ({n}, {KEY_BYTES}), got {self.keys.shape}")
        if n and (self.labels.max() > 9 or not (np.isfinite(self.weights) & (self.weights > 0)).all()):
            raise ValueError(f"slice {self.name}: labels must be 0 to 9 and weights finite and positive")


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One model on one slice, image by image in the slice's order. Every property is computed from these arrays.

    ``predictions`` ``(n,) uint8``: 0 to 9, or ``NO_ANSWER``. ``confidences`` ``(n,) float32``: the probability of the
    prediction. ``margins`` ``(n,) float32``: the probability of the true digit minus that of the best other one, so a
    negative margin is an error (-2 without an answer). ``digest`` is the slice's digest; ``sources``, ``confirmed`` and
    ``keys`` are the slice's.
    """

    name: str
    digest: str
    labels: Labels
    predictions: Labels
    weights: NDArray[np.float64]
    confidences: NDArray[np.float32]
    margins: NDArray[np.float32]
    sources: NDArray[np.int64] | None = None
    confirmed: NDArray[np.bool_] | None = None
    keys: NDArray[np.uint8] | None = None

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.labels)

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(n,) bool``: whether the prediction is the true digit."""
        right: NDArray[np.bool_] = self.predictions == self.labels
        return right

    @property
    def errors(self) -> int:
        """The number of wrong predictions, unweighted."""
        return self.n - int(np.count_nonzero(self.right))

    @property
    def confirmations(self) -> int:
        """The number of items that users confirmed."""
        return int(np.count_nonzero(self.weights > 1 if self.confirmed is None else self.confirmed))

    @property
    def hands(self) -> int | None:
        """The number of distinct sources; None if the slice has no sources."""
        return None if self.sources is None else len(np.unique(self.sources))

    @property
    def accuracy(self) -> float:
        """The weighted share of right answers in 0 to 1 (Hájek); NaN for an empty slice."""
        return _share(self.right, self.weights)

    @property
    def interval(self) -> intervals.Interval:
        """95 % interval of ``accuracy``; see ``interval_at``."""
        return self.interval_at(0.95)

    @property
    def per_class(self) -> tuple[tuple[int, float], ...]:
        """For each digit, the number of its images and the weighted share of right answers (NaN without images)."""
        of_digit = [self.labels == digit for digit in range(10)]
        return tuple((int(at.sum()), _share(self.right[at], self.weights[at])) for at in of_digit)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """``(10, 10)`` counts: rows are true digits, columns are predictions; images without an answer are left out."""
        return self._tally(None).astype(np.int64)

    @property
    def weighted_confusion(self) -> NDArray[np.float64]:
        """``confusion`` with weights: an estimate for all images that people drew."""
        return self._tally(self.weights)

    def interval_at(self, confidence: float) -> intervals.Interval:
        """Two-sided interval of ``accuracy``: Wilson's, with the effective size if weights differ.

        That of ``users`` counts hands (``evaluation/users``).
        """
        if self.name == USERS and self.sources is not None:
            return users.interval(self.right, self.weights, self.sources, confidence)
        if self.n == 0:
            return 0.0, 1.0
        return intervals.wilson(self.accuracy, intervals.effective_n(self.right, self.weights), confidence)

    def worst(self, count: int) -> NDArray[np.intp]:
        """Indices of up to ``count`` images with the lowest margins, lowest first."""
        return np.argsort(self.margins, kind="stable")[:count]

    def _tally(self, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        answered = self.predictions != NO_ANSWER
        cells = self.labels[answered].astype(np.intp) * 10 + self.predictions[answered]
        picked = None if weights is None else weights[answered]
        return np.bincount(cells, picked, minlength=100).reshape(10, 10).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a model's answers are valid, over all slices of a report."""

    shaped: bool
    shape: tuple[int, ...]
    """The shape of the first answer that was not ``(n, 10)``, else of the first answer."""
    finite: bool
    normalised: bool
    """All values are within 0 to 1, and each row sums to 1 within 0.001."""
    varied: bool
    """The answers differ between images; True if answers are not finite."""
    predicted_classes: int
    unpredicted: tuple[int, ...]
    """Digits with at least ten images that were never predicted."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; empty for a healthy model."""
        if not self.shaped:
            return (f"expected answers of shape (n, 10), got {self.shape}",)
        checks = (
            (not self.finite, "answers contain NaN or infinity"),
            (self.finite and not self.normalised, "probabilities do not sum to 1"),
            (not self.varied, "gives the same answer for every image"),
            (self.finite and bool(self.unpredicted), f"never answers {', '.join(map(str, self.unpredicted))}"),
        )
        return tuple(text for is_so, text in checks if is_so)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A model (sha256 of its artifact) on every slice; the first slice is the base slice."""

    model: str
    scores: tuple[Score, ...]
    health: Health

    def on(self, name: str) -> Score | None:
        """The score on the slice of that name, or None."""
        return next((score for score in self.scores if score.name == name), None)


def score(probabilities_of: Callable[[Images], NDArray[Any]], model_sha256: str, slices: Sequence[Slice]) -> Report:
    """Score the model on every slice, the base slice first.

    ``probabilities_of`` takes ``(n, 28, 28) uint8`` and should return ``(n, 10)``. An array of any other shape is
    recorded in the health. Exceptions are not caught. It is not called for an empty slice.
    """
    raw = [np.asarray(probabilities_of(part.images)) if len(part.labels) else np.zeros((0, 10)) for part in slices]
    answers = [_usable(answer, len(part.labels)) for answer, part in zip(raw, slices, strict=True)]
    scores = tuple(_score(part, answer) for part, answer in zip(slices, answers, strict=True))
    return Report(model_sha256, scores, _health(raw, answers, scores))


def digest(part: Slice) -> str:
    """SHA-256 over images, labels and weights. Only reports on the same digest may be paired."""
    sha = hashlib.sha256(f"{len(part.labels)}".encode())
    for array, kind in ((part.images, "u1"), (part.labels, "u1"), (part.weights, "<f8")):
        sha.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return sha.hexdigest()


def coverage(scores: Sequence[Score]) -> tuple[int, tuple[int, ...]]:
    """How many digits a model predicts, and which of those with at least ten images it never predicts."""
    labels = np.concatenate([part.labels for part in scores] or [np.zeros(0, np.uint8)])
    predictions = np.concatenate([part.predictions for part in scores] or [np.zeros(0, np.uint8)])
    labelled = np.bincount(labels, minlength=10)
    answered = np.bincount(predictions[predictions != NO_ANSWER], minlength=10)
    never = np.flatnonzero((labelled >= _MIN_IMAGES_OF_A_DIGIT) & (answered == 0))
    return int(np.count_nonzero(answered)), tuple(never.tolist())


def summary(report: Report) -> dict[str, Any]:
    """The report without its per-image arrays, as plain JSON values; NaN becomes ``None``."""
    return {
        "model": report.model,
        "health": asdict(report.health) | {"problems": list(report.health.problems)},
        "slices": [_summary(each) for each in report.scores],
    }


def _usable(answer: NDArray[Any], n: int) -> NDArray[np.float64]:
    """The answer as ``(n, 10) float64``; all NaN if it has another shape or is not numeric."""
    if answer.shape != (n, 10) or answer.dtype.kind not in "fiu":
        return np.full((n, 10), np.nan)
    return answer.astype(np.float64)


def _score(part: Slice, answer: NDArray[np.float64]) -> Score:
    n, rows = len(part.labels), np.arange(len(part.labels))
    answered: NDArray[np.bool_] = np.all(np.isfinite(answer), axis=1)
    safe = np.where(answered[:, None], answer, 0.0)
    best = safe.argmax(axis=1) if n else np.zeros(0, np.intp)
    others = safe.copy()
    others[rows, part.labels] = -np.inf
    margins = safe[rows, part.labels] - others.max(axis=1, initial=-np.inf)
    return Score(
        name=part.name,
        digest=digest(part),
        labels=part.labels,
        predictions=np.where(answered, best, NO_ANSWER).astype(np.uint8),
        weights=part.weights,
        confidences=safe[rows, best].astype(np.float32),
        margins=np.where(answered, margins, -2.0).astype(np.float32),
        sources=part.sources,
        confirmed=part.confirmed,
        keys=part.keys,
    )


def _health(raw: Sequence[NDArray[Any]], answers: Sequence[NDArray[np.float64]], scores: tuple[Score, ...]) -> Health:
    misshapen = [one.shape for one, part in zip(raw, scores, strict=True) if one.shape != (part.n, 10)]
    shapes = misshapen or [one.shape for one in raw]
    rows = np.concatenate([*answers, np.zeros((0, 10))])
    finite = bool(np.isfinite(rows).all())
    sums_to_one = np.abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE
    classes, unpredicted = coverage(scores)
    return Health(
        shaped=not misshapen,
        shape=tuple(shapes[0]) if shapes else (0, 10),
        finite=finite,
        normalised=finite and bool(sums_to_one.all() and (rows >= -_SUM_TOLERANCE).all()),
        varied=len(rows) < 2 or not finite or bool((np.ptp(rows, axis=0) > _CONSTANT_TOLERANCE).any()),
        predicted_classes=classes,
        unpredicted=unpredicted,
    )


def _summary(each: Score) -> dict[str, Any]:
    return {
        "name": each.name,
        "digest": each.digest,
        "n": each.n,
        "errors": each.errors,
        "accuracy": _plain(each.accuracy),
        "interval": list(each.interval),
        "per_class": [
            {"digit": digit, "n": n, "accuracy": _plain(accuracy)} for digit, (n, accuracy) in enumerate(each.per_class)
        ],
        "confusion": each.confusion.tolist(),
        "confirmations": each.confirmations,
        "hands": each.hands,
    }


def _share(right: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    # A single division, so that "all right" is exactly 1.
    return float(weights[right].sum() / weights.sum()) if len(weights) else math.nan


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
