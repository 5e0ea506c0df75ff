"""Packages as zips and folders: read in memory, without using their names as paths."""

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from models import coreml
from models.coreml import kinds, package
from tests.models.coreml import seeds
from tests.models.coreml.mil import programs
from tests.models.coreml.mil.programs import DATA, MODEL, manifest, zipped

MANIFEST, WEIGHTS = "digits.mlpackage/Manifest.json", f"{DATA}com.apple.CoreML/weights/weight.bin"
IMAGES = np.random.default_rng(4).integers(0, 256, (20, 4, 4), np.uint8)


def files() -> dict[str, bytes]:
    """Return the members of a good package."""
    made = programs.network(stored=True)
    return {MANIFEST: manifest(), DATA + MODEL: made.model(), WEIGHTS: bytes(made.blob)}


def written(folder: Path, members: Mapping[str, bytes]) -> Path:
    """Write the members as a folder and return the package's path."""
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / "digits.mlpackage"


def answers(data: bytes) -> np.ndarray:
    """Return the scores of some images."""
    return coreml.load(data).predict({"image": IMAGES})["scores"]


def test_every_way_a_package_comes(tmp_path: Path) -> None:
    """Stored or deflated zips, with any folder or none and with system files, and folders give the same answers."""
    expected = answers(zipped(files()))
    bare = {name.removeprefix("digits.mlpackage/"): data for name, data in files().items()}
    deep = {f"downloads/{name}": data for name, data in files().items()}
    litter = {"__MACOSX/digits.mlpackage/._Manifest.json": b"x", "digits.mlpackage/.DS_Store": b"x"}
    for members in (bare, deep, files() | litter):
        np.testing.assert_array_equal(answers(zipped(members, zipfile.ZIP_DEFLATED)), expected)
    folder = written(tmp_path, files() | litter)
    np.testing.assert_array_equal(answers(package.packed(folder)), expected)


def test_a_folder_has_one_digest(tmp_path: Path) -> None:
    """A folder's bytes do not depend on its name, nor on when and in which order its files were written."""
    one = package.packed(written(tmp_path / "one", files()))
    other = package.packed(written(tmp_path / "two", dict(reversed(files().items()))).rename(tmp_path / "b.mlpackage"))
    assert one == other
    assert coreml.load(one).sha256 == coreml.load(other).sha256


def test_a_network_in_a_package() -> None:
    """A package may hold a neural network, too."""
    data = programs.packed(seeds.convolutional().SerializeToString(), {})
    assert coreml.load(data).labels == ("a", "b", "c")
    assert coreml.inspect(data).problem is None


def _without(name: str) -> bytes:
    return zipped({key: data for key, data in files().items() if key != name})


def _manifest(data: bytes) -> bytes:
    return zipped(files() | {MANIFEST: data})


def _flagged(bit: int) -> bytes:
    """Return the package with a flag set in every header, such as encryption's."""
    data = bytearray(zipped(files()))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(signature)
        while start >= 0:
            data[start + at] |= bit
            start = data.find(signature, start + 4)
    return bytes(data)


def _lying() -> bytes:
    """Return a package whose weight file declares fewer bytes than it has."""
    data = bytearray(zipped(files(), zipfile.ZIP_DEFLATED))
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 100)
    return bytes(data)


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "no manifest": (lambda: _without(MANIFEST), "expected one Manifest.json"),
    "two manifests": (lambda: zipped(files() | {"other.mlpackage/Manifest.json": b"{}"}), "expected one Manifest.json"),
    "no model": (lambda: _without(DATA + MODEL), "not in the package"),
    "no JSON": (lambda: _manifest(b"{"), "does not name the model"),
    "deep JSON": (lambda: _manifest(b"[" * 60_000), "does not name the model"),
    "no root": (lambda: _manifest(b'{"itemInfoEntries": {}}'), "does not name the model"),
    "a list": (lambda: _manifest(b"[]"), "does not name the model"),
    "a path that is a number": (
        lambda: _manifest(b'{"itemInfoEntries": {"a": {"path": 1}}, "rootModelIdentifier": "a"}'), "expected text"
    ),
    "a path out of the package": (lambda: _manifest(manifest("../../../etc/passwd")), "not in the package"),
    "an encrypted member": (lambda: _flagged(1), "encrypted"),
    "bzip2": (lambda: zipped(files(), zipfile.ZIP_BZIP2), "neither stored nor deflated"),
    "cut off": (lambda: zipped(files())[:-30], "a zip; unpack it"),
    "a size that lies": (_lying, "declares 100 bytes|damaged"),
    "a damaged member": (lambda: zipped(files()).replace(b"\xef\xbe\xad\xde", b"\xef\xbe\xad\xdd"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("attack", BROKEN)
def test_broken_packages(attack: str) -> None:
    """An incomplete or unsafe package is refused in one line with the next step."""
    make, match = BROKEN[attack]
    with pytest.raises(coreml.Malformed, match=match):
        coreml.load(make(), name="digits.mlpackage")


@pytest.mark.slow
def test_a_bomb() -> None:
    """Sizes are counted before anything is unpacked."""
    data = zipped(files() | {f"{DATA}com.apple.CoreML/zeros": bytes(300 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(data) < 1 << 20
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(coreml.LimitExceeded, match="at most 268435456 are read"):
        coreml.load(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 1
    assert peak < 8 << 20


def test_a_large_manifest() -> None:
    """A manifest over the limit is not parsed."""
    with pytest.raises(coreml.LimitExceeded, match=r"Manifest\.json of 100000 bytes"):
        coreml.load(_manifest(bytes(100_000)))


def test_links_in_a_folder(tmp_path: Path) -> None:
    """A link in a folder, which may lead anywhere, is refused, whether to a file or to a folder."""
    for number, target in enumerate((Path("/etc/passwd"), Path("/etc"))):
        folder = written(tmp_path / str(number), files())
        (folder / "Data" / "link").symlink_to(target)
        with pytest.raises(coreml.Malformed, match="contains a link"):
            package.packed(folder)


def test_a_folder_that_is_too_large(tmp_path: Path) -> None:
    """The sizes of a folder's files are counted before any is read."""
    folder = written(tmp_path, files())
    with (folder / "Data" / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(coreml.LimitExceeded, match="at most 268435456 are read"):
        package.packed(folder)


def test_recognition() -> None:
    """A zipped package is recognised as one, and fits where a model is expected."""
    assert kinds.of_bytes(zipped(files())) == kinds.PACKAGE
    assert not kinds.PACKAGE.as_model
    with zipfile.ZipFile(io.BytesIO(zipped(files()))) as archive:
        assert len(archive.namelist()) == 3
