"""The judge's slices: only sources that never teach, weighted by the inverse of their rate."""

from datetime import datetime

import numpy as np

from loop import intake
from loop.data.corpus import Corpus
from loop.data.digits import digit
from loop.intake import Upload
from loop.night import holdout
from loop.store import Store
from loop.store.feedback import corrections
from loop.store.values import Kind, Role


def some_corpus() -> Corpus:
    """Three test images."""
    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    return Corpus("tiny", images, labels, images, labels, "0" * 64)


def test_the_slices(store: Store, now: datetime) -> None:
    """The feedback slice has holdout sources alone, weights 1/rate; without a prediction nothing is confirmed."""
    with store.write() as tx:
        corrections.set_salt(tx, "salt")
    names = [f"s{number}" for number in range(40)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28)).astype(np.uint8)
        wrong = Upload(name, digit(pixels), 1, predicted=2)
        right = Upload(name, digit(pixels.T), 1, kind=Kind.CONFIRMATION, predicted=1, rate=0.25)
        silent = Upload(name, digit(255 - pixels), 1)
        assert all(isinstance(a, intake.Receipt) for a in intake.accept_many(store, [wrong, right, silent], 0.3, now))
    base, judged = holdout.slices(store, some_corpus())
    judges = [name for name in names if corrections.role_of(name, "salt", 0.3) is Role.HOLDOUT]
    assert (base.name, len(base.labels)) == ("tiny", 3)
    assert 0 < len(judges) < 40
    assert len(judged.labels) == 3 * len(judges)
    assert judged.weights.tolist() == [1.0, 4.0, 1.0] * len(judges)
    assert judged.confirmed is not None
    assert judged.confirmed.tolist() == [False, True, False] * len(judges)
    assert judged.sources is not None
    assert len(set(judged.sources.tolist())) == len(judges)
