"""Sources that send uploads: found or stored, and locked until the commit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Date, Integer, Select, String, Update, bindparam, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import quotas, split, tombstones
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.values import Role

SOURCES = tables.Base.metadata.tables["sources"]


@dataclass(frozen=True, slots=True)
class Sender:
    """A source: its side of the split, the number of uploads it stored on the UTC day ``day``, when an earlier source
    of its name was erased, when it was first seen, and since when an operator or its device vouches for it.
    """

    id: int
    role: Role
    day: date | None
    used: int
    erased_at: datetime | None
    seen_at: datetime
    vouched_at: datetime | None
    attested_at: datetime | None

    def may_send(self, exempt_before: datetime) -> bool:
        """Whether its new uploads are accepted where sources that were first seen later must be attested."""
        return self.attested_at is not None or self.vouched_at is not None or self.seen_at < exempt_before


def hold(tx: Session, names: Collection[str], holdout_share: float, now: datetime) -> dict[str, Sender]:
    """Each named source, locked until the commit; a new source is stored first."""
    found = _senders(tx, names)
    while missing := sorted(set(names) - found.keys()):  # one order in every process, so that two cannot deadlock
        salt = split.set_salt(tx)
        rows = [{"name": name, "role": split.role_of(name, salt, holdout_share), "seen_at": now} for name in missing]
        upsert = postgresql if dialect(tx) == "postgresql" else sqlite
        tx.execute(upsert.insert(SOURCES).on_conflict_do_nothing(index_elements=["name"]), rows)
        for name, erased_at in tombstones.of(tx, salt, missing).items():  # after the insert: it waits for an erasure
            tx.execute(update(SOURCES).where(SOURCES.c.name == name).values(erased_at=erased_at))
        _spend_again(tx, salt, missing, now.astimezone(UTC).date())
        found |= _senders(tx, missing)  # a source that others stored and erased in between is stored again
    return found


def spend(tx: Session, used: Mapping[int, int], day: date) -> None:
    """Store how many uploads each source has stored on this day, and count the day if it is a new one."""
    if used:
        counts = listed({"id": source, "used": count} for source, count in used.items())
        tx.execute(_spent(dialect(tx)), counts | {"day": day})


def vouch(tx: Session, names: Collection[str], since: datetime | None) -> int:
    """An operator vouches for these sources from now on, or (None) no longer does; the number of them that exist."""
    if not names:
        return 0
    found = update(SOURCES).where(SOURCES.c.name.in_(names)).values(vouched_at=since).returning(SOURCES.c.id)
    return len(tx.scalars(found).all())


def forget(tx: Session, ids: Collection[int]) -> None:
    """Delete those of these sources of which nothing is stored, neither an upload nor an attestation."""
    if ids:
        left = select(tables.Correction.id).where(tables.Correction.source_id == SOURCES.c.id)
        tx.execute(delete(SOURCES).where(SOURCES.c.id.in_(ids), SOURCES.c.attested_at.is_(None), ~left.exists()))


def _spend_again(tx: Session, salt: str, names: Collection[str], day: date) -> None:
    """Let sources that were erased today begin with the quota that they had used."""
    for name, used in quotas.of(tx, salt, names, day).items():
        fresh = (SOURCES.c.name == name) & (SOURCES.c.quota_day.is_(None) | (SOURCES.c.quota_day < day))
        tx.execute(update(SOURCES).where(fresh).values(quota_day=day, quota_used=used, days_seen=1))


def _senders(tx: Session, names: Collection[str]) -> dict[str, Sender]:
    rows = tx.execute(_sources(dialect(tx)), listed({"name": name} for name in names))
    return {name: Sender(id_, Role(role), *rest) for name, id_, role, *rest in rows}


@lru_cache
def _sources(name: str) -> Select[Any]:
    sought, columns = given(name, name=String()), SOURCES.c
    quota = (columns.quota_day, columns.quota_used)
    times = (columns.erased_at, columns.seen_at, columns.vouched_at, columns.attested_at)
    found = select(columns.name, columns.id, columns.role, *quota, *times)
    held = found.join(sought, sought.c.name == columns.name).order_by(columns.id)
    return held.with_for_update(key_share=True, of=SOURCES)


@lru_cache
def _spent(name: str) -> Update:
    counts = given(name, id=Id, used=Integer())
    day = bindparam("day", type_=Date())
    first = SOURCES.c.quota_day.is_(None) | (SOURCES.c.quota_day < day)
    counted = update(SOURCES).values(
        quota_day=day, quota_used=counts.c.used, days_seen=SOURCES.c.days_seen + case((first, 1), else_=0)
    )
    return counted.where(SOURCES.c.id == counts.c.id)
