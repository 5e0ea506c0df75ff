"""Seal short secrets: authenticated encryption with a key that the database does not contain.

A sealed text is ``sealed:1:KEY:DATA``. KEY is the id of its key; DATA is base64 of nonce and ChaCha20-Poly1305
ciphertext. The purpose is the associated data, so a sealed text opens only in the place that it was sealed for. The
``Store`` is given its ``Keys`` when it is opened, and each of its sessions has them in ``Session.info``.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from loop.errors import BadKey
from loop.store import tables

PREFIX = "sealed:1:"
KEYS = "sealing keys"
"""The entry of ``Session.info``."""
SECRET_BYTES, NONCE_BYTES = 32, 12
ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Key:
    """A sealing key; its id is a hash, which reveals nothing of it."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ``BadKey`` for another length."""
        if len(self.secret) != SECRET_BYTES:
            raise BadKey(f"sealing key: expected {SECRET_BYTES} bytes, got {len(self.secret)}; restore the key file")

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits."""
        return hashlib.sha256(b"digit-loop sealing key\n" + self.secret).hexdigest()[:ID_DIGITS]


class Keys(Protocol):
    """The sealing keys of one installation. ``loop.home.sealing_key.KeyFile`` reads them from a file."""

    def current(self) -> Key | None:
        """The key that seals; None if there is none yet. Raises ``BadKey``."""

    def create(self) -> Key:
        """Make the first key; the existing one if another process was first. Raises ``BadKey``, ``DiskFull``."""

    def find(self, id_: str) -> Key:
        """The key with this id. Raises ``BadKey``, which states what to do."""


def new_key() -> Key:
    """A random key."""
    return Key(secrets.token_bytes(SECRET_BYTES))


def is_sealed(text: str) -> bool:
    """Whether a stored value is sealed; an earlier release stored it as it is."""
    return text.startswith(PREFIX)


def key_of(sealed: str) -> str:
    """The id of the key of a sealed text."""
    return sealed.removeprefix(PREFIX).partition(":")[0]


def seal_with(key: Key, text: str, purpose: str) -> str:
    """The sealed text."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # here: few commands need it

    nonce = secrets.token_bytes(NONCE_BYTES)
    data = nonce + ChaCha20Poly1305(key.secret).encrypt(nonce, text.encode(), purpose.encode())
    return f"{PREFIX}{key.id}:{base64.b64encode(data).decode('ascii')}"


def open_with(key: Key, sealed: str, purpose: str) -> str:
    """The text. Raises ``BadKey`` if it was altered, or sealed for another purpose or with another key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        data = base64.b64decode(sealed.removeprefix(PREFIX).partition(":")[2], validate=True)
        plain = ChaCha20Poly1305(key.secret).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode())
    except (InvalidTag, binascii.Error, ValueError):
        raise BadKey(
            f"{purpose}: expected a value sealed with key {key.id}, got an altered one; restore a backup"
        ) from None
    return plain.decode()


def seal(tx: Session, text: str, purpose: str) -> str:
    """Seal a secret that is about to be stored. A store that was opened without keys stores it as it is.

    The first secret of a store makes the first key. Raises ``BadKey`` if the store has secrets that were sealed with a
    key which this machine lacks.
    """
    keys: Keys | None = tx.info.get(KEYS)
    if keys is None:
        return text
    if (sealed := _any_sealed(tx)) is not None:
        keys.find(key_of(sealed))  # a machine with another key file must not seal what the others cannot open
    return seal_with(keys.current() or keys.create(), text, purpose)


def opened(tx: Session, stored: str, purpose: str) -> str:
    """A stored secret as it was before it was sealed. Raises ``BadKey``."""
    if not is_sealed(stored):
        return stored
    keys: Keys | None = tx.info.get(KEYS)
    if keys is None:
        raise BadKey(f"{purpose}: sealed with key {key_of(stored)}, but this store was opened without keys")
    return open_with(keys.find(key_of(stored)), stored, purpose)


def _any_sealed(tx: Session) -> str | None:
    secret_columns = (tables.Fact.value, tables.Hook.secret)
    found = union_all(*(select(column).where(column.startswith(PREFIX)) for column in secret_columns))
    return tx.scalar(found.limit(1))
