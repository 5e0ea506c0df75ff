"""The training set of a night: caps, budget, and a digest of its content."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop import intake
from loop.data.digits import digit
from loop.intake import Upload
from loop.night import snapshot
from loop.store import Store
from loop.store.feedback import own_uploads, uploads
from loop.store.nights import ledger_chain, runs
from loop.store.values import Pool, Status


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """A few uploads of a few sources."""
    n = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Pool(
        ids=np.arange(1, n + 1),
        sources=rng.integers(1, 5, n),
        pixels=rng.integers(0, 256, (n, 28, 28)).astype(np.uint8),
        labels=rng.integers(0, 10, n).astype(np.uint8),
        corrected=rng.random(n) < 0.5,
        has_prediction=np.ones(n, bool),
        rates=np.ones(n),
    )


@given(pools(), st.integers(1, 70), st.integers(1, 30))
def test_budget_and_cap_hold(pool: Pool, budget: int, cap: int) -> None:
    """A choice keeps to the budget and to the cap per source, has no upload twice, and is ordered by id."""
    chosen = snapshot.choose(pool, budget, cap)
    assert len(chosen) <= budget
    assert np.all(np.diff(chosen.ids) > 0)
    assert all(count <= cap for count in np.unique(chosen.sources, return_counts=True)[1])


@given(pools(), st.integers(1, 70))
def test_corrections_go_before_confirmations(pool: Pool, budget: int) -> None:
    """Past the budget, no confirmation is taught while a correction is left out."""
    chosen = snapshot.choose(pool, budget, 1000)
    left_out = pool.corrected.sum() - chosen.corrected.sum()
    assert left_out == 0 or chosen.corrected.all()


def test_rare_digits_are_in() -> None:
    """Of ninety 1s and ten 8s, a budget of twenty takes all ten 8s and the ten newest 1s."""
    labels = np.array([1] * 90 + [8] * 10, np.uint8)
    pool = Pool(
        np.arange(100),
        np.arange(100),
        np.zeros((100, 28, 28), np.uint8),
        labels,
        np.ones(100, bool),
        np.ones(100, bool),
        np.ones(100),
    )
    assert snapshot.choose(pool, 20, 1000).ids.tolist() == list(range(80, 100))


@given(pools())
def test_the_digest_is_of_content(pool: Pool) -> None:
    """The digest ignores row numbers and order; one pixel, one label, one weight or the corpus changes it."""
    weights = np.ones(len(pool))
    order = np.arange(len(pool))[::-1]
    same = pool[order]
    same = Pool(same.ids + 7, same.sources, same.pixels, same.labels, same.corrected, same.has_prediction, same.rates)
    digest = snapshot.digest(pool, weights, "corpus")
    assert snapshot.digest(same, weights, "corpus") == digest
    assert snapshot.digest(pool, weights, "other") != digest
    if len(pool):
        other = pool.pixels.copy()
        other[0, 3, 4] ^= 1
        changed = Pool(pool.ids, pool.sources, other, pool.labels, pool.corrected, pool.has_prediction, pool.rates)
        assert snapshot.digest(changed, weights, "corpus") != digest
        assert snapshot.digest(pool, weights * 2, "corpus") != digest


@pytest.mark.parametrize("how", [Status.WITHDRAWN, Status.SUPERSEDED])
def test_a_word_that_changes_while_a_night_chooses(
    store: Store, now: datetime, monkeypatch: pytest.MonkeyPatch, how: Status
) -> None:
    """A word that is taken back or replaced between the read and the write is not in the snapshot."""
    random = np.random.default_rng(0)
    chosen, images = snapshot.choose, [digit(random.integers(0, 256, (28, 28), np.uint8)) for _ in range(3)]
    first, *rest = (intake.accept(store, Upload("a phone", image, 4), 0.0, now) for image in images)

    def and_change(*asked: object) -> Pool:
        with store.exclusive() as tx:
            if how is Status.WITHDRAWN:
                own_uploads.withdraw(tx, "a phone", first.id)
            else:
                uploads.supersede(tx, [first.id])
        return chosen(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "choose", and_change)
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now)
    frozen = snapshot.freeze(store, run.id, "c" * 64, 10, 10, now)
    assert frozen.pool.ids.tolist() == [each.id for each in rest]
    with store.read() as tx:
        assert ledger_chain.uneven(tx) == []
