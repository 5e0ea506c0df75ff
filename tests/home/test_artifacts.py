"""Content-addressed files: whole or not at all, checked when read."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from loop.errors import ArtifactCorrupt, DiskFull
from loop.home import artifacts
from loop.home.artifacts import Artifacts


def test_put_get_and_put_again(tmp_path: Path) -> None:
    """What is put comes back under its digest; the same bytes twice are one file."""
    files = Artifacts(tmp_path)
    name = files.put(b"model", ".mlmodel")
    assert files.put(b"model", ".mlmodel") == name == artifacts.digest(b"model")
    assert files.get(name, ".mlmodel") == b"model"
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_changed_bytes_are_refused_and_mended_by_the_next_put(tmp_path: Path) -> None:
    """A flipped byte on disk is found when read; writing the artifact again replaces it."""
    files = Artifacts(tmp_path)
    name = files.put(b"model", ".mlmodel")
    files.path(name, ".mlmodel").write_bytes(b"m0del")
    with pytest.raises(ArtifactCorrupt, match="have digest"):
        files.get(name, ".mlmodel")
    files.put(b"model", ".mlmodel")
    assert files.get(name, ".mlmodel") == b"model"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """A digest without a file is an error naming the file."""
    with pytest.raises(ArtifactCorrupt, match="missing"):
        Artifacts(tmp_path).get("0" * 64, ".npz")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" + "0" * 63])
def test_only_a_digest_becomes_a_path(tmp_path: Path, name: str) -> None:
    """Anything but 64 lower-case hex digits is refused before a path is made of it."""
    with pytest.raises(ArtifactCorrupt):
        Artifacts(tmp_path).path(name, ".npz")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_disk_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """When the disk fills up on the way, no file and no temporary file is left, and the message says so."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull, match="no space for 5 bytes"):
        Artifacts(tmp_path).put(b"model", ".mlmodel")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if mount is None or umount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    yield disk
    subprocess.run([umount, str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """The kernel's own ENOSPC: DiskFull, nothing left behind, and what fits afterwards is written."""
    files = Artifacts(small_disk)
    with pytest.raises(DiskFull, match="no space for 100,000 bytes"):
        files.put(b"x" * 100_000, ".npz")
    assert [p for p in small_disk.rglob("*") if p.is_file()] == []
    assert files.get(files.put(b"x" * 10_000, ".npz"), ".npz") == b"x" * 10_000


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from("abcdef"), hnp.arrays(np.float32, (3, 2)), max_size=4))
def test_packing_is_stable_and_exact(arrays: dict[str, np.ndarray]) -> None:
    """The same arrays give the same bytes whatever their order, and come back bit for bit."""
    data = artifacts.pack(arrays)
    assert data == artifacts.pack(dict(reversed(arrays.items())))
    back = artifacts.unpack(data)
    assert back.keys() == arrays.keys()
    assert all(back[name].tobytes() == arrays[name].tobytes() for name in arrays)


def test_a_pickle_is_not_loaded() -> None:
    """An object array cannot be packed: pickle never enters."""
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.pack({"a": np.array([{}], dtype=object)})
