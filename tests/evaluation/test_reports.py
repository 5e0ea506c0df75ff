"""An earlier report brought up to date: the same as scoring everything again, at the price of what is new."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.evaluation import reports, scoring
from loop.evaluation.scoring import Report, Slice

BASE = "mnist"


def keyed(numbers: NDArray[Any], name: str = "feedback", *, keys: bool = True) -> Slice:
    """A slice of the images with these numbers: an image's number decides its pixels, label and weight."""
    n = len(numbers)
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = numbers % 256, numbers // 256
    images[:, 8:20, 8:20] = np.random.default_rng(0).integers(0, 256, (1_000, 12, 12))[numbers]
    named = np.zeros((n, scoring.KEY_BYTES), np.uint8)
    named[:, :2] = images[:, 0, :2]
    labels = (numbers % 10).astype(np.uint8)
    weights = np.where(numbers % 3 == 0, 20.0, 1.0)
    return Slice(name, images, labels, weights, numbers % 4, numbers % 3 == 0, named if keys else None)


def answers(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A model: each image's answer depends on that image only."""
    number = images[:, 0, 0].astype(np.int64) + 256 * images[:, 0, 1].astype(np.int64)
    rows = np.full((len(images), 10), 0.05)
    rows[np.arange(len(images)), (number + (number % 7 == 0)) % 10] = 0.55
    return rows


class Counting:
    """Scores slices, and counts the images."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, parts: tuple[Slice, ...]) -> Report:
        """The report on these slices."""
        self.images += sum(len(part.labels) for part in parts)
        return scoring.score(answers, "m", parts)


def same(one: Report, other: Report) -> None:
    """Every array, figure and health."""
    assert scoring.summary(one) == scoring.summary(other)
    assert one.health == other.health
    left, right = reports.to_arrays(one), reports.to_arrays(other)
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name])


SOME = st.lists(st.integers(0, 999), max_size=60, unique=True).map(lambda found: np.array(found, np.int64))


@settings(deadline=None, max_examples=60)
@given(SOME, SOME, st.integers(30, 60))
def test_only_what_is_new_is_scored(before: NDArray[np.int64], after: NDArray[np.int64], n: int) -> None:
    """Whatever comes and goes in whatever order, the result is that of scoring all; only new images are scored."""
    base = keyed(np.arange(n), BASE, keys=False)
    earlier = scoring.score(answers, "m", (base, keyed(before)))
    counted, today = Counting(), (base, keyed(after))
    same(reports.update(earlier, today, counted), scoring.score(answers, "m", today))
    assert counted.images == len(np.setdiff1d(after, before))


def test_an_old_report_without_keys_is_not_trusted_by_item() -> None:
    """A report of an earlier release has no keys: its slice is scored whole, and gets them."""
    base, numbers = keyed(np.arange(40), BASE, keys=False), np.arange(100, 150)
    earlier = scoring.score(answers, "m", (base, keyed(numbers, keys=False)))
    counted, today = Counting(), (base, keyed(np.append(numbers, 200)))
    same(reports.update(earlier, today, counted), scoring.score(answers, "m", today))
    assert counted.images == 51


def test_a_changed_label_is_another_item() -> None:
    """The key covers the label, which the margin depends on."""
    part = keyed(np.arange(30))
    assert part.keys is not None
    earlier = scoring.score(answers, "m", (part,))
    keys, labels = part.keys.copy(), part.labels.copy()
    keys[3, -1], labels[3] = 1, 9
    changed = Slice(part.name, part.images, labels, part.weights, part.sources, part.confirmed, keys)
    counted = Counting()
    same(reports.update(earlier, (changed,), counted), scoring.score(answers, "m", (changed,)))
    assert counted.images == 1


@pytest.mark.parametrize("bad", [np.nan, 0.5])
def test_an_invalid_new_answer_is_seen(bad: float) -> None:
    """One new image without a finite answer, or whose answer does not sum to 1, makes the report unhealthy."""

    def sick(parts: tuple[Slice, ...]) -> Report:
        return scoring.score(lambda images: np.full((len(images), 10), bad), "m", parts)

    earlier = scoring.score(answers, "m", (keyed(np.arange(30)),))
    assert not earlier.health.problems
    assert reports.update(earlier, (keyed(np.arange(31)),), sick).health.problems


def test_two_equal_new_images_are_no_constant_model() -> None:
    """What needs many images, that answers differ and name every digit, is asked of all of them."""
    earlier = scoring.score(answers, "m", (keyed(np.arange(30)),))
    today = keyed(np.append(np.arange(30), [700, 770]))  # both read as the same digit
    assert not reports.update(earlier, (today,), Counting()).health.problems
