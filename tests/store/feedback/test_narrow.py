"""Uploads without pixels, and the pixels of a choice: the same that the wide query reads."""

from dataclasses import fields
from datetime import datetime

import numpy as np
import pytest

from loop import intake
from loop.data.digits import digit
from loop.intake import Upload
from loop.store import Store
from loop.store.feedback import corrections, narrow, split
from loop.store.feedback.narrow import Narrow
from loop.store.values import Kind, Role


@pytest.fixture
def filled(store: Store, now: datetime) -> Store:
    """Twelve sources, on both sides, with a correction, a confirmation and one word without a label each."""
    random = np.random.default_rng(0)
    with store.write() as tx:
        split.set_salt(tx, "salt")
    for number in range(12):
        one, two, three = (digit(random.integers(0, 256, (28, 28)).astype(np.uint8)) for _ in range(3))
        uploads = [
            Upload(f"s{number}", one, number % 10, predicted=(number + 1) % 10, version=3),
            Upload(f"s{number}", two, 1, kind=Kind.CONFIRMATION, predicted=1, rate=0.25),
            Upload(f"s{number}", three, None, kind=Kind.UNREADABLE),
        ]
        assert all(isinstance(answer, intake.Receipt) for answer in intake.accept_many(store, uploads, 0.4, now))
    return store


def test_the_same_uploads_as_the_wide_query(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of five rows: the same columns, and the pixels of any choice in its order."""
    monkeypatch.setattr(narrow, "ROWS_AT_ONCE", 5)
    monkeypatch.setattr(narrow, "PICTURES_AT_ONCE", 2)
    with filled.frozen() as tx:
        wide, parts = corrections.pool(tx, Role.HOLDOUT), list(narrow.judging(tx, 0))
        assert len(wide) > 6
        assert [len(part) for part in parts[:-1]] == [5] * (len(parts) - 1)
        found = Narrow(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Narrow)))
        for name in ("ids", "sources", "labels", "corrected", "has_prediction", "rates"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wide, name))
        chosen = np.array([4, 0, 3])
        np.testing.assert_array_equal(narrow.pixels(tx, found.ids[chosen]), wide.pixels[chosen])
        assert [digit(wide.pixels[i]).digest for i in chosen] == [d.tobytes().hex() for d in found.digests[chosen]]
        assert found.versions.tolist() == [3, 0] * (len(wide) // 2)


def test_nothing_stored(store: Store) -> None:
    """An empty store has no uploads, and the pixels of nothing are none."""
    with store.frozen() as tx:
        assert list(narrow.judging(tx, 0)) == []
        assert narrow.pixels(tx, np.zeros(0, np.int64)).shape == (0, 28, 28)


def test_pixels_of_nobody(filled: Store) -> None:
    """An id that is not stored is a bug, never a black picture."""
    with filled.frozen() as tx, pytest.raises(LookupError, match="1 of them"):
        narrow.pixels(tx, np.array([1, 999]))
