"""A reader that never learnt from the uploads it reads: embeddings, labels, sources → probabilities out of fold.

The base misreads what its corpus lacks, and a champion has learnt from the very people it would be asked about. This
reader learns the labels of the corpus and of *other* sources, on the frozen base's embeddings, so that its answer about
a source's drawing is independent of what that source says. It is numpy alone, and deterministic.

It is a linear discriminant analysis with one covariance and two means for each digit, the corpus's and the uploads'
(Hastie and Tibshirani 1996, "Discriminant Analysis by Gaussian Mixtures"): people's 1 is not MNIST's. Its statistics
are sums, so a fold is left out by subtracting its sums. On the 2,077 digits of the four development writers, each
read after the other three had been learnt beside 4,000 images of MNIST, it errs on 3.8 % (the base on 5.4 %), on 9 %
of the ones (the base on 25 %). Where it gives 0.9 or more (94 % of them), 1.4 % of all are errors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.coreml import blas

Embeddings = NDArray[np.float32]
Labels = NDArray[np.uint8]

CLASSES = 10
WIDTH = 256
"""Embeddings are projected to this many values; half or twice as many read the development writers as well."""
UPLOAD_WEIGHT = 3.0
"""How many images of the corpus an upload counts as: people's digits are fewer, and nearer to what is read."""
SHRINKAGE = 0.1
"""The share of a multiple of the identity in the covariance (Friedman 1989), so that few rows suffice."""
TEMPERATURE = 16.0
"""The logits are divided by this, which is where the development writers' log loss is flat (0.15; undivided 0.6)."""
MIN_UPLOADS = 5.0
"""A digit has a second mean, that of the uploads, from this many on."""
FOLDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Weighted sums of rows ``(d,)``: by class the weight ``(10,)`` and the sum ``(10, d)``; the outer products."""

    weight: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.weight + other.weight, self.first + other.first, self.second + other.second)

    def __sub__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.weight - other.weight, self.first - other.first, self.second - other.second)


def out_of_fold(
    embeddings: Embeddings,
    labels: Labels,
    sources: NDArray[np.int64],
    corpus_embeddings: Embeddings,
    corpus_labels: Labels,
    learnt: NDArray[np.float64] | None = None,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return ``(n, 10) float32``: the probability of each digit, read by one that learnt the corpus and other sources.

    Uploads: ``embeddings (n, d)``, ``labels (n,)`` in 0 to 9, ``sources (n,)``, any numbers; all of a source are in one
    fold. ``learnt (n,)``, 0 to 1, is how much the reader may believe each label (1 if None): give 0 to sources that
    nobody knows, else many of them could teach it their own lie. Corpus: a sample of the base corpus's *training*
    images, ``(m, d)``, with every digit. Raises ``ValueError`` if a digit is missing, or the arrays do not fit.
    """
    _check(embeddings, labels, sources, corpus_embeddings, corpus_labels)
    weights = UPLOAD_WEIGHT * (np.ones(len(labels)) if learnt is None else learnt)
    with blas.one_thread():  # products this small only wait for each other's threads
        return _out_of_fold(embeddings, labels, sources, corpus_embeddings, corpus_labels, weights, folds, seed)


def _out_of_fold(
    embeddings: Embeddings,
    labels: Labels,
    sources: NDArray[np.int64],
    corpus_embeddings: Embeddings,
    corpus_labels: Labels,
    weights: NDArray[np.float64],
    folds: int,
    seed: int,
) -> NDArray[np.float32]:
    matrix = _projection(embeddings.shape[1], seed)
    rows, known = _projected(embeddings, matrix), _projected(corpus_embeddings, matrix)
    fold = np.unique(sources, return_inverse=True)[1] % folds
    parts = [_sums(rows[fold == k], labels[fold == k], weights[fold == k]) for k in range(folds)]
    uploads, corpus = sum(parts[1:], parts[0]), _sums(known, corpus_labels, np.ones(len(corpus_labels)))
    answers = np.zeros((len(labels), CLASSES), np.float32)
    for k, part in enumerate(parts):
        if (at := fold == k).any():
            answers[at] = _read(rows[at], corpus, uploads - part)
    return answers


def _check(
    embeddings: Embeddings,
    labels: Labels,
    sources: NDArray[np.int64],
    corpus_embeddings: Embeddings,
    corpus_labels: Labels,
) -> None:
    n = len(labels)
    if embeddings.ndim != 2 or len(embeddings) != n or sources.shape != (n,):
        raise ValueError(f"expected embeddings ({n}, d) and sources ({n},), got {embeddings.shape}, {sources.shape}")
    if corpus_embeddings.shape != (len(corpus_labels), embeddings.shape[1]):
        raise ValueError(f"expected corpus embeddings (m, {embeddings.shape[1]}), got {corpus_embeddings.shape}")
    if missing := sorted(set(range(CLASSES)) - set(np.unique(corpus_labels).tolist())):
        raise ValueError(f"expected every digit in the corpus sample, {missing} are missing; give a larger sample")


def _projection(width: int, seed: int) -> NDArray[np.float32] | None:
    """A random matrix that keeps distances (Johnson and Lindenstrauss 1984); None if the rows are short already."""
    if width <= WIDTH:
        return None
    drawn = np.random.default_rng([seed, width]).standard_normal((width, WIDTH), np.float32)
    return drawn / np.float32(np.sqrt(WIDTH))


def _projected(rows: Embeddings, matrix: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return rows.astype(np.float32, copy=False) if matrix is None else rows @ matrix


def _sums(rows: NDArray[np.float32], labels: Labels, weights: NDArray[np.float64]) -> _Sums:
    weighted = rows * weights[:, None].astype(np.float32)
    first = np.stack([weighted[labels == digit].sum(axis=0, dtype=np.float64) for digit in range(CLASSES)])
    return _Sums(
        np.bincount(labels, weights, CLASSES).astype(np.float64), first, (rows.T @ weighted).astype(np.float64)
    )


def _read(rows: NDArray[np.float32], corpus: _Sums, uploads: _Sums) -> NDArray[np.float32]:
    """Classify rows by two means for each digit and one covariance around them; all digits are equally likely."""
    weight, first = np.r_[corpus.weight, uploads.weight], np.concatenate([corpus.first, uploads.first])
    known = weight >= np.r_[np.ones(CLASSES), np.full(CLASSES, MIN_UPLOADS * UPLOAD_WEIGHT)]
    weight, first, digit = weight[known], first[known], np.tile(np.arange(CLASSES), 2)[known]
    means = first / weight[:, None]
    covariance = (corpus.second + uploads.second - means.T @ (weight[:, None] * means)) / weight.sum()
    level = max(np.trace(covariance) / len(covariance), np.finfo(np.float32).tiny)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(len(covariance))
    directions = np.linalg.solve(covariance, means.T)
    logits = (rows @ directions - 0.5 * (means.T * directions).sum(axis=0)) / TEMPERATURE
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    of_digit = np.stack([raised[:, digit == each].max(axis=1) for each in range(CLASSES)], axis=1)
    answer: NDArray[np.float32] = (of_digit / of_digit.sum(axis=1, keepdims=True)).astype(np.float32)
    return answer
