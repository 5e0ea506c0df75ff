"""Confident learning names the rows that cleanlab names."""

import numpy as np

from loop.evaluation import label_noise

FIRST = (15, 34, 48, 69, 89, 91, 102, 123, 133, 140, 154, 164, 169, 176)
CLEANLAB = [*FIRST, 202, 203, 206, 228, 261, 274, 322, 323, 325, 363, 364, 369, 382, 388]
"""``find_label_issues(labels, rows, filter_by="confident_learning")`` of cleanlab 2.9.0 for ``noisy(0)``."""


def noisy(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """400 labels, 15 % of them drawn anew, and the probabilities of a reader that sees the true digit."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, 400)
    true = np.where(rng.random(400) < 0.15, rng.integers(0, 10, 400), labels)
    logits = rng.normal(0, 1, (400, 10))
    logits[np.arange(400), true] += 3
    raised = np.exp(logits)
    return labels.astype(np.uint8), raised / raised.sum(axis=1, keepdims=True)


def test_as_cleanlab() -> None:
    """The same rows as the authors' own library, on labels with noise."""
    assert np.flatnonzero(label_noise.issues(*noisy(0))).tolist() == CLEANLAB


def test_clean_labels_have_no_issues() -> None:
    """A reader that is sure of every label finds none; the control has one wrong label."""
    labels = np.tile(np.arange(10, dtype=np.uint8), 5)
    sure = np.eye(10)[labels] * 0.9 + 0.01
    assert not label_noise.issues(labels, sure).any()
    labels[7] = 1
    assert np.flatnonzero(label_noise.issues(labels, sure)).tolist() == [7]


def test_no_rows() -> None:
    """No uploads have no issues."""
    assert label_noise.issues(np.zeros(0, np.uint8), np.zeros((0, 10))).shape == (0,)
