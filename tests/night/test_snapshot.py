"""The training set of a night: a digest of its content, and what it may still contain."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop import intake
from loop.data.digits import digit
from loop.home.settings import Settings
from loop.intake import Upload
from loop.night import choosing, snapshot
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
def test_a_word_that_changes_while_a_night_chooses(store: Store, now: datetime, how: Status) -> None:
    """A word that is taken back or replaced between the read and the write is not in the snapshot."""
    random = np.random.default_rng(0)
    images = [digit(random.integers(0, 256, (28, 28), np.uint8)) for _ in range(3)]
    first, *rest = (intake.accept(store, Upload("a phone", image, 4), 0.0, now) for image in images)

    pool = choosing.choose(store, Settings(), now).pool
    assert len(pool) == 3
    with store.exclusive() as tx:
        if how is Status.WITHDRAWN:
            own_uploads.withdraw(tx, "a phone", first.id)
        else:
            uploads.supersede(tx, [first.id])
    with store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now)
    frozen = snapshot.freeze(store, run.id, "c" * 64, pool, now)
    assert frozen.pool.ids.tolist() == [each.id for each in rest]
    with store.read() as tx:
        assert ledger_chain.uneven(tx) == []
