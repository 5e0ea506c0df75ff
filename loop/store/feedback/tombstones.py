"""Tombstones: which sources were erased, and when, by the salted hashes of their names.

A tombstone outlives the source and is never deleted: it refuses uploads that were drawn before the erasure, and keeps a
restored backup from bringing the source back.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import String, func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import split
from loop.store.feedback.json_rows import dialect, given, listed

MAX_ACTOR_CHARACTERS = 100


def put(tx: Session, name: str, uploads: int, actor: str, now: datetime, *, known: bool) -> int:
    """Record an erasure; the id of its row. ``tx`` must be exclusive.

    If nothing was stored of the source (not ``known``), its last tombstone is dated anew instead, if there is one.
    """
    digest = digest_of(split.set_salt(tx), name)
    last = select(tables.Erasure).where(tables.Erasure.name_digest == digest).order_by(tables.Erasure.id.desc())
    row = None if known else tx.scalar(last.limit(1))
    if row is None:
        row = tables.Erasure(name_digest=digest, uploads=uploads, actor=actor[:MAX_ACTOR_CHARACTERS], erased_at=now)
        tx.add(row)
    row.erased_at = max(row.erased_at, now)
    tx.flush()
    return row.id


def of(tx: Session, salt: str, names: Collection[str]) -> dict[str, datetime]:
    """When each of these sources was last erased; those that never were are left out."""
    digests = {digest_of(salt, name): name for name in names}
    rows = tx.execute(_of(dialect(tx)), listed({"digest": digest} for digest in digests)).all()
    return {digests[digest]: erased_at for digest, erased_at in rows}


def latest(tx: Session) -> dict[str, datetime]:
    """The last erasure by hash."""
    return dict(tx.execute(_latest()).all())


def digest_of(salt: str, name: str) -> str:
    """Salted, so that a reader of the table cannot try names. Not the hash that decides the train/holdout split."""
    return hashlib.sha256(f"erased\0{salt}\0{name}".encode()).hexdigest()


@lru_cache
def _of(name: str) -> Any:
    sought = given(name, digest=String())
    return _latest().join(sought, sought.c.digest == tables.Erasure.name_digest)


def _latest() -> Any:
    row = tables.Erasure
    return select(row.name_digest, func.max(row.erased_at)).group_by(row.name_digest)
