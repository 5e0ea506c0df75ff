"""Labels that every reader contradicts, and which of them are lies: readings, labels, sources → rows.

A correction *is* a label that a reader contradicts, so one contradiction proves nothing: of the development writers'
corrections, 22 % are contradicted by base and independent reader alike (a 1 with a long flag is a 7 to both). What
tells lies apart is how they gather. Three tests, each against what honest people do, with the binomial tail:

- by source: one that is contradicted in most uploads, and not only for one or two shapes that are its habit;
- by pair: many drawings of one label read as one other digit that are *typical* of that digit. An honest writer's
  unusual 1 is no typical 7; a flipped 7 is one;
- by label: one label on drawings that are read as many different digits, as a back door has it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MODEL_SURE, READER_SURE = 0.8, 0.9
"""Least probability of the other digit. The networks learn smoothed labels: on MNIST their median is 0.96, and 0.99 is
never reached. At 0.8 the base errs on 1.4 % of the development writers' digits."""
ALPHA = 1e-3
"""Chance of the tests by pair and by label to find a lie in honest uploads that are as bad as their bounds."""
SOURCE_SHARE, SOURCE_ALPHA = 0.25, 0.005
"""Bound on an honest source's contradicted share, and the test's chance. The development writers' is 8 to 21 % of their
corrections and one in twenty of the other digits."""
TYPICAL = ((0.4, 0.12), (0.7, 0.35))
"""Most atypical value of a typical drawing, and bound on the share of those among honest contradictions, strict and
lenient. Of the development writers' 42 by base and corpus, 1 is as typical as 0.4 and 7 as 0.7; of flipped MNIST digits
two and seven in ten."""
PAIR_MIN = 6
WITNESS_SHARE, WITNESS_UPLOADS, WITNESS_SOURCES = 0.4, 5, 3
"""Largest median share of a source's uploads that credible readers contradict; over so many sources of so many uploads.
"""
HABITS, HABIT_SHARE, HABIT_ALPHA = 2, 0.2, 0.01
"""An honest source may have so many habits; bound on the share of its other contradictions, and the test's chance."""
LABEL_SHARE = 0.35
"""Bound on the share of a label's drawings that are contradicted by another digit than its most usual one."""
LABEL_MIN = 8
NEAREST = 5
"""The distance to a digit is that to the fifth nearest of its images, by cosine."""


@dataclass(frozen=True, slots=True, eq=False)
class Contradictions:
    """For n uploads: ``read (n,)`` the digit that the independent reader sees, and all others too where ``sure (n,)
    bool``; ``against (n,) bool``: none sees the label; ``atypical (n,)``, 0 to 1: the share of that digit's own images
    that are more typical of it.
    """

    read: NDArray[np.intp]
    sure: Mask
    against: Mask
    atypical: NDArray[np.float64]


def find(
    labels: Labels,
    models: tuple[NDArray[np.floating], ...],
    reader: NDArray[np.floating],
    atypical: NDArray[np.float64],
) -> Contradictions:
    """Compare labels with the probabilities ``(n, 10)`` of models (base, champion) and of the independent reader."""
    answers = (*models, reader)
    read = reader.argmax(axis=1)
    digits = [answer.argmax(axis=1) for answer in answers]
    agreed = np.logical_and.reduce([digit == read for digit in digits])
    bounds = (*(MODEL_SURE for _ in models), READER_SURE)
    confident = np.logical_and.reduce([a.max(axis=1) >= bound for a, bound in zip(answers, bounds, strict=True)])
    against = np.logical_and.reduce([digit != labels for digit in digits])
    return Contradictions(read, agreed & confident & against, against, atypical)


def credible(found: Contradictions, sources: NDArray[np.int64], known: Mask) -> bool:
    """Whether the readers are witnesses at all: they must agree with most people.

    If an app places its digits in another way, the readers contradict everybody, and what they contradict is what the
    night should learn. The median over ``known`` sources decides (all sources if too few are known), so that liars must
    be the majority to turn these tests off.
    """
    share = usual_share(found.sure, sources, known)
    return share is None or share <= WITNESS_SHARE


def usual_share(flags: Mask, sources: NDArray[np.int64], known: Mask) -> float | None:
    """The median over ``known`` sources of the share of their uploads with a flag; None without a source to ask.

    All sources are asked if too few are known. A median over sources, not over uploads: moving it takes
    half of the sources, however much each of them sends.
    """
    shares = np.zeros(0)
    for among in (known, np.ones_like(known)):
        _, of, n = np.unique(sources[among], return_inverse=True, return_counts=True)
        shares = np.bincount(of, flags[among], len(n))[n >= WITNESS_UPLOADS] / n[n >= WITNESS_UPLOADS]
        if len(shares) >= WITNESS_SOURCES:
            break
    return float(np.median(shares)) if len(shares) else None


def by_source(found: Contradictions, labels: Labels, sources: NDArray[np.int64]) -> dict[int, float]:
    """Return the sources that lie, each with the chance that an honest one is contradicted so often.

    A habit that the corpus lacks, such as a slashed zero, makes an honest source look alike. It is one or two pairs of
    a label and a digit read, and no typical drawings; so a liar has others besides, or typical ones.
    """
    lies = {}
    for source in np.unique(sources[found.sure]).tolist():
        own = sources == source
        at = np.flatnonzero(own & found.sure)
        chance = _tail(len(at), int(own.sum()), SOURCE_SHARE)
        if chance >= SOURCE_ALPHA:
            continue
        pairs = np.sort(np.bincount(labels[at].astype(np.intp) * 10 + found.read[at]))
        others = int(pairs[:-HABITS].sum())
        if min(_too_typical(found.atypical[at]), _tail(others, len(at), HABIT_SHARE)) < HABIT_ALPHA:
            lies[source] = chance
    return lies


def by_pair(found: Contradictions, labels: Labels, sources: NDArray[np.int64]) -> Mask:
    """Return ``(n,) bool``: the lies among pairs of a label and a digit read that typical drawings give away.

    Of the sources with such a drawing, all uploads with this label that no reader confirms are lies; those of other
    sources may be honest.
    """
    lies = np.zeros(len(labels), np.bool_)
    typical = found.sure & (found.atypical <= TYPICAL[-1][0])
    for label, read in np.unique(np.stack([labels[typical], found.read[typical]]), axis=1).T.tolist():
        pair = found.sure & (labels == label) & (found.read == read)
        plain = pair & typical
        if plain.sum() >= PAIR_MIN and _too_typical(found.atypical[pair]) < ALPHA:
            lies |= found.against & (labels == label) & np.isin(sources, sources[plain])
    return lies


def by_label(found: Contradictions, labels: Labels, sources: NDArray[np.int64]) -> Mask:
    """Return ``(n,) bool``: the lies among labels on drawings that are read as many different digits.

    Counted among the sources that have such an upload, else a few liars would hide among many honest people. Of these
    sources, all uploads with the label that no reader confirms are lies.
    """
    lies = np.zeros(len(labels), np.bool_)
    for label in range(10):
        contradicted = found.sure & (labels == label)
        if not contradicted.any():
            continue
        spread = contradicted & (found.read != np.bincount(found.read[contradicted], minlength=10).argmax())
        among = (labels == label) & np.isin(sources, sources[spread])
        if spread.sum() >= LABEL_MIN and _tail(int(spread.sum()), int(among.sum()), LABEL_SHARE) < ALPHA:
            lies |= found.against & among
    return lies


def atypical(
    embeddings: NDArray[np.float32],
    read: NDArray[np.intp],
    corpus_embeddings: NDArray[np.float32],
    corpus_labels: Labels,
) -> NDArray[np.float64]:
    """Return ``(n,)``: the share of the corpus's images of the digit ``read`` that lie nearer to the others of it."""
    rows, known = _unit(embeddings), _unit(corpus_embeddings)
    found = np.ones(len(rows))
    for digit in range(10):
        of_digit, at = known[corpus_labels == digit], read == digit
        if not at.any() or len(of_digit) <= NEAREST:
            continue
        own = np.sort(-np.partition(-(of_digit @ of_digit.T), NEAREST, axis=1)[:, NEAREST])  # its own 1 comes first
        near = -np.partition(-(rows[at] @ of_digit.T), NEAREST - 1, axis=1)[:, NEAREST - 1]
        found[at] = 1 - np.searchsorted(own, near, side="right") / len(own)
    return found


def _too_typical(atypical: NDArray[np.float64]) -> float:
    """The chance that so many honest contradictions are typical drawings, by the better of two tests."""
    return min(_tail(int((atypical <= most).sum()), len(atypical), share) for most, share in TYPICAL)


def _tail(count: int, n: int, share: float) -> float:
    return intervals.binomial_at_least(count, n, share)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    unit: NDArray[np.float32] = rows / length
    return unit
