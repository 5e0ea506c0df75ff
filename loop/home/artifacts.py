"""Content-addressed files, written whole or not at all.

Rules: a file is durable (``loop.durable``) before a database row names its digest. A file's name is the SHA-256 of its
bytes, so writing the same bytes twice is harmless, and every read is verified. Only a validated digest becomes
part of a path.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop import durable
from loop.errors import ArtifactCorrupt

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST = re.compile(r"[0-9a-f]{64}")
SUFFIXES = {".mlmodel", ".npz", ".json", ".zip"}


def digest(data: bytes) -> str:
    """SHA-256 as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


class Artifacts:
    """The files under one folder; the suffix (``SUFFIXES``) names the kind of file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str, suffix: str) -> Path:
        """The path of the file with this digest; it need not exist. Raises ``ArtifactCorrupt``."""
        if not DIGEST.fullmatch(name) or suffix not in SUFFIXES:
            raise ArtifactCorrupt(f"expected a SHA-256 digest and a known suffix, got {name[:80]!r}{suffix!r}")
        return self.root / name[:2] / f"{name}{suffix}"

    def put(self, data: bytes, suffix: str) -> str:
        """Write the bytes and return their digest. Raises ``DiskFull``, and then leaves no file behind."""
        name = digest(data)
        try:
            self.get(name, suffix)
        except ArtifactCorrupt:  # missing or corrupt
            durable.write_whole(self.path(name, suffix), data)
        return name

    def get(self, name: str, suffix: str) -> bytes:
        """The bytes with this digest. Raises ``ArtifactCorrupt``."""
        path = self.path(name, suffix)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactCorrupt(f"{path}: missing; restore it from a backup of LOOP_HOME") from None
        except OSError as error:
            raise ArtifactCorrupt(
                f"{path}: cannot be read ({error.strerror}); repair the disk or restore the file"
            ) from error
        if (actual := digest(data)) != name:
            raise ArtifactCorrupt(
                f"{path}: its bytes have digest {actual[:12]}…; restore it from a backup of LOOP_HOME"
            )
        return data


def pack(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Named arrays as ``.npz`` bytes, without pickle. The same arrays give the same bytes on any machine; that is why
    they are not compressed: zlib's output differs between builds.
    """
    import numpy as np  # here, so that commands without weights do not load it

    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return file.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``pack``."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
