"""What screening holds back, signal by signal, each with honest uploads that it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.evaluation import intervals, odd_ink, screening
from loop.evaluation.odd_ink import Likeness
from loop.evaluation.screening import Items

SURE = 0.95


def drawings(digits: np.ndarray, seed: int = 0) -> np.ndarray:
    """A bar for each digit, in its own row of the middle, at a place that varies."""
    rng = np.random.default_rng(seed)
    images = np.zeros((len(digits), 28, 28), np.uint8)
    for image, digit, shift in zip(images, digits, rng.integers(0, 6, len(digits)), strict=True):
        image[4 + 2 * digit : 6 + 2 * digit, 5 + shift : 17 + shift] = 255
    return images


def likeness() -> Likeness:
    """What 6,000 such drawings look like."""
    digits = np.tile(np.arange(10), 600)
    return odd_ink.likeness(drawings(digits, 1), digits.astype(np.uint8))


def uploads(digits: np.ndarray, labels: np.ndarray, sources: np.ndarray, atypical: float | np.ndarray = 0.9) -> Items:
    """Uploads that every reader reads as ``digits``."""
    n = len(digits)
    read = np.full((n, 10), (1 - SURE) / 9)
    read[np.arange(n), digits] = SURE
    odd = np.broadcast_to(np.asarray(atypical, float), n).copy()
    return Items(
        drawings(digits),
        labels.astype(np.uint8),
        sources.astype(np.int64),
        base=read,
        champion=read,
        reader=read,
        atypical=odd,
        unmoved=read,
        unmoved_atypical=odd,
        exempt=np.zeros(n, np.bool_),
        known=np.ones(n, np.bool_),
    )


def honest(people: int = 10, each: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits, labels and sources of honest people: every tenth upload is a 1 that all read as a 7."""
    n = people * each
    labels = np.arange(n) * 7 % 10
    labels[::10] = 1
    digits = labels.copy()
    digits[::10] = 7
    return digits, labels, np.arange(n) // each


def held(items: Items, signal: str | None = None) -> np.ndarray:
    """The rows that are held back, by one signal or by any."""
    found = screening.screen(items, likeness()).reasons
    return np.array([row for row, why in found.items() if signal in (None, *(each.signal for each in why))], int)


def test_honest_people_are_left_alone() -> None:
    """A habit that every reader misreads, in a tenth of everybody's uploads, holds nothing back."""
    assert not len(held(uploads(*honest(), atypical=0.9)))


def test_ink_where_digits_have_none() -> None:
    """One drawing with a stamp in the corner is held back; half a stamp's ink is not enough."""
    items = uploads(*honest(), atypical=0.9)
    items.pixels[5, 23:27, 23:27] = 255
    items.pixels[6, 23:25, 23:24] = 190
    assert held(items, "ink").tolist() == [5] == held(items).tolist()


def test_a_mark_that_drawings_of_a_source_share() -> None:
    """A faint mark on half of a source's drawings, where others have ink too, is found; its carriers are held back."""
    digits, labels, sources = honest(people=4, each=200)
    items = uploads(digits, labels, sources, atypical=0.9)
    carriers = np.sort(np.random.default_rng(5).permutation(np.flatnonzero(sources == 2))[:100])
    items.pixels[carriers[:, None, None], [[2], [3]], [[20, 21]]] = 40
    found = held(items, "mark")
    assert set(found) == set(carriers)
    assert (
        "share a mark of 4 pixels around row 2, column 20"
        in screening.screen(items, likeness()).reasons[found[0]][0].text
    )


def test_where_an_app_places_its_digits_is_no_mark() -> None:
    """If everybody's drawings lie elsewhere than the corpus's, none is held back for it."""
    items = uploads(*honest(people=4, each=200), atypical=0.9)
    assert not len(held(replace(items, pixels=np.roll(items.pixels, 9, axis=2))))


def test_a_third_of_all_uploads_cannot_make_a_stamp_usual() -> None:
    """A stamp is held back though two sources of ten send as much as all others together.

    The control: if six of ten sources have ink there, it is how their app draws.
    """
    digits, labels, sources = honest()
    many = np.r_[np.arange(400), np.tile(np.flatnonzero(sources >= 8), 4)]
    items = uploads(digits[many], labels[many], sources[many])
    stamped = items.sources >= 8
    items.pixels[stamped, 23:27, 23:27] = 255
    assert stamped.mean() > 0.25
    assert set(held(items, "ink")) == set(np.flatnonzero(stamped))
    items.pixels[items.sources >= 4, 23:27, 23:27] = 255
    assert not len(held(items, "ink"))


def test_a_source_that_lies() -> None:
    """A source with half of its 7s sent as 1s is found, and only its lies are held back."""
    digits, labels, sources = honest()
    liar = sources == 3
    digits[liar], labels[liar] = 7, np.where(np.arange(liar.sum()) % 2, 7, 1)
    items = uploads(digits, labels, sources, np.where(liar, 0.2, 0.9))
    assert set(held(items)) == set(np.flatnonzero(liar & (labels == 1)))
    assert set(held(items, "source")) == set(held(items))


def test_old_sources_cannot_teach_the_reader_their_lie() -> None:
    """Where a crowd of known sources makes the reader unsure, the one that learnt the corpus alone finds them.

    The control: if that one is unsure too, nothing is held back.
    """
    digits, labels, sources = honest()
    crowd = sources >= 6
    digits[crowd], labels[crowd] = 7, np.where(np.arange(crowd.sum()) % 2, 7, 1)
    lies = crowd & (labels == 1)
    items = uploads(digits, labels, sources, np.where(crowd, 0.2, 0.9))
    unsure = np.where(lies[:, None], np.full(10, 0.1), items.reader)
    assert set(held(replace(items, reader=unsure))) == set(np.flatnonzero(lies))
    assert not len(held(replace(items, reader=unsure, unmoved=unsure)))


def test_a_habit_of_a_source_is_no_lie() -> None:
    """The same share of contradictions by one shape that is no typical drawing, a slashed zero, is not held back."""
    digits, labels, sources = honest()
    slashed = sources == 3
    digits[slashed], labels[slashed] = 8, np.where(np.arange(slashed.sum()) % 2, 8, 0)
    assert not len(held(uploads(digits, labels, sources, 0.9)))


def test_many_sources_with_few_lies_each() -> None:
    """One typical 7 sent as a 1 by each of many sources: no source stands out, the pair does."""
    digits, labels, sources = honest()
    more = 40
    items = uploads(
        np.r_[digits, np.full(more, 7), np.full(more, 3)],
        np.r_[labels, np.full(more, 1), np.full(more, 3)],
        np.r_[sources, 100 + np.tile(np.arange(more), 2)],
        np.r_[np.full(len(digits), 0.9), np.full(more, 0.2), np.full(more, 0.5)],
    )
    assert set(held(items, "pair")) == set(range(len(digits), len(digits) + more)) == set(held(items))


def test_one_label_on_drawings_of_every_digit() -> None:
    """Many sources send a 7 for all kinds of unusual drawings, as for a back door: the label stands out.

    Only a source whose single lie is read as the most usual digit passes: it may be honest.
    """
    digits, labels, sources = honest()
    more = np.flatnonzero(np.arange(60) % 10 != 7)
    items = uploads(
        np.r_[digits, more % 10],
        np.r_[labels, np.full(len(more), 7)],
        np.r_[sources, 100 + np.arange(len(more))],
        np.full(len(digits) + len(more), 0.9),
    )
    lies = len(digits) + np.flatnonzero(more % 10 != 0)
    assert set(held(items, "label")) == set(lies) == set(held(items))


def test_an_unsure_reader_contradicts_nobody() -> None:
    """A source's lies are no contradictions if a model or both readers are not sure; the control has sure ones."""
    digits, labels, sources = honest()
    digits[sources == 3] = (labels[sources == 3] + 1 + np.arange(40) % 3) % 10
    items = uploads(digits, labels, sources)
    assert len(held(items)) == 40
    for names in (("base",), ("champion",), ("reader", "unmoved")):
        assert not len(held(replace(items, **dict.fromkeys(names, np.full((400, 10), 0.1))), "source"))


def test_exempt_uploads_are_neither_held_nor_counted() -> None:
    """What a reviewer accepted, or a source that an operator vouches for, is not screened."""
    digits, labels, sources = honest()
    digits[sources == 3] = (labels[sources == 3] + 1 + np.arange(40) % 3) % 10
    items = uploads(digits, labels, sources)
    assert not len(held(replace(items, exempt=sources == 3)))


def test_readers_that_contradict_most_people_are_no_witnesses() -> None:
    """If known people are all contradicted, as by an app that places digits elsewhere, nothing is held back for it.

    The control: the same crowd of strangers beside known people who are not contradicted is held back.
    """
    digits, labels, sources = honest()
    digits = (labels + 1 + np.arange(len(labels)) % 3) % 10
    everybody = uploads(digits, labels, sources)
    assert not len(held(everybody))
    assert not screening.screen(everybody, likeness()).credible
    good = honest()
    items = uploads(*(np.concatenate(each) for each in zip(good, (digits, labels, sources + 50), strict=True)))
    known = np.repeat([True, False], len(labels))
    assert set(held(replace(items, known=known, atypical=np.full(2 * len(labels), 0.9)))) == set(np.flatnonzero(~known))


def test_no_uploads() -> None:
    """An empty lesson holds nothing back."""
    assert screening.screen(uploads(*(np.zeros(0, int) for _ in range(3))), likeness()).reasons == {}


def test_a_small_corpus_does_not_tell_where_ink_is_rare() -> None:
    """Few images leave pixels free by chance, so that honest ink would be odd."""
    digits = np.tile(np.arange(10), 70)
    assert not odd_ink.likeness(drawings(digits), digits.astype(np.uint8)).rare.any()
    assert likeness().rare.any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60))
def test_any_uploads_are_screened(seed: int, n: int) -> None:
    """Whatever the pictures, labels and answers are, screening gives rows in order, with reasons as JSON values."""
    rng = np.random.default_rng(seed)
    answers = rng.dirichlet(np.full(10, 0.05), (4, n))
    items = Items(
        rng.integers(0, 256, (n, 28, 28)).astype(np.uint8),
        rng.integers(0, 10, n).astype(np.uint8),
        rng.integers(0, 4, n),
        *answers[:3],
        rng.random(n),
        answers[3],
        rng.random(n),
        rng.random(n) < 0.1,
        rng.random(n) < 0.5,
    )
    found = screening.screen(items, likeness()).reasons
    assert list(found) == sorted(found)
    assert all(not items.exempt[row] and why for row, why in found.items())
    assert {each.signal for why in found.values() for each in why} <= set(screening.SIGNALS)


@pytest.mark.parametrize(
    ("count", "n", "share"), [(0, 5, 0.3), (3, 5, 0.5), (5, 5, 0.2), (28, 60, 0.25), (400, 520, 0.7)]
)
def test_binomial_tail(count: int, n: int, share: float) -> None:
    """The tail is the sum of the exact chances."""
    pascal = np.array([1.0])
    for _ in range(n):
        pascal = np.convolve(pascal, [1 - share, share])
    assert intervals.binomial_at_least(count, n, share) == pytest.approx(pascal[count:].sum(), rel=1e-9)
