"""Look up and store many uploads with as many statements as a single one needs.

The transaction first locks the rows of its sources (on SQLite: the whole database, by ``BEGIN IMMEDIATE``). Every
look-up therefore stays true until the commit, and no unique constraint is violated, whatever other processes write.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Insert,
    Select,
    String,
    Update,
    column,
    false,
    func,
    insert,
    select,
    table,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.tables.base import Id
from loop.store.tables.feedback import CURRENT_WORD
from loop.store.values import Kind, Status

CORRECTIONS, REPLAYS, ARRIVALS = (tables.Base.metadata.tables[name] for name in ("corrections", "replays", "arrivals"))
STORED = ("id", "digest", "status", "received_at", "kind", "label", "captured_at", "supersedes")
"""The columns of ``Stored``."""
SEQUENCES = table("sqlite_sequence", column("name", String()), column("seq", Id))
"""SQLite's own table: the highest id that each table ever had."""
Key = tuple[int, str]
"""A source's id and one of its idempotency keys."""
Picture = tuple[int, str]
"""A source's id and the digest of an image."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored upload: what an answer repeats, and what a later word about the same image is compared with."""

    id: int
    digest: str
    status: Status
    received_at: datetime
    kind: Kind
    label: int | None
    captured_at: datetime | None
    supersedes: int | None


@dataclass(frozen=True, slots=True)
class Bound:
    """The upload behind a key. ``duplicate``: the upload was first stored under another key."""

    stored: Stored
    body_digest: str
    duplicate: bool


def bound(tx: Session, keys: Collection[Key]) -> dict[Key, Bound]:
    """The upload behind each of these keys; keys that were never used are left out."""
    rows = tx.execute(_bound(dialect(tx)), listed({"source": source, "key": key} for source, key in keys))
    return {(source, key): Bound(_stored(row), body, duplicate) for source, key, body, duplicate, *row in rows}


def last_words(tx: Session, pictures: Collection[Picture]) -> dict[Picture, Stored]:
    """The current word of each source about each image; if it has none, the last one that it withdrew, if any."""
    sought = ({"source": source, "digest": digest} for source, digest in pictures)
    rows = tx.execute(_last_words(dialect(tx)), listed(sought))
    return {(source, row[1]): _stored(row) for source, *row in rows}


def reserve(tx: Session, count: int) -> list[int]:
    """Ids for new uploads, never used before, ascending. Reserved first, so that the insert needs no ``RETURNING``."""
    if count == 0:
        return []
    if dialect(tx) == "postgresql":
        sequence = func.pg_get_serial_sequence(CORRECTIONS.name, CORRECTIONS.c.id.name)
        return sorted(tx.scalars(select(func.nextval(sequence)).select_from(func.generate_series(1, count))))
    last = select(func.max(SEQUENCES.c.seq)).where(SEQUENCES.c.name == CORRECTIONS.name)  # the lock on it is ours
    first = (tx.scalar(last) or 0) + 1
    return list(range(first, first + count))


def supersede(tx: Session, ids: Collection[int]) -> None:
    """These words are no longer current. Call it before ``add``: an image has one current word."""
    if ids:
        tx.execute(_superseded(dialect(tx)), listed({"id": number} for number in ids))


def add(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store new uploads under their reserved ids; each with a label then waits for its live score."""
    if not rows:
        return
    if dialect(tx) == "postgresql":  # inserting row by row takes twice the time, on the client and on the server
        tx.execute(_added(), listed(rows))
    else:
        tx.execute(insert(CORRECTIONS), rows)
    tx.execute(_waiting(dialect(tx)), listed({"id": row["id"]} for row in rows if row["label"] is not None))


def bind(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store keys whose upload was already stored under another key."""
    if rows:
        tx.execute(insert(REPLAYS), rows)


def _stored(row: Sequence[Any]) -> Stored:
    id_, digest, status, received_at, kind, *rest = row
    return Stored(id_, digest, Status(status), received_at, Kind(kind), *rest)


@lru_cache
def _bound(name: str) -> Any:
    sought, key, replay = given(name, source=Id, key=String()), CORRECTIONS.c, REPLAYS.c
    answer = [key[column] for column in STORED]
    first = select(key.source_id, key.key, key.body_digest, false().label("duplicate"), *answer).join(
        sought, (key.source_id == sought.c.source) & (key.key == sought.c.key)
    )
    again = (
        select(replay.source_id, replay.key, replay.body_digest, true().label("duplicate"), *answer)
        .join(CORRECTIONS, key.id == replay.correction_id)
        .join(sought, (replay.source_id == sought.c.source) & (replay.key == sought.c.key))
    )
    return union_all(first, again)


@lru_cache
def _last_words(name: str) -> Select[Any]:
    sought, word = given(name, source=Id, digest=String()), CORRECTIONS.alias("word")
    of_picture = select(word.c.id).where(word.c.source_id == sought.c.source, word.c.digest == sought.c.digest)
    current = of_picture.where(text(CURRENT_WORD)).scalar_subquery()
    withdrawn = of_picture.where(word.c.status == Status.WITHDRAWN).order_by(word.c.id.desc()).limit(1)
    last = CORRECTIONS.c.id == func.coalesce(current, withdrawn.scalar_subquery())
    return select(CORRECTIONS.c.source_id, *(CORRECTIONS.c[column] for column in STORED)).join(sought, last)


@lru_cache
def _superseded(name: str) -> Update:
    words = given(name, id=Id)
    return update(CORRECTIONS).values(status=Status.SUPERSEDED).where(CORRECTIONS.c.id == words.c.id)


@lru_cache
def _waiting(name: str) -> Insert:
    return insert(ARRIVALS).from_select(["correction_id"], select(given(name, id=Id).c.id))


@lru_cache
def _added() -> Insert:
    columns = {column.name: column.type for column in CORRECTIONS.columns}
    return insert(CORRECTIONS).from_select(list(columns), select(given("postgresql", **columns)))
