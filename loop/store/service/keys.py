"""API keys. Only the hashes of their secrets are stored."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.errors import OpsError
from loop.store import tables


class Role(StrEnum):
    """A key's role: an app uploads and reads the feed, a reviewer reads, ops may do everything else."""

    APP = "app"
    REVIEWER = "reviewer"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. A key with a ``source`` is bound to that source."""

    id: int
    name: str
    role: Role
    source: str | None
    actor: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def usable(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def add(
    tx: Session,
    secret_digest: str,
    name: str,
    role: Role,
    source: str | None,
    actor: str,
    expires: datetime | None,
    now: datetime,
) -> Key:
    """Store a new key by the hash of its secret."""
    row = tables.Key(
        secret_digest=secret_digest,
        name=name,
        role=role,
        source=source,
        actor=actor,
        created_at=now,
        expires_at=expires,
    )
    tx.add(row)
    tx.flush()
    return _key(row)


def count(tx: Session) -> int:
    """The number of keys, including revoked ones."""
    return tx.scalar(select(func.count()).select_from(tables.Key)) or 0


def every(tx: Session) -> dict[str, Key]:
    """All keys by the digests of their secrets, oldest first, including revoked ones."""
    return {row.secret_digest: _key(row) for row in tx.scalars(select(tables.Key).order_by(tables.Key.id))}


def revoke(tx: Session, key_id: int, now: datetime) -> Key:
    """Refuse a key from now on; a second revocation keeps the first time. Raises ``OpsError`` for an unknown key."""
    row = tx.get(tables.Key, key_id) if 0 < key_id < 2**63 else None  # the range of the column
    if row is None:
        raise OpsError(f"no key {key_id}; `loop keys list` lists them")
    row.revoked_at = row.revoked_at or now
    tx.flush()
    return _key(row)


def _key(row: tables.Key) -> Key:
    names = ("id", "name", "source", "actor", "created_at", "expires_at", "revoked_at")
    return Key(role=Role(row.role), **{name: getattr(row, name) for name in names})
