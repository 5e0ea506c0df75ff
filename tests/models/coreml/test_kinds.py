"""Recognition by first bytes: files that run are accepted, and hostile zips are cheap."""

import io
import struct
import time
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import coreml
from models.coreml import kinds
from tests.helpers import strange, stripes
from tests.models.coreml import seeds


@pytest.mark.parametrize("name", strange.FILES)
def test_names(name: str) -> None:
    """Each file is recognised by its bytes alone."""
    data, expected, _ = strange.FILES[name]
    found = kinds.of_bytes(data)
    assert found is not None
    assert found.name.startswith(expected)


@pytest.mark.parametrize("seed", seeds.ALL)
def test_models_are_models(seed: object) -> None:
    """Files that run are recognised as Core ML or not at all, never as another kind."""
    data = seed().SerializeToString()  # type: ignore[operator]  # the seeds are functions
    assert kinds.of_bytes(data) in (kinds.CORE_ML, None)
    assert kinds.of_bytes(stripes.image_model()) == kinds.CORE_ML


def test_foreign_models_are_models(foreign: dict[str, bytes]) -> None:
    """The same for the files by other people."""
    assert {kinds.of_bytes(data) for data in foreign.values()} == {kinds.CORE_ML}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are recognised or not, without an error."""
    kinds.of_bytes(data)
    kinds.of_bytes(b"PK\x03\x04" + data)
    kinds.of_bytes(b"PK\x05\x06" + data)


def _many(members: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(members):
            archive.writestr(f"{number}.npy", b"")
    return made.getvalue()


@pytest.mark.slow
def test_a_zip_of_many_members_is_not_listed() -> None:
    """A directory beyond the limit is not read: zipfile would build an object for each of its members."""
    small, large = _many(100), _many(30_000)
    assert kinds.of_bytes(small) == kinds.NPZ
    tracemalloc.start()
    start = time.process_time()
    assert kinds.of_bytes(large) == kinds.ZIP
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 1
    assert peak < 1 << 20


def test_a_directory_size_that_lies() -> None:
    """A second end record, or zip64's, cannot hide a large directory."""
    tail = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 100, 0, 0)
    large = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 1 << 30, 0, 0)
    assert kinds.small_directory(tail)
    assert not kinds.small_directory(tail + large)
    assert not kinds.small_directory(large + tail)
    assert not kinds.small_directory(b"PK\x06\x07" + bytes(16) + tail)


def test_an_error_of_its_own() -> None:
    """``load`` and ``inspect`` raise ``AnotherKind``, a kind of ``Malformed``, with the file's name."""
    for ask in (coreml.load, coreml.inspect):
        with pytest.raises(
            coreml.AnotherKind, match=r"digits\.mlmodel: expected a Core ML model, got a Git LFS pointer"
        ):
            ask(strange.POINTER, name="digits.mlmodel")
