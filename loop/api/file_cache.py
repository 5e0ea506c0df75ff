"""Published files in memory: read once, their digest checked, and all requests share the bytes.

No answer mixes two files, and a file that rots on disk is an error, not an answer. A file that is gone (withdrawn) is
gone at once: its name is looked up for every request, only its bytes are kept.
"""

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path

from loop.errors import ArtifactCorrupt, NotPublished

MAX_FILES = 16  # files: a handful of versions, each a few hundred kB


class FileCache:
    """The files of one folder; the first read is given up first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many files are in memory."""
        return len(self._kept)

    def read(self, path: str, digest: str | None) -> bytes:
        """A file's bytes. Raises ``NotPublished``, and ``ArtifactCorrupt`` where they are not of ``digest``."""
        try:
            found = (self._folder / path).stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            with self._lock:
                kept = self._kept.get(path)
                if kept is not None and kept[0] == state:
                    return kept[1]
            data = (self._folder / path).read_bytes()
        except FileNotFoundError:
            with self._lock:
                self._kept.pop(path, None)
            raise NotPublished(f"no {path} is published") from None
        except OSError as error:
            raise ArtifactCorrupt(f"{self._folder / path}: cannot be read ({error.strerror})") from None
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactCorrupt(f"{self._folder / path}: its bytes have another digest; `loop feed publish` mends it")
        with self._lock:
            self._kept[path] = state, data
            while len(self._kept) > MAX_FILES:
                self._kept.popitem(last=False)
        return data
