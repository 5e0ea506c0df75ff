"""What an erased source had stored on the day of its erasure, so that erasing oneself does not renew the day's quota.

The name is kept as a salted hash, which is not the one of its tombstone, and only until ``loop gc``.
"""

import hashlib
from collections.abc import Collection
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import Date, String, bindparam, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback.json_rows import dialect, given, listed


def put(tx: Session, salt: str, name: str, day: date, used: int) -> None:
    """Keep what a source has stored on a day. ``tx`` must be exclusive."""
    if used:
        tx.merge(tables.Quota(name_digest=digest_of(salt, name), day=day, used=used))
        tx.flush()


def of(tx: Session, salt: str, names: Collection[str], day: date) -> dict[str, int]:
    """What those of these sources that were erased on this day had stored on it."""
    digests = {digest_of(salt, name): name for name in names}
    rows = tx.execute(_of(dialect(tx)), listed({"digest": digest} for digest in digests) | {"day": day}).all()
    return {digests[digest]: used for digest, used in rows}


def digest_of(salt: str, name: str) -> str:
    """The hash of a name."""
    return hashlib.sha256(f"quota\0{salt}\0{name}".encode()).hexdigest()


@lru_cache
def _of(name: str) -> Any:
    sought, row = given(name, digest=String()), tables.Quota
    day = bindparam("day", type_=Date())
    return select(row.name_digest, row.used).join(sought, sought.c.digest == row.name_digest).where(row.day == day)
