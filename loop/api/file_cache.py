"""Keep published files in memory: each is read once, its digest is checked, and all requests share the bytes.

An answer never mixes two files, and a file that is damaged on disk is an error, not an answer. Each request looks the
file's name up on disk, so a withdrawn file is gone immediately; only its bytes are cached.
"""

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path

from loop.errors import ArtifactCorrupt, NotPublished

MAX_FILES = 16  # files: a handful of versions, each a few hundred kB


class FileCache:
    """The files of one folder; past ``MAX_FILES`` the file that was read first is dropped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cached: OrderedDict[str, tuple[tuple[int, int, int], bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of files in memory."""
        return len(self._cached)

    def read(self, path: str, digest: str | None) -> bytes:
        """A file's bytes. Raises ``NotPublished``; ``ArtifactCorrupt`` if their digest is not ``digest``."""
        try:
            found = (self._folder / path).stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            with self._lock:
                cached = self._cached.get(path)
                if cached is not None and cached[0] == state:
                    return cached[1]
            data = (self._folder / path).read_bytes()
        except FileNotFoundError:
            with self._lock:
                self._cached.pop(path, None)
            raise NotPublished(f"expected a published {path}, found none; the feed names the published files") from None
        except OSError as error:
            raise ArtifactCorrupt(
                f"{self._folder / path}: expected a readable file ({error.strerror}); check its permissions"
            ) from None
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactCorrupt(
                f"{self._folder / path}: expected the digest in its name, got another; run `loop feed publish`"
            )
        with self._lock:
            self._cached[path] = state, data
            while len(self._cached) > MAX_FILES:
                self._cached.popitem(last=False)
        return data
