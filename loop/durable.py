"""Write files that survive a crash, and lock files.

A file is written completely or not at all: temporary file, fsync, rename, fsync of the folder. The parent of a new
folder is synced too, or a power cut could lose the folder with its content. A lock ends with the process that holds it.
"""

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from loop.errors import DiskFull

TEMPORARY_PREFIX = ".new-"
"""The prefix of the name of a file that is being written."""
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LOCK_POLL_SECONDS = 0.1


class AlreadyLocked(Exception):
    """Another process still holds the lock after the wait."""


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file by ``data``. After a crash it contains the old bytes or the new ones. Raises ``DiskFull``."""
    with whole(path, mode, f"{len(data):,} bytes") as file:
        file.write(data)


def create_whole(path: Path, data: bytes, mode: int) -> bool:
    """Create a file with its whole content; False if it exists already, also by another process's doing at this moment.

    Raises ``DiskFull``.
    """
    try:
        make_folder(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX) as file:
            file.write(data)
            Path(file.name).chmod(mode)
            sync_file(file)
            os.link(file.name, path)
        sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise DiskFull(f"{path}: cannot write ({error.strerror}); repair the folder and run again") from error
    return True


@contextmanager
def whole(path: Path, mode: int, size: str) -> Iterator[IO[bytes]]:
    """A file to write in pieces. It gets its name when the block ends, and is removed if the block raises.

    ``size`` describes the content in the message of ``DiskFull``.
    """
    temporary = None
    try:
        make_folder(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX, delete=False) as file:
            temporary = Path(file.name)
            yield file
            sync_file(file)
        temporary.chmod(mode)
        temporary.replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFull(f"{path}: no space for {size}; free some space and run again") from error
        raise DiskFull(f"{path}: cannot write ({error.strerror}); repair the folder and run again") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def rename(path: Path, to: Path) -> None:
    """Give a complete, synced file its final name. Raises ``OSError``."""
    make_folder(to.parent)
    path.replace(to)
    sync_folder(to.parent)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises ``OSError``."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_file(file: IO[bytes]) -> None:
    """Sync a file's content to disk. Raises ``OSError``."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk. Raises ``OSError``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, wait_seconds: float | None) -> Iterator[None]:
    """Hold a file's lock. The lock ends with its process, even if that is killed.

    Waits up to ``wait_seconds`` for another holder (0: does not wait; None: waits without limit), then raises
    ``AlreadyLocked``. Raises ``OSError`` if the file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        _lock(file, wait_seconds)
        yield


def _lock(file: IO[bytes], wait_seconds: float | None) -> None:
    if wait_seconds is None:
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + wait_seconds
    while not _try_lock(file):
        if time.monotonic() >= deadline:
            raise AlreadyLocked(file.name)
        time.sleep(min(LOCK_POLL_SECONDS, wait_seconds))


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
