"""Keys: only hashes of secrets are ever here."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.errors import OpsError
from loop.store import tables


class Role(StrEnum):
    """What a key is for: an app uploads and reads the feed, a reviewer looks, ops may do everything else."""

    APP = "app"
    REVIEWER = "reviewer"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. One with a ``source`` speaks for that source alone."""

    id: int
    name: str
    role: Role
    source: str | None
    actor: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def usable(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
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
    """How many keys there ever were."""
    return tx.scalar(select(func.count()).select_from(tables.Key)) or 0


def every(tx: Session) -> dict[str, Key]:
    """All keys by the digests of their secrets, oldest first; revoked ones too."""
    return {row.secret_digest: _key(row) for row in tx.scalars(select(tables.Key).order_by(tables.Key.id))}


def revoke(tx: Session, key_id: int, now: datetime) -> Key:
    """Write down that a key is refused from now on; the first time counts. Raises ``OpsError`` for an unknown one."""
    row = tx.get(tables.Key, key_id) if 0 < key_id < 2**63 else None  # what the column can hold
    if row is None:
        raise OpsError(f"no key {key_id}; `loop keys list` lists them")
    row.revoked_at = row.revoked_at or now
    tx.flush()
    return _key(row)


def _key(row: tables.Key) -> Key:
    names = ("id", "name", "source", "actor", "created_at", "expires_at", "revoked_at")
    return Key(role=Role(row.role), **{name: getattr(row, name) for name in names})
