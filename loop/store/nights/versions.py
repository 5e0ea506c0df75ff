"""Versions, verdicts, and the alias ledger. Versions never change; aliases move by appending."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from loop.errors import UnknownVersion
from loop.store import tables, values

CHAINED_COLUMNS = ("family", "alias", "verb", "before", "after", "actor", "reason", "verdict", "override", "moved_at")
"""The columns of a ledger entry that its link covers."""


def add(tx: Session, version: values.Version) -> None:
    """Store a version; its files must already be in the artifact store."""
    columns = {name: getattr(version, name) for name in values.Version.__slots__ if name != "snapshot_digest"}
    tx.add(tables.Version(**columns))
    tx.flush()


def get(tx: Session, number: int) -> values.Version:
    """One version. Raises ``UnknownVersion``."""
    if not 0 < number < 2**31:  # the range of the column
        raise UnknownVersion(f"no version {number}; `loop versions` lists them")
    row = tx.execute(_versions().where(tables.Version.number == number)).first()
    if row is None:
        raise UnknownVersion(f"no version {number}; `loop versions` lists them")
    return _version(row[0], row[1])


def every(tx: Session, family: str | None = None) -> list[values.Version]:
    """All versions (of one family), newest first."""
    query = _versions().order_by(tables.Version.number.desc())
    if family is not None:
        query = query.where(tables.Version.family == family)
    return [_version(row[0], row[1]) for row in tx.execute(query)]


def numbers(tx: Session) -> frozenset[int]:
    """The numbers of all versions, of every family."""
    return frozenset(tx.scalars(select(tables.Version.number)))


def champion_and_base(tx: Session, family: str) -> tuple[values.Version | None, values.Version | None]:
    """The family's champion and its frozen base, by one query. They can be the same version."""
    holds = tables.Version.number == _holder(family, "champion").scalar_subquery()
    is_base = tables.Run.kind == "base"
    rows = tx.execute(
        _versions()
        .join(tables.Run, tables.Run.id == tables.Version.run_id)
        .add_columns(holds, is_base)
        .where(tables.Version.family == family, holds | is_base)
        .order_by(tables.Version.number.desc())
    ).all()
    champion = next((_version(row[0], row[1]) for row in rows if row[2]), None)
    return champion, next((_version(row[0], row[1]) for row in rows if row[3]), None)


def champion(tx: Session, family: str) -> values.Version | None:
    """The family's champion."""
    return champion_and_base(tx, family)[0]


def base(tx: Session, family: str) -> values.Version | None:
    """The version that is the family's frozen base."""
    return champion_and_base(tx, family)[1]


def twin(
    tx: Session, base_digest: str, snapshot_digest: str | None, recipe_digest: str, seed: int
) -> values.Version | None:
    """The newest version of the same lineage, and therefore with the same weights."""
    row = tx.execute(
        _versions()
        .where(
            tables.Version.base_digest == base_digest,
            tables.Snapshot.digest == snapshot_digest,
            tables.Version.recipe_digest == recipe_digest,
            tables.Version.seed == seed,
        )
        .order_by(tables.Version.number.desc())
        .limit(1)
    ).first()
    return None if row is None else _version(row[0], row[1])


def give(tx: Session, verdict: values.Verdict) -> None:
    """Store a verdict."""
    columns = {name: getattr(verdict, name) for name in values.Verdict.__slots__}
    tx.add(tables.Verdict(**columns))
    tx.flush()


def verdicts(tx: Session, number: int) -> list[values.Verdict]:
    """The verdicts about a version, oldest first."""
    rows = tx.scalars(select(tables.Verdict).where(tables.Verdict.version == number).order_by(tables.Verdict.id))
    return [values.Verdict(row.version, row.question, row.outcome, row.document, row.given_at) for row in rows]


def outcome(tx: Session, number: int) -> str:
    """``passed`` if every verdict passed, else the first other outcome; ``none`` without a verdict."""
    return outcomes(tx).get(number, "none")


def outcomes(tx: Session) -> dict[int, str]:
    """The ``outcome`` of every version that has a verdict."""
    found: dict[int, str] = {}
    for number, given in tx.execute(select(tables.Verdict.version, tables.Verdict.outcome).order_by(tables.Verdict.id)):
        found[number] = given if found.get(number, "passed") == "passed" else found[number]
    return found


def aliases(tx: Session) -> dict[int, str]:
    """Which versions are champion or challenger of their family now; champion if both."""
    last = select(func.max(tables.Move.id)).group_by(tables.Move.family, tables.Move.alias)
    moves = tx.execute(select(tables.Move.after, tables.Move.alias).where(tables.Move.id.in_(last)))
    return dict(sorted(((number, alias) for number, alias in moves), key=lambda pair: pair[1]))


def move(tx: Session, columns: dict[str, Any]) -> None:
    """Append an entry to the ledger, linked to the previous one. ``tx`` must be exclusive."""
    last = tx.scalar(select(tables.Move.link).order_by(tables.Move.id.desc()).limit(1)) or ""
    artifact = tx.scalar(select(tables.Version.artifact_digest).where(tables.Version.number == columns["after"]))
    tx.add(tables.Move(link=link(last, columns, str(artifact)), **columns))
    tx.flush()


def link(last: str, columns: Mapping[str, Any], artifact_digest: str) -> str:
    """SHA-256 over the previous link, the entry's columns, and the digest of the artifact that it points at."""
    line = {name: columns[name] for name in CHAINED_COLUMNS} | {"artifact": artifact_digest}
    line["moved_at"] = columns["moved_at"].astimezone(UTC).isoformat()
    text = json.dumps(line, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(f"{last}\n{text}".encode()).hexdigest()


def holder(tx: Session, family: str, alias: str = "champion", as_of: datetime | None = None) -> int | None:
    """The version that the alias points at (or pointed at at ``as_of``)."""
    return tx.scalar(_holder(family, alias, as_of))


def ledger(tx: Session, family: str | None = None, as_of: datetime | None = None) -> list[values.Move]:
    """The ledger's entries, newest first (those up to ``as_of``)."""
    query = select(tables.Move).order_by(tables.Move.id.desc())
    if family is not None:
        query = query.where(tables.Move.family == family)
    if as_of is not None:
        query = query.where(tables.Move.moved_at <= as_of)
    names = values.Move.__slots__
    return [values.Move(*(getattr(row, name) for name in names)) for row in tx.scalars(query)]


def _holder(family: str, alias: str, as_of: datetime | None = None) -> Select[int]:
    query = select(tables.Move.after).where(tables.Move.family == family, tables.Move.alias == alias)
    if as_of is not None:
        query = query.where(tables.Move.moved_at <= as_of)
    return query.order_by(tables.Move.id.desc()).limit(1)


def _versions() -> Any:
    joined = tables.Version.snapshot_id == tables.Snapshot.id
    return select(tables.Version, tables.Snapshot.digest).join(tables.Snapshot, joined, isouter=True)


def _version(row: tables.Version, snapshot_digest: str | None) -> values.Version:
    columns = {name: getattr(row, name) for name in values.Version.__slots__ if name != "snapshot_digest"}
    return values.Version(snapshot_digest=snapshot_digest, **columns)
