"""Content-addressed files, written whole or not at all.

Rules: temporary file, fsync, rename, fsync of the folder, and only then may a database row name the digest. A file's
name is the SHA-256 of its bytes, so writing the same bytes twice is harmless, and what is read is checked. The
digest is the only thing that becomes a path, and only after it proved to be one.
"""

import errno
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from loop.errors import ArtifactCorrupt, DiskFull

DIGEST = re.compile(r"[0-9a-f]{64}")
SUFFIXES = {".mlmodel", ".npz", ".json", ".zip"}
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def digest(data: bytes) -> str:
    """SHA-256 as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


class Artifacts:
    """The files under one folder; kinds are told apart by suffix (``SUFFIXES``)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str, suffix: str) -> Path:
        """Where the file with this digest lies, whether or not it is there."""
        if not DIGEST.fullmatch(name) or suffix not in SUFFIXES:
            raise ArtifactCorrupt(f"expected a SHA-256 digest and a known suffix, got {name[:80]!r}{suffix!r}")
        return self.root / name[:2] / f"{name}{suffix}"

    def put(self, data: bytes, suffix: str) -> str:
        """Write the bytes and return their digest. Raises ``DiskFull``; then nothing is left behind."""
        name = digest(data)
        try:
            self.get(name, suffix)
        except ArtifactCorrupt:  # not there yet, or rotten
            write_whole(self.path(name, suffix), data)
        return name

    def get(self, name: str, suffix: str) -> bytes:
        """The bytes with this digest. Raises ``ArtifactCorrupt``."""
        path = self.path(name, suffix)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactCorrupt(f"{path}: missing; restore it from a backup of LOOP_HOME") from None
        except OSError as error:
            raise ArtifactCorrupt(f"{path}: cannot be read ({error.strerror}); mend it or restore it") from error
        if (found := digest(data)) != name:
            raise ArtifactCorrupt(f"{path}: its bytes have digest {found[:12]}…; restore it from a backup of LOOP_HOME")
        return data


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that, whatever happens, it is there whole or as it was before. Raises ``DiskFull``."""
    with whole(path, mode, f"{len(data):,} bytes") as file:
        file.write(data)


@contextmanager
def whole(path: Path, mode: int, size: str) -> Iterator[IO[bytes]]:
    """The same for who writes in pieces: the file appears when the block ends, and not if it raises."""
    temporary = None
    try:
        _make_folder(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFull(f"{path}: no space for {size}; free some and run again") from error
        raise DiskFull(f"{path}: cannot be written ({error.strerror}); mend the folder and run again") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def pack(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Named arrays as ``.npz`` bytes; no pickle, ever. The same arrays give the same bytes on any machine, which is
    why they are not compressed: zlib's output differs between its builds.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return file.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``pack``."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; each new name is synced where it stands, or a power cut could lose it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
