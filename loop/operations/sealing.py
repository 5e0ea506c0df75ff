"""Replace the key that seals the store's secrets, or start again after it was lost.

Rules: the key file is written inside an exclusive transaction, so that no two commands write it at once. It has the new
key before any secret is sealed with it, and keeps the earlier keys: a kill at any point leaves a file that opens
everything, and running processes read it again when they meet a new key.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loop.errors import BadKey
from loop.home import Home
from loop.home.sealing_key import KeyFile
from loop.store.sealing import new_key
from loop.store.service import secrets_at_rest


@dataclass(frozen=True, slots=True)
class Rotated:
    """The id of the new key, how many secrets it seals, and how many earlier keys the file has."""

    path: Path
    key: str
    secrets: int
    earlier: int


def rotate(home: Home, *, forget: bool = False) -> Rotated:
    """Seal every secret with a new key. ``forget`` removes the earlier keys from the file.

    Without them a backup from before, made without ``--keys``, cannot be restored. Raises ``BadKey``, ``DiskFull``.
    """
    file = KeyFile(home.settings.sealing_key_file)
    with home.store.exclusive() as tx:
        secrets_at_rest.require_open(tx)
        keys = [new_key(), *file.read()]
        file.replace(keys)
        count = secrets_at_rest.seal_anew(tx)
    if forget:
        with home.store.exclusive() as tx:  # again: another process may have sealed a secret, or rotated, in between
            used = {kept.key for kept in secrets_at_rest.every(tx)}
            keys = [key for number, key in enumerate(file.read()) if number == 0 or key.id in used]
            file.replace(keys)
    return Rotated(file.path, keys[0].id, count, len(keys) - 1)


def reset(home: Home, now: datetime) -> list[str]:
    """Forget every secret that does not open, because its key is lost: what was forgotten.

    The holdout salt is made anew: sources keep their role, but tombstones of erased sources match nobody any more, and
    the day's quota of an erased source is forgotten. Webhooks are removed. Raises ``BadKey`` if there is a key file
    that cannot be read: it can be repaired.
    """
    KeyFile(home.settings.sealing_key_file).read()
    with home.store.exclusive() as tx:
        forgotten = secrets_at_rest.give_up(tx, now)
    if not forgotten:
        raise BadKey("every secret of the database opens; nothing was forgotten")
    return [kept.purpose for kept in forgotten]
