"""After an erasure no late upload brings the source back, and a new drawing after a new consent is accepted."""

import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from loop import intake
from loop.data import digits
from loop.errors import SourceErased
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import Receipt, Upload, erasure
from loop.intake.deciding import ERASURE_GRACE
from loop.operations import garbage
from loop.store import Store, tables
from loop.store.feedback import erasures
from tests.conftest import NOW

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def plain(store: Store, tmp_path: Path) -> Home:
    """A home on each database in turn, without versions."""
    return Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts"))


def blot(seed: int) -> digits.Digit:
    """A digit; each seed gives another."""
    return digits.digit(np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8))


def send(store: Store, seed: int, at: datetime, captured: datetime | None = None, source: str = "a phone") -> str:
    """Store one upload at this time: the name of the answer's type."""
    upload = Upload(source, blot(seed), 4, f"key {seed}", captured_at=captured)
    (answer,) = intake.commit(store, [intake.prepare(upload, at)], 0.0, at)
    return type(answer).__name__


def count(store: Store, table: type[tables.Base]) -> int:
    """How many rows."""
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("known", [True, False], ids=["had sent", "never sent"])
def test_a_late_upload_is_refused(plain: Home, known: bool) -> None:
    """Drawn before the erasure, or at an unknown time within the grace: refused, and no row of the source is left."""
    if known:
        send(plain.store, 0, NOW)
    erasure.erase(plain, "a phone", "a phone", NOW)
    assert send(plain.store, 1, NOW + DAY, NOW - MINUTE) == "SourceErased"
    assert send(plain.store, 2, NOW + 400 * DAY, NOW) == "SourceErased"
    assert send(plain.store, 3, NOW + ERASURE_GRACE) == "SourceErased"
    assert send(plain.store, 3, NOW + DAY, NOW + 2 * DAY) == "SourceErased"  # a clock that is wrong: an unknown time
    assert [count(plain.store, table) for table in (tables.Source, tables.Correction)] == [0, 0]
    assert send(plain.store, 4, NOW + DAY, source="another") == "Receipt"


def test_a_new_drawing_is_accepted(plain: Home) -> None:
    """Drawn after the erasure, or without a time after the grace; late ones are refused beside it, in one batch too."""
    send(plain.store, 0, NOW)
    erasure.erase(plain, "a phone", "a phone", NOW)
    later = NOW + DAY
    batch = [
        intake.prepare(Upload("a phone", blot(seed), 4, f"key {seed}", captured_at=at), later)
        for seed, at in enumerate((NOW - MINUTE, NOW + MINUTE, None))
    ]
    late, new, unknown = intake.commit(plain.store, batch, 0.0, later)
    assert isinstance(late, SourceErased)
    assert isinstance(new, Receipt)
    assert isinstance(unknown, SourceErased)
    assert send(plain.store, 5, later, NOW - MINUTE) == "SourceErased"
    assert send(plain.store, 6, NOW + ERASURE_GRACE + MINUTE) == "Receipt"
    assert count(plain.store, tables.Correction) == 2


def test_erased_again(plain: Home) -> None:
    """The last erasure counts, also one of a source that had sent nothing since."""
    for day in range(3):
        send(plain.store, day, NOW, NOW - MINUTE)
        erasure.erase(plain, "a phone", "a phone", NOW + day * DAY)
    assert count(plain.store, tables.Erasure) == 1
    assert send(plain.store, 9, NOW + 9 * DAY, NOW + DAY) == "SourceErased"
    assert send(plain.store, 9, NOW + 9 * DAY, NOW + 3 * DAY) == "Receipt"
    erasure.erase(plain, "a phone", "a phone", NOW + 10 * DAY)
    assert count(plain.store, tables.Erasure) == 2
    assert send(plain.store, 9, NOW + 11 * DAY, NOW + 9 * DAY) == "SourceErased"


@pytest.mark.slow
def test_nothing_slips_past_an_erasure(plain: Home) -> None:
    """Late uploads and erasures at the same moment: at the end of the last erasure nothing is stored, nor later."""
    stores = [plain.store, *(Store(plain.store.engine.url.render_as_string(hide_password=False)) for _ in range(2))]
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(25):
                if number == 0:
                    erasure.erase(plain, "a phone", "a phone", NOW + turn * MINUTE)
                else:
                    send(stores[number], 100 * number + turn, NOW + DAY, NOW - MINUTE)
        except BaseException as error:  # noqa: BLE001 (raised below)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for other in stores[1:]:
        other.close()
    assert failed == []
    assert [count(plain.store, table) for table in (tables.Source, tables.Correction)] == [0, 0]


def test_gc_keeps_tombstones(plain: Home) -> None:
    """A clean-up many years later leaves each tombstone, and it still refuses."""
    send(plain.store, 0, NOW)
    erasure.erase(plain, "a phone", "a phone", NOW)
    garbage.sweep(plain, garbage.Options(), NOW + 4_000 * DAY)
    with plain.store.read() as tx:
        assert erasures.known(tx, "a phone")
    assert send(plain.store, 1, NOW + 4_000 * DAY, NOW - MINUTE) == "SourceErased"
