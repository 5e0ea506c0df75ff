"""Gold questions: digits with a known answer, mixed in to measure reviewers. They come from the base corpus.

Only training images whose label the champion reads too: a wrong label of the corpus must not count against a reviewer.
"""

from datetime import datetime
from typing import Any

import numpy as np

import models
from loop import home as homes
from loop.data.corpus import Corpus
from loop.evaluation.digit_classifier import DigitClassifier
from loop.home import Home
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus
from loop.store.nights import versions

LEFT = 50
"""Gold questions that the most diligent reviewer has left to answer, at least."""
MADE = 200
"""Made at once."""
ORDER = 12
"""The seed of the order in which training images become gold questions; none does twice."""


def top_up(home: Home, family: str, now: datetime) -> int:
    """Make gold questions if somebody has nearly answered all; the number of new ones.

    Raises ``CorpusUnavailable``, ``ArtifactCorrupt``, ``BadModel``, ``StoreUnavailable``.
    """
    if not home.settings.review.gold_every:
        return 0
    with home.store.read() as tx:
        there, answered = questions.gold_counts(tx)
        champion = versions.champion(tx, family)
    if there - answered >= LEFT or champion is None:
        return 0
    corpus = homes.corpus_here(home.settings, models.get(family).corpus)
    order = np.random.default_rng(ORDER).permutation(len(corpus.train_labels))
    with home.store.read() as tx:
        used = questions.gold_pixels(tx)
    rows = [row for row in order.tolist() if corpus.train_images[row].tobytes() not in used]
    kept = _read_right(home.models.get(champion.artifact_digest), corpus, rows)
    made = [
        _row(corpus.train_images[row].tobytes(), int(corpus.train_labels[row]), row, corpus.digest, now) for row in kept
    ]
    with home.store.exclusive() as tx:
        if questions.gold_counts(tx)[0] != there:
            return 0  # another process was faster
        questions.add(tx, made)
    return len(made)


def _read_right(champion: DigitClassifier, corpus: Corpus, rows: list[int]) -> list[int]:
    """The first rows that the champion reads as they are labelled."""
    kept: list[int] = []
    for begin in range(0, len(rows), MADE):
        part = rows[begin : begin + MADE]
        read = champion.probabilities(corpus.train_images[part]).argmax(axis=1)
        kept += [row for row, digit in zip(part, read.tolist(), strict=True) if digit == corpus.train_labels[row]]
        if len(kept) >= MADE:
            break
    return kept[:MADE]


def _row(pixels: bytes, known: int, row: int, digest: str, now: datetime) -> dict[str, Any]:
    return {
        "correction_id": None,
        "pixels": pixels,
        "known": known,
        "arm": Arm.GOLD,
        "strategy": "gold",
        "score": 0.0,
        "chance": None,
        "reason": f"gold: training image {row} of the base corpus, which the champion reads as labelled",
        "seed": ORDER,
        "pool_digest": digest,
        "version": None,
        "quorum": 1,
        "status": QuestionStatus.OPEN,
        "asked_at": now,
    }
