"""Look up and store many uploads with as many statements as a single one needs.

The transaction first locks the rows of its sources (on SQLite: the whole database, by ``BEGIN IMMEDIATE``). Every
look-up therefore stays true until the commit, and no unique constraint is violated, whatever other processes write.
The rows to look up are passed as one parameter, a JSON list: no limit on bound variables, one statement for every size.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    Date,
    FromClause,
    Insert,
    Integer,
    Select,
    SmallInteger,
    String,
    Update,
    bindparam,
    cast,
    column,
    false,
    func,
    insert,
    select,
    table,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import corrections
from loop.store.tables.base import Id
from loop.store.values import Role, Status

SOURCES, CORRECTIONS, REPLAYS, ARRIVALS = (
    tables.Base.metadata.tables[name] for name in ("sources", "corrections", "replays", "arrivals")
)
SEQUENCES = table("sqlite_sequence", column("name", String()), column("seq", Id))
"""SQLite's own table: the highest id that each table ever had."""
Key = tuple[int, str]
"""A source's id and one of its idempotency keys."""
Content = tuple[int, str, int]
"""A source's id, the digest of an image, its label."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A source: its side of the split, and the number of uploads it stored on the UTC day ``day``."""

    id: int
    role: Role
    day: date | None
    used: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored upload: the fields that an answer repeats."""

    id: int
    digest: str
    status: Status
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Bound:
    """The upload behind a key. ``duplicate``: the upload was first stored under another key."""

    stored: Stored
    body_digest: str
    duplicate: bool


def senders(tx: Session, names: Collection[str], holdout_share: float, now: datetime) -> dict[str, Sender]:
    """Each named source, locked until the commit; a new source is stored first."""
    found = _senders(tx, names)
    while missing := sorted(set(names) - found.keys()):  # one order in every process, so that two cannot deadlock
        salt = corrections.set_salt(tx)
        rows = [
            {"name": name, "role": corrections.role_of(name, salt, holdout_share), "seen_at": now} for name in missing
        ]
        dialect = postgresql if _dialect(tx) == "postgresql" else sqlite
        tx.execute(dialect.insert(SOURCES).on_conflict_do_nothing(index_elements=["name"]), rows)
        found |= _senders(tx, missing)  # a source that others stored and erased in between is stored again
    return found


def bound(tx: Session, keys: Collection[Key]) -> dict[Key, Bound]:
    """The upload behind each of these keys; keys that were never used are left out."""
    rows = tx.execute(_bound(_dialect(tx)), _listed({"source": source, "key": key} for source, key in keys))
    return {
        (source, key): Bound(Stored(id_, digest, Status(status), received_at), body, duplicate)
        for source, key, body, duplicate, id_, digest, status, received_at in rows
    }


def stored(tx: Session, contents: Collection[Content]) -> dict[Content, Stored]:
    """The stored upload of each of these images and labels; those that are not stored are left out."""
    sought = ({"source": source, "digest": digest, "label": label} for source, digest, label in contents)
    rows = tx.execute(_stored(_dialect(tx)), _listed(sought))
    return {
        (source, digest, label): Stored(id_, digest, Status(status), received_at)
        for source, label, id_, digest, status, received_at in rows
    }


def add(tx: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Store new uploads, each waiting for its live score; their ids, in the same order."""
    if not rows:
        return []
    numbers = _reserved(tx, len(rows))
    numbered = [{"id": number, **row} for number, row in zip(numbers, rows, strict=True)]
    if _dialect(tx) == "postgresql":  # inserting row by row takes twice the time, on the client and on the server
        tx.execute(_added(), _listed(numbered))
    else:
        tx.execute(insert(CORRECTIONS), numbered)
    tx.execute(_waiting(_dialect(tx)), _listed({"id": number} for number in numbers))
    return numbers


def bind(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store keys whose upload was already stored under another key."""
    if rows:
        tx.execute(insert(REPLAYS), rows)


def spend(tx: Session, used: Mapping[int, int], day: date) -> None:
    """Store how many uploads each source has stored on this day."""
    if used:
        counts = _listed({"id": source, "used": count} for source, count in used.items())
        tx.execute(_spent(_dialect(tx)), counts | {"day": day})


def _reserved(tx: Session, count: int) -> list[int]:
    """Ids for new uploads, never used before. Reserved first, so that the insert needs no ``RETURNING``."""
    if _dialect(tx) == "postgresql":
        sequence = func.pg_get_serial_sequence(CORRECTIONS.name, CORRECTIONS.c.id.name)
        return list(tx.scalars(select(func.nextval(sequence)).select_from(func.generate_series(1, count))))
    last = select(func.max(SEQUENCES.c.seq)).where(SEQUENCES.c.name == CORRECTIONS.name)  # the lock on it is ours
    first = (tx.scalar(last) or 0) + 1
    return list(range(first, first + count))


def _senders(tx: Session, names: Collection[str]) -> dict[str, Sender]:
    rows = tx.execute(_sources(_dialect(tx)), _listed({"name": name} for name in names))
    return {name: Sender(id_, Role(role), day, used) for name, id_, role, day, used in rows}


def _dialect(tx: Session) -> str:
    return tx.get_bind().dialect.name


@lru_cache
def _sources(dialect: str) -> Select[Any]:
    given, columns = _given(dialect, name=String()), SOURCES.c
    sought = select(columns.name, columns.id, columns.role, columns.quota_day, columns.quota_used)
    held = sought.join(given, given.c.name == columns.name).order_by(columns.id)
    return held.with_for_update(key_share=True, of=SOURCES)


@lru_cache
def _bound(dialect: str) -> Any:
    given, key, replay = _given(dialect, source=Id, key=String()), CORRECTIONS.c, REPLAYS.c
    answer = (key.id, key.digest, key.status, key.received_at)
    first = select(key.source_id, key.key, key.body_digest, false().label("duplicate"), *answer).join(
        given, (key.source_id == given.c.source) & (key.key == given.c.key)
    )
    again = (
        select(replay.source_id, replay.key, replay.body_digest, true().label("duplicate"), *answer)
        .join(CORRECTIONS, key.id == replay.correction_id)
        .join(given, (replay.source_id == given.c.source) & (replay.key == given.c.key))
    )
    return union_all(first, again)


@lru_cache
def _stored(dialect: str) -> Select[Any]:
    given = _given(dialect, source=Id, digest=String(), label=SmallInteger())
    columns = CORRECTIONS.c
    same = (columns.source_id == given.c.source) & (columns.digest == given.c.digest) & (columns.label == given.c.label)
    sought = (columns.source_id, columns.label, columns.id, columns.digest, columns.status, columns.received_at)
    return select(*sought).join(given, same)


@lru_cache
def _spent(dialect: str) -> Update:
    given = _given(dialect, id=Id, used=Integer())
    counted = update(SOURCES).values(quota_day=bindparam("day", type_=Date()), quota_used=given.c.used)
    return counted.where(SOURCES.c.id == given.c.id)


@lru_cache
def _waiting(dialect: str) -> Insert:
    return insert(ARRIVALS).from_select(["correction_id"], select(_given(dialect, id=Id).c.id))


@lru_cache
def _added() -> Insert:
    columns = {column.name: column.type for column in CORRECTIONS.columns}
    return insert(CORRECTIONS).from_select(list(columns), select(_given("postgresql", **columns)))


def _given(dialect: str, **types: Any) -> FromClause:
    """The parameter ``given`` of a statement as a table with these columns."""
    given = bindparam("given", type_=String())
    if dialect == "postgresql":
        rows = func.json_to_recordset(cast(given, JSON()))
        return rows.table_valued(*(column(name, kind) for name, kind in types.items())).render_derived(with_types=True)
    row = func.json_each(given).table_valued("value").c.value
    return select(*(cast(row.op("->>")(name), kind).label(name) for name, kind in types.items())).subquery()


def _listed(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Rows as the parameter ``given``."""
    return {"given": json.dumps(list(rows), default=_as_text)}


def _as_text(value: object) -> str:
    """Bytes and times in the form that PostgreSQL reads."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"expected bytes or a time, got {type(value).__name__}")
