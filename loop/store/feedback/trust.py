"""The trust of each source as the last night assessed it, who vouches for it, and what reviewers decided about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import String, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from loop.errors import UnknownSource
from loop.store import tables
from loop.store.feedback import senders
from loop.store.feedback.json_rows import dialect, given, listed
from loop.store.feedback.labelled import PART, SECONDS_A_DAY
from loop.store.values import Role

VOUCHED = "vouched"
TRUST = tables.Base.metadata.tables["trust"]


@dataclass(frozen=True, slots=True)
class Trusted:
    """A source with its stored trust: ``value`` 0 to 1 and ``reasons`` (signal, text, numbers) are None and empty
    before the first night that assessed it. ``attested_app``: the app that its device attested at ``attested_at``.
    """

    name: str
    role: Role
    seen_at: datetime
    days_seen: int
    vouched_at: datetime | None
    value: float | None
    reasons: list[dict[str, Any]]
    assessed_at: datetime | None
    attested_at: datetime | None
    attested_app: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Reviewers' decisions about quarantined uploads: ``sources (n,) int64`` (ids), ``accepted (n,) bool``, and
    ``days (n,) float64``, when, in days since 1970.
    """

    sources: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    days: NDArray[np.float64]


def get(tx: Session, name: str) -> Trusted:
    """One source. Raises ``UnknownSource``."""
    row = tx.execute(_trusted().where(tables.Source.name == name)).first()
    if row is None:
        raise UnknownSource(f"source: expected one that is stored, got {name[:80]!r}; `loop sources` lists them")
    return _value(row)


def some(tx: Session, names: Sequence[str]) -> dict[str, Trusted]:
    """These sources by name."""
    sought = given(dialect(tx), name=String())
    query = _trusted().join(sought, sought.c.name == tables.Source.name)
    rows = tx.execute(query, listed({"name": name} for name in names))
    return {row[0]: _value(row) for row in rows}


def values(tx: Session) -> dict[str, float]:
    """The stored trust of every source that has one, by name."""
    query = select(tables.Source.name, tables.Trust.value).join(
        tables.Trust, tables.Trust.source_id == tables.Source.id
    )
    return dict(tx.execute(query).all())


def stored(tx: Session) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ids of the sources that have a stored trust, ascending, and its values; read in parts."""
    query, last = select(tables.Trust.source_id, tables.Trust.value), 0
    ids, found = [np.empty(0, np.int64)], [np.empty(0, np.float64)]
    while rows := tx.execute(
        query.where(tables.Trust.source_id > last).order_by(tables.Trust.source_id).limit(PART)
    ).all():
        ids.append(np.array([row.source_id for row in rows], np.int64))
        found.append(np.array([row.value for row in rows], np.float64))
        last = rows[-1].source_id
    return np.concatenate(ids), np.concatenate(found)


def put(tx: Session, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store the trust of these sources: ``source_id``, ``value``, ``reasons``. Sources that were erased are left out.

    A reason by which an operator vouches for a source stays. ``tx`` must be exclusive.
    """
    ids = [row["source_id"] for row in rows]
    kept: dict[int, list[dict[str, Any]] | None] = dict(
        tx.execute(
            select(tables.Source.id, tables.Trust.reasons)
            .outerjoin(tables.Trust, tables.Trust.source_id == tables.Source.id)
            .where(tables.Source.id.in_(ids))
        ).all()
    )
    made = [
        row | {"reasons": _vouching(kept[row["source_id"]]) + row["reasons"], "assessed_at": now}
        for row in rows
        if row["source_id"] in kept
    ]
    if made:
        insert = (postgresql if dialect(tx) == "postgresql" else sqlite).insert(TRUST)
        new = {name: insert.excluded[name] for name in ("value", "reasons", "assessed_at")}
        tx.execute(insert.on_conflict_do_update(index_elements=["source_id"], set_=new), made)


def vouch(tx: Session, name: str, actor: str, reason: str, now: datetime) -> Trusted:
    """Vouch for a source: it counts as old and as trusted. Raises ``UnknownSource``. ``tx`` must be exclusive."""
    source_id = _vouched_at(tx, name, now)
    said = {"signal": VOUCHED, "text": f"{actor} vouches for it: {reason}", "numbers": {}}
    row = tx.get(tables.Trust, source_id)
    if row is None:
        tx.add(tables.Trust(source_id=source_id, value=1.0, reasons=[said], assessed_at=now))
    else:
        row.value, row.reasons = 1.0, [said, *(each for each in row.reasons if each["signal"] != VOUCHED)]
    tx.flush()
    return get(tx, name)


def unvouch(tx: Session, name: str) -> Trusted:
    """Vouch for a source no more; the next night assesses it. Raises ``UnknownSource``. ``tx`` must be exclusive."""
    row = tx.get(tables.Trust, _vouched_at(tx, name, None))
    if row is not None:
        tx.delete(row)
        tx.flush()
    return get(tx, name)


def decisions(tx: Session) -> Decisions:
    """Every decision of a reviewer."""
    quarantine = tables.Quarantine
    rows = tx.execute(
        select(tables.Correction.source_id, quarantine.decision, quarantine.decided_at)
        .join(tables.Correction, tables.Correction.id == quarantine.correction_id)
        .where(quarantine.decision.is_not(None), quarantine.decided_at.is_not(None))
    ).all()
    return Decisions(
        np.array([row.source_id for row in rows], np.int64),
        np.array([row.decision == "accepted" for row in rows], np.bool_),
        np.array([row.decided_at.timestamp() / SECONDS_A_DAY for row in rows], np.float64),
    )


def _vouched_at(tx: Session, name: str, moment: datetime | None) -> int:
    """Set since when an operator vouches for the source; its id."""
    get(tx, name)
    senders.vouch(tx, [name], moment)
    return tx.scalars(select(tables.Source.id).where(tables.Source.name == name)).one()


def _trusted() -> Any:
    source, trust = tables.Source, tables.Trust
    columns = (source.name, source.role, source.seen_at, source.days_seen, source.vouched_at)
    own, attested = (trust.value, trust.reasons, trust.assessed_at), (source.attested_at, source.attested_app)
    joined = select(*columns, *own, *attested)
    return joined.outerjoin(trust, trust.source_id == source.id)


def _value(row: Any) -> Trusted:
    name, role, seen_at, days_seen, vouched_at, value, reasons, *rest = row
    return Trusted(name, Role(role), seen_at, days_seen, vouched_at, value, list(reasons or ()), *rest)


def _vouching(reasons: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return [each for each in reasons or () if each["signal"] == VOUCHED]
