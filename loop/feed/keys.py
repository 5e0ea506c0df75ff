"""Private keys of the root and the feed: PEM files that only their owner may read, optionally with a passphrase.

A file's name contains the first digits of its key's id. Keep root keys on offline media; the feed key stays where
``loop feed publish`` runs.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from loop import durable
from loop.errors import BadKey, one_line
from loop.feed.document import key_id
from loop.feed.envelope import public_half

Passphrase = Callable[[Path], str | None]
"""Returns the passphrase of an encrypted file, or None if there is none."""
OTHERS_PERMISSIONS = 0o077
MAX_BYTES = 4096


def generate() -> tuple[str, Ed25519PrivateKey]:
    """A new key and its id."""
    key = Ed25519PrivateKey.generate()
    return key_id(public_half(key)), key


def save(folder: Path, role: str, key: Ed25519PrivateKey, passphrase: str | None) -> Path:
    """Write a key file with mode 0600; its name starts with ``role`` (root, recovery, feed). Raises ``DiskFull``."""
    encryption: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    path = folder / f"{role}-{key_id(public_half(key))[:12]}.pem"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.write_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), mode=0o600)
    return path


def find(folders: Iterable[Path], ids: Iterable[str]) -> dict[str, Path]:
    """The existing files of these key ids."""
    by_prefix = {id_[:12]: id_ for id_ in ids}
    paths = [path for folder in folders for path in sorted(folder.glob("*-*.pem"))]
    return {by_prefix[path.stem[-12:]]: path for path in paths if path.stem[-12:] in by_prefix}


def load(path: Path, passphrase: Passphrase) -> Ed25519PrivateKey:
    """The key in a file. Raises ``BadKey``: unreadable, readable by others, wrong passphrase, or not Ed25519."""
    try:
        if path.stat().st_mode & OTHERS_PERMISSIONS:
            raise BadKey(f"{path}: expected a file that only its owner may read; chmod 600 it, and consider a rotation")
        data = path.read_bytes()[:MAX_BYTES]
        secret = passphrase(path) if b"ENCRYPTED" in data else None
        key = load_pem_private_key(data, secret.encode() if secret else None)
    except (OSError, ValueError, TypeError) as error:
        raise BadKey(f"{path}: cannot open the key ({one_line(error)}); check the passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path}: expected an Ed25519 key, got {type(key).__name__}")
    return key


def load_many(files: dict[str, Path], passphrase: Passphrase) -> dict[str, Ed25519PrivateKey]:
    """The keys in files, each checked against its id. Raises ``BadKey``."""
    keys = {id_: load(path, passphrase) for id_, path in files.items()}
    for id_, key in keys.items():
        if key_id(public_half(key)) != id_:
            raise BadKey(f"{files[id_]}: expected key {id_:.12}…, got {key_id(public_half(key)):.12}…")
    return keys
