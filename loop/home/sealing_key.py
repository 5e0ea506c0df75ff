"""The key file that seals the store's secrets: text, mode 0600, one key a line, the first one seals.

Earlier keys follow: they open what was sealed before a rotation, for instance in a backup. The file is not in the
folder of the feed's keys, because the API must read this one and cannot read those.
"""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from loop import durable
from loop.errors import BadKey, one_line
from loop.store.sealing import Key, new_key

PREFIX = "digit-loop-sealing-key-1:"
COMMENT = (
    "# Opens the secrets in the database of this installation (holdout salt, webhook secrets).\n"
    "# Every machine that shares the database needs this file. Keep a copy of it, apart from the database's backups.\n"
)
OTHERS_PERMISSIONS = 0o077
MAX_BYTES = 65_536


class KeyFile:
    """The keys in a file: read when they are first needed, and again when another key is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: tuple[Key, ...] = ()

    def read(self) -> tuple[Key, ...]:
        """The keys as the file has them now; none if there is no file. Raises ``BadKey``."""
        try:
            if self.path.stat().st_mode & OTHERS_PERMISSIONS:
                raise BadKey(f"{self.path}: expected a file that only its owner may read; chmod 600 it")
            text = self.path.read_bytes()[:MAX_BYTES].decode("ascii")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise BadKey(f"{self.path}: cannot read the sealing key ({one_line(error)}); restore the file") from None
        self._keys = parse(text, str(self.path))
        return self._keys

    def current(self) -> Key | None:
        """The key that seals; None if there is none yet. Raises ``BadKey``."""
        keys = self.read()
        return keys[0] if keys else None

    def create(self) -> Key:
        """Make the file with a new key; if another process was first, its key. Raises ``BadKey``, ``DiskFull``."""
        durable.create_whole(self.path, written([new_key()]), mode=0o600)
        key = self.current()
        if key is None:
            raise BadKey(f"{self.path}: removed while it was written; run the command again")
        return key

    def find(self, id_: str) -> Key:
        """The key with this id. Raises ``BadKey``."""
        if (known := _with_id(self._keys, id_)) is not None:
            return known
        if (added := _with_id(self.read(), id_)) is not None:
            return added
        raise self.missing(id_)

    def missing(self, id_: str) -> BadKey:
        """The error for a key that is not in the file."""
        keys = self.read()
        found = f"got {', '.join(key.id for key in keys)}" if keys else "there is no such file"
        return BadKey(
            f"{self.path}: expected sealing key {id_}, {found}; copy the file from the machine that runs the loop "
            "(setting sealing_key), or restore a backup made with --keys; if it is lost: loop secrets reset"
        )

    def replace(self, keys: Sequence[Key]) -> None:
        """Write these keys, the sealing one first. Raises ``DiskFull``."""
        durable.write_whole(self.path, written(keys), mode=0o600)
        self.read()

    def add(self, keys: Sequence[Key]) -> int:
        """Add the keys that the file lacks, after those it has; how many. Raises ``BadKey``, ``DiskFull``."""
        here = self.read()
        more = [key for key in keys if key not in here]
        if more:
            self.replace([*here, *more])
        return len(more)


def _with_id(keys: Sequence[Key], id_: str) -> Key | None:
    return next((key for key in keys if key.id == id_), None)


def parse(text: str, shown: str) -> tuple[Key, ...]:
    """The keys of a file's text. Raises ``BadKey``."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if not lines or not all(line.startswith(PREFIX) for line in lines):
            raise ValueError(f"expected lines that start with {PREFIX}")
        return tuple(Key(base64.b64decode(line.removeprefix(PREFIX), validate=True)) for line in lines)
    except (binascii.Error, ValueError) as error:
        raise BadKey(f"{shown}: not a sealing key file ({one_line(error)}); restore the file") from None


def written(keys: Sequence[Key]) -> bytes:
    """The file's bytes."""
    lines = [f"{PREFIX}{base64.b64encode(key.secret).decode('ascii')}\n" for key in keys]
    return (COMMENT + "".join(lines)).encode("ascii")
