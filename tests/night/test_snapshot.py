"""The training set of a night: caps, budget, and a digest of its content."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loop.night import snapshot
from loop.store.values import Pool


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
