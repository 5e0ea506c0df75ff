"""A report estimates a model's accuracy for users, and handles any model."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.evaluation import reports, scoring
from loop.evaluation.scoring import Report, Slice

Answer = Callable[[NDArray[np.uint8]], NDArray[Any]]


def blank(labels: NDArray[Any], weights: NDArray[Any] | None = None, name: str = "mnist", **more: Any) -> Slice:
    """A slice whose first pixel is the digit, so that a test's model can read it."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0] = labels
    flat = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    return Slice(name, images, labels.astype(np.uint8), flat, **more)


def answering(predictions: NDArray[Any], confidence: float = 0.91) -> Answer:
    """A model that gives ``confidence`` to the given digits and splits the rest among the others."""

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows = np.full((len(images), 10), (1 - confidence) / 9)
        rows[np.arange(len(images)), predictions] = confidence
        return rows

    return probabilities


def digits(n: int) -> NDArray[np.uint8]:
    """0 to 9 in turn."""
    return (np.arange(n) % 10).astype(np.uint8)


def test_an_empty_slice_leaves_every_accuracy_possible() -> None:
    """An empty slice has no accuracy and an interval from 0 to 1."""
    score = scoring.score(answering(digits(0)), "m", [blank(digits(0))]).scores[0]
    assert (score.n, score.errors, score.interval) == (0, 0, (0.0, 1.0))
    assert np.isnan(score.accuracy)


def test_a_score_counts_what_the_model_did() -> None:
    """Accuracy, errors, classes and confusion match a model with known answers."""
    labels = digits(20)
    predictions = labels.copy()
    predictions[7], predictions[17] = 1, 1
    score = scoring.score(answering(predictions), "m", [blank(labels)]).scores[0]
    assert (score.n, score.errors, score.accuracy) == (20, 2, 0.9)
    assert score.per_class[7] == (2, 0.0)
    assert score.per_class[1] == (2, 1.0)
    assert score.confusion[7, 1] == 2
    assert np.trace(score.confusion) == 18
    assert set(score.worst(2)) == {7, 17}
    assert score.margins[7] == pytest.approx(-0.9, abs=1e-6)
    assert score.confidences[7] == pytest.approx(0.91, abs=1e-6)


def test_a_confirmation_counts_with_its_weight() -> None:
    """Three wrong corrections and one right confirmation of weight 7 give 70 %."""
    labels, weights = np.array([1, 2, 3, 4]), np.array([1, 1, 1, 7])
    score = scoring.score(answering(np.array([9, 9, 9, 4])), "m", [blank(labels, weights)]).scores[0]
    assert score.accuracy == pytest.approx(0.7)
    assert score.weighted_confusion[4, 4] == 7
    assert score.confirmations == 1


def test_a_confirmation_may_weigh_one() -> None:
    """At confirmation rate 1 only the flag distinguishes confirmations from corrections."""
    flagged = blank(digits(4), confirmed=np.array([True, False, True, True]))
    assert scoring.score(answering(digits(4)), "m", [flagged]).scores[0].confirmations == 3
    assert scoring.score(answering(digits(4)), "m", [blank(digits(4))]).scores[0].confirmations == 0


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda images: np.full((len(images), 10), np.nan), "NaN"),
        (lambda images: np.full((len(images), 10), np.inf), "NaN or infinity"),
        (lambda images: np.zeros((len(images), 9)), "got (40, 9)"),
        (lambda _: np.zeros(10), "got (10,)"),
        (lambda _: np.zeros(()), "got ()"),
        (lambda images: np.full((len(images), 10), "7"), "NaN"),
        (lambda images: np.full((len(images), 10), 0.1), "same answer"),
        (lambda images: np.eye(10)[images[:, 0, 0]] * 2, "sum to 1"),
        (lambda images: np.eye(10)[images[:, 0, 0]] * 3 - 0.2, "sum to 1"),
        (lambda images: np.eye(10)[np.minimum(images[:, 0, 0], 8)], ""),
    ],
)
def test_a_sick_model_is_described_not_raised(model: Answer, problem: str) -> None:
    """Any array from a model gives a report, and its health names the problem."""
    report = scoring.score(model, "m", [blank(digits(40))])
    assert report.scores[0].n == 40
    assert problem in "; ".join(report.health.problems)
    json.dumps(scoring.summary(report), allow_nan=False)


def test_a_digit_never_answered_is_a_problem_once_it_was_shown_often() -> None:
    """A digit never answered is a problem if it has ten images, not if it has four."""
    few, many = digits(40), digits(100)
    assert scoring.score(answering(np.minimum(few, 8)), "m", [blank(few)]).health.problems == ()
    health = scoring.score(answering(np.minimum(many, 8)), "m", [blank(many)]).health
    assert health.unpredicted == (9,)
    assert health.problems == ("never answers 9",)
    assert health.predicted_classes == 9


def test_one_row_of_nan_is_one_error() -> None:
    """A row of NaN counts as one missing answer and one error; the other answers count as usual."""
    rows = np.eye(10)[digits(30)]
    rows[4] = np.nan
    score = scoring.score(lambda _: rows, "m", [blank(digits(30))]).scores[0]
    assert score.predictions[4] == scoring.NO_ANSWER
    assert score.errors == 1
    assert score.worst(1).tolist() == [4]
    assert score.confusion.sum() == 29


def test_what_a_model_raises_is_not_swallowed() -> None:
    """An exception of the model reaches the caller."""

    def refuses(images: NDArray[np.uint8]) -> NDArray[Any]:
        raise RuntimeError(f"layer 3 is unknown, {len(images)} images")

    with pytest.raises(RuntimeError, match="layer 3"):
        scoring.score(refuses, "m", [blank(digits(10))])


def _random(seed: int, n: int, **more: Any) -> tuple[Report, Slice]:
    rng = np.random.default_rng(seed)
    part = blank(rng.integers(0, 10, n), rng.choice([1.0, 10.0], n), "feedback", **more)
    rows = rng.dirichlet(np.full(10, 0.3), n)
    return scoring.score(lambda _: rows, f"{seed:064d}", [part]), part


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 80), st.booleans())
def test_a_report_survives_its_arrays(seed: int, n: int, known: bool) -> None:
    """A report stored as ``.npz`` without pickle and loaded again has the same arrays and figures."""
    more = {"sources": np.arange(n) % 3, "confirmed": np.arange(n) % 2 == 0} if known else {}
    report, _ = _random(seed, n, **more)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **reports.to_arrays(report))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        back = reports.from_arrays(arrays)
    assert scoring.summary(back) == scoring.summary(report)
    assert back.health == report.health
    for name in ("predictions", "weights", "margins", "confidences"):
        before, after = getattr(report.scores[0], name), getattr(back.scores[0], name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 80))
def test_the_order_of_images_does_not_matter(seed: int, n: int) -> None:
    """Accuracy, interval and confusion are the same for any order of the same images."""
    report, part = _random(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    rows = np.random.default_rng(seed)
    rows.integers(0, 10, n), rows.choice([1.0, 10.0], n)
    shuffled = Slice(part.name, part.images[order], part.labels[order], part.weights[order])
    answers = rows.dirichlet(np.full(10, 0.3), n)[order]
    before, after = report.scores[0], scoring.score(lambda _: answers, "m", [shuffled]).scores[0]
    assert after.accuracy == pytest.approx(before.accuracy)
    assert after.interval == pytest.approx(before.interval)
    np.testing.assert_array_equal(after.confusion, before.confusion)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 80))
def test_a_negative_margin_means_wrong(seed: int, n: int) -> None:
    """The margin's sign, the predictions and the confusion matrix agree on which answers are right."""
    score = _random(seed, n)[0].scores[0]
    np.testing.assert_array_equal(score.right, score.margins > 0)
    assert score.errors == n - np.trace(score.confusion)
    assert (np.diff(score.margins[score.worst(n)]) >= 0).all()


def test_the_digest_covers_every_part_of_a_slice() -> None:
    """One changed pixel, label or weight changes the digest; the name does not."""
    part = blank(digits(10))
    pixel, label, weight = part.images.copy(), part.labels.copy(), part.weights.copy()
    pixel[9, 27, 27], label[9], weight[9] = 1, 0, 2.0
    changed = [
        Slice("mnist", pixel, part.labels, part.weights),
        Slice("mnist", part.images, label, part.weights),
        Slice("mnist", part.images, part.labels, weight),
    ]
    assert len({scoring.digest(each) for each in [part, *changed]}) == 4
    assert scoring.digest(Slice("other", part.images, part.labels, part.weights)) == scoring.digest(part)


@pytest.mark.parametrize(
    "broken",
    [
        {"images": np.zeros((3, 28, 28), np.uint8)},
        {"images": np.zeros((2, 28, 28), np.float64)},
        {"labels": np.array([1, 10], np.uint8)},
        {"weights": np.array([1.0, 0.0])},
        {"weights": np.array([1.0, np.nan])},
        {"weights": np.ones(3)},
        {"sources": np.zeros(3, np.int64)},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(broken: dict[str, Any]) -> None:
    """A slice refuses arrays that do not match, labels outside 0 to 9, and weights that are not positive and finite."""
    good = {"images": np.zeros((2, 28, 28), np.uint8), "labels": np.zeros(2, np.uint8), "weights": np.ones(2)}
    with pytest.raises(ValueError, match="slice mnist"):
        Slice("mnist", **(good | broken))
