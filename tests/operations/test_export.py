"""Uploads as files for study elsewhere: what was selected, byte for byte, and nothing that tells a source's side."""

import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from loop import intake
from loop.data import digits, idx
from loop.errors import BadSettings
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import Receipt, Upload
from loop.operations import export
from loop.operations.export import Exported
from loop.store import Store, tables
from loop.store.asking.values import Arm
from loop.store.feedback import exported
from loop.store.feedback.exported import Filter
from loop.store.values import Kind, Status
from tests.asking.conftest import ask, drawing
from tests.conftest import NOW

ALL = Filter(statuses=())


@pytest.fixture
def home(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Five people with a correction, a confirmation and a drawing each; one drawing is asked about by lot."""
    monkeypatch.setattr(exported, "ROWS_AT_ONCE", 4)
    uploads = []
    for who in range(5):
        one, two = (digits.digit(picture(10 * who + n)) for n in range(2))
        uploads += [
            Upload(f"person-{who}", one, who, predicted=9, confidence=0.75, version=who + 1),
            Upload(f"person-{who}", two, 1, kind=Kind.CONFIRMATION, predicted=1, rate=0.5),
            drawing(f"person-{who}", who),
        ]
    answers = intake.accept_many(store, uploads, 0.4, NOW)
    ids = [each.id for each in answers if isinstance(each, Receipt)]
    assert len(ids) == 15
    ask(store, ids[2:3], arm=Arm.RANDOM)
    return Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts"))


def picture(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """A picture of noise."""
    return np.random.default_rng([7, seed]).integers(0, 256, (28, 28)).astype(np.uint8)


def written(home: Home, wanted: Filter = ALL, name: str = "out.npz", **more: bool) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """The columns of an exported npz."""
    export.export(home, home.settings.home / name, "npz", wanted, **more)
    with np.load(home.settings.home / name) as file:
        return dict(file)


def test_every_column_in_order_of_arrival(home: Home) -> None:
    """In parts of four: pictures, labels and what the phone said; what is not known has its mark."""
    found = written(home)
    assert found["labels"].tolist()[:6] == [0, 1, 255, 1, 1, 255]
    assert found["predicted"].tolist()[:3] == [9, 1, 1]
    assert found["kinds"].tolist()[:3] == ["correction", "confirmation", "drawing"]
    assert found["statuses"].tolist()[:3] == ["accepted", "accepted", "pending"]
    assert found["arms"].tolist() == ["", "", "random", *[""] * 12]
    assert found["rates"].tolist()[:3] == [1.0, 0.5, 1.0]
    assert np.isnan(found["chances"][:2]).all()
    assert found["chances"][2] == 0.5
    assert found["versions"].tolist()[::3] == [1, 2, 3, 4, 5]
    assert found["confidences"][0] == 0.75
    assert found["received"][0] == np.datetime64(NOW.replace(tzinfo=None), "us")
    np.testing.assert_array_equal(found["images"][3], picture(10))
    assert found["images"].shape == (15, 28, 28)


def test_no_pseudonym_and_no_side(home: Home) -> None:
    """No column has a source's name, unless it is asked for; no file has a side, a salt or a row's number."""
    assert {"sources", "roles", "ids"}.isdisjoint(written(home))
    named = written(home, Filter(), "named.npz", with_sources=True)
    assert named["sources"].tolist() == [f"person-{who}" for who in range(5) for _ in range(2)]
    for name in ("out.npz", "named.npz"):
        data = (home.settings.home / name).read_bytes()
        assert not any(word in data for word in (b"holdout", b"train", b"role"))


@pytest.mark.parametrize("statuses", [(), (Status.QUARANTINED,), (Status.ACCEPTED, Status.REJECTED)])
def test_held_back_uploads_never_name_their_source(home: Home, statuses: tuple[Status, ...]) -> None:
    """Only teaching sources are screened, so the status tells the side."""
    with pytest.raises(BadSettings, match="leave out --with-sources"):
        written(home, Filter(statuses=statuses), with_sources=True)


def test_an_arm_that_tells_the_side_is_left_out(home: Home) -> None:
    """An upload that was held back and accepted looks like any other beside its source, and cannot be selected."""
    ask(home.store, [1], arm=Arm.QUARANTINE)
    assert written(home)["arms"][0] == "quarantine"
    assert written(home, Filter(), "named.npz", with_sources=True)["arms"][0] == ""
    with pytest.raises(BadSettings, match="only sources that teach"):
        written(home, Filter(arms=(Arm.QUARANTINE,)), with_sources=True)


def test_filters(home: Home) -> None:
    """By status, kind, arm, version and day; together they narrow."""
    store = home.store
    with store.write() as tx:
        tx.get_one(tables.Correction, 1).received_at = NOW - timedelta(days=3)

    def count(**changes: object) -> int:
        with store.read() as tx:
            return exported.count(tx, replace(ALL, **changes))  # type: ignore[arg-type]

    assert count() == 15
    assert count(statuses=(Status.PENDING,)) == 5
    assert count(kinds=(Kind.CONFIRMATION, Kind.DRAWING)) == 10
    assert count(arms=(Arm.RANDOM,)) == 1
    assert count(version=3) == 1
    day: datetime = NOW - timedelta(days=1)
    assert (count(until=day), count(since=day)) == (1, 14)
    assert count(kinds=(Kind.CORRECTION,), since=day) == 4
    assert len(written(home, replace(ALL, kinds=(Kind.CORRECTION,), since=day))["labels"]) == 4


def test_idx_is_what_mnist_s_readers_read(home: Home) -> None:
    """Two files, whose sizes fit; the summary counts labels."""
    done = export.export(home, home.settings.home / "mine", "idx", Filter())
    images, labels = (idx.load(path) for path in done.files)
    assert [path.name for path in done.files] == ["mine-images-idx3-ubyte", "mine-labels-idx1-ubyte"]
    assert (images.shape, labels.tolist()) == ((10, 28, 28), [0, 1, 1, 1, 2, 1, 3, 1, 4, 1])
    assert isinstance(done, Exported)
    assert (done.uploads, done.labelled) == (10, 10)
    assert done.by_label == {"0": 1, "1": 6, "2": 1, "3": 1, "4": 1} | {str(digit): 0 for digit in range(5, 10)}


def test_the_same_uploads_give_the_same_file(home: Home) -> None:
    """No time of writing is in it."""
    written(home, name="a.npz")
    written(home, name="b.npz")
    assert (home.settings.home / "a.npz").read_bytes() == (home.settings.home / "b.npz").read_bytes()


def test_nothing_selected_is_an_empty_file(home: Home) -> None:
    """All columns, without a row."""
    found = written(home, Filter(version=99))
    assert {name: len(column) for name, column in found.items()} == dict.fromkeys(("images", *export.COLUMNS), 0)


def test_refusals(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing file stays; a wrong format and a missing library are named; sources have no place in IDX."""
    target = home.settings.home / "mine"
    target.write_text("precious")
    for form, match in (("npz", "it exists"), ("csv", "idx, npz, parquet")):
        with pytest.raises(BadSettings, match=match):
            export.export(home, target, form, ALL)
    assert target.read_text() == "precious"
    with pytest.raises(BadSettings, match="no place"):
        export.export(home, target, "idx", Filter(), with_sources=True)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadSettings, match=r"pip install 'digit-loop\[parquet\]'"):
        export.export(home, home.settings.home / "new.parquet", "parquet", ALL)
    assert not (home.settings.home / "new.parquet").exists()


def test_parquet(home: Home) -> None:
    """The same rows, with nulls where nothing is known."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = home.settings.home / "out.parquet"
    export.export(home, path, "parquet", ALL)
    rows = parquet.read_table(path).to_pylist()
    assert len(rows) == 15
    assert rows[3]["image"] == picture(10).tobytes()
    assert [row["label"] for row in rows[:3]] == [0, 1, None]
    assert [row["arm"] for row in rows[:3]] == [None, None, "random"]
    assert [row["chance"] for row in rows[:3]] == [None, None, 0.5]
    assert rows[0]["received_at"] == NOW
    assert "source" not in rows[0]
    named = home.settings.home / "named.parquet"
    export.export(home, named, "parquet", Filter(version=99), with_sources=True)
    assert parquet.read_table(named).num_rows == 0
