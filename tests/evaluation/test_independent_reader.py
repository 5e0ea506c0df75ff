"""The reader never learns from the uploads it reads, and reads what it learnt from others."""

import numpy as np
import pytest

from loop.evaluation import independent_reader
from loop.evaluation.independent_reader import Embeddings, Labels

Rows = tuple[Embeddings, Labels]


def drawn(seed: int, each: int, width: int = 12, flag: float = 0.0) -> Rows:
    """``each`` rows of every digit around ten fixed centres; a ``flag`` brings the 1 nearer to the 7."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 3, (10, width))
    labels = np.tile(np.arange(10, dtype=np.uint8), each)
    centres[1] += flag * (centres[7] - centres[1])
    rows = centres[labels] + rng.normal(0, 1, (len(labels), width))
    return rows.astype(np.float32), labels


def read(uploads: Rows, sources: list[int] | np.ndarray, learnt: np.ndarray | None = None) -> np.ndarray:
    """The reader's probabilities beside a fixed corpus."""
    return independent_reader.out_of_fold(*uploads, np.asarray(sources, np.int64), *drawn(1, 60), learnt)


def test_a_source_cannot_teach_what_it_is_read_by() -> None:
    """A single source that calls every digit another one is read as the corpus reads it; its labels change nothing."""
    rows, labels = drawn(2, 30)
    sources = np.zeros(len(labels), np.int64)
    honest, lying = read((rows, labels), sources), read((rows, (labels + 1) % 10), sources)
    np.testing.assert_array_equal(honest, lying)
    assert (honest.argmax(axis=1) == labels).mean() > 0.95


def test_it_learns_from_other_sources() -> None:
    """Handwriting that the corpus lacks is read better once other sources have sent it; the control believes nobody."""
    rows, labels = drawn(3, 60, flag=0.6)
    sources = np.arange(len(labels)) // 10 % 20
    believed = read((rows, labels), sources)
    control = read((rows, labels), sources, np.zeros(len(labels)))
    ones = labels == 1
    assert (control[ones].argmax(axis=1) == 1).mean() < 0.2
    assert (believed[ones].argmax(axis=1) == 1).mean() > 0.8


def test_sources_that_are_not_believed_teach_nothing() -> None:
    """Many sources with one lie change no answer if their weight is 0, and would if they were believed."""
    rows, labels = drawn(4, 100)
    lies = np.where(labels == 1, 7, labels).astype(np.uint8)
    sources, nobody = np.arange(len(labels)), np.zeros(len(labels))
    np.testing.assert_array_equal(read((rows, lies), sources, nobody), read((rows, labels), sources, nobody))
    assert not np.array_equal(read((rows, lies), sources), read((rows, labels), sources))


def test_wide_embeddings_are_projected_and_answers_repeat() -> None:
    """Rows wider than the projection are read as well, and two calls agree bit for bit."""
    corpus, uploads = drawn(5, 60, width=600), drawn(6, 20, width=600)
    sources = np.arange(len(uploads[1])) % 7
    first, second = (independent_reader.out_of_fold(*uploads, sources, *corpus) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first.argmax(axis=1) == uploads[1]).mean() > 0.95
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-5)


def test_no_uploads() -> None:
    """Nothing to read is no error."""
    assert read((np.zeros((0, 12), np.float32), np.zeros(0, np.uint8)), []).shape == (0, 10)


def test_a_corpus_without_a_digit_is_refused() -> None:
    """A sample of the corpus that lacks a digit cannot teach it; the error names the digit."""
    rows, labels = drawn(7, 20)
    with pytest.raises(ValueError, match=r"\[3\] are missing"):
        independent_reader.out_of_fold(rows, labels, labels.astype(np.int64), rows[labels != 3], labels[labels != 3])
