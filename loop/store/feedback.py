"""Sources and their corrections.

A source is put on one side of the split when it is first seen and never moves: one hand never both teaches and
judges. An upload is stored once: by (source, key), and by (source, image, label).
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from loop.store import tables, values
from loop.store.values import Kind, Pool, Role, Status

SALT = "holdout salt"


def role_of(name: str, salt: str, holdout_share: float) -> Role:
    """The side a source belongs to: a salted hash of its id, so nobody can choose to judge."""
    hashed = hashlib.sha256(f"{salt}\0{name}".encode()).digest()
    return Role.HOLDOUT if int.from_bytes(hashed[:8]) < holdout_share * 2**64 else Role.TRAIN


def set_salt(tx: Session, salt: str | None = None) -> str:
    """This store's salt, made (or set to ``salt``) if there is none yet."""
    fact = tx.get(tables.Fact, SALT)
    if fact is None:
        fact = tables.Fact(key=SALT, value=salt or secrets.token_hex(16))
        try:
            with tx.begin_nested():
                tx.add(fact)
        except IntegrityError:  # another process was first
            fact = tx.scalars(select(tables.Fact).where(tables.Fact.key == SALT)).one()
    return fact.value


def source(tx: Session, name: str, holdout_share: float, now: datetime) -> tuple[int, Role]:
    """The id and role of a source, which is written down if it was never seen."""
    row = tx.scalar(select(tables.Source).where(tables.Source.name == name))
    if row is None:
        role = role_of(name, set_salt(tx), holdout_share)
        row = tables.Source(name=name, role=role, seen_at=now)
        try:
            with tx.begin_nested():
                tx.add(row)
        except IntegrityError:  # another process saw it first
            row = tx.scalars(select(tables.Source).where(tables.Source.name == name)).one()
    return row.id, Role(row.role)


def find(tx: Session, source_id: int, *, key: str, digest: str, label: int) -> values.Correction | None:
    """The stored upload with this key, else the one with this image and label."""
    where = _corrections().where(tables.Correction.source_id == source_id)
    row = tx.execute(where.where(tables.Correction.key == key)).first()
    if row is None:
        same = (tables.Correction.digest == digest, tables.Correction.label == label)
        row = tx.execute(where.where(*same)).first()
    return None if row is None else _correction(row)


def add(tx: Session, source_id: int, columns: dict[str, Any]) -> int:
    """Store one upload. Raises ``IntegrityError`` when another process stored the same meanwhile."""
    row = tables.Correction(source_id=source_id, **columns)
    with tx.begin_nested():
        tx.add(row)
    return row.id


def pool(tx: Session, role: Role) -> Pool:
    """Every accepted upload of the sources on one side, ordered by id."""
    columns = (
        tables.Correction.id,
        tables.Correction.source_id,
        tables.Correction.pixels,
        tables.Correction.label,
        tables.Correction.kind,
        tables.Correction.predicted,
        tables.Correction.rate,
    )
    rows = tx.execute(
        select(*columns)
        .join(tables.Source)
        .where(tables.Source.role == role, tables.Correction.status == Status.ACCEPTED)
        .order_by(tables.Correction.id)
    ).all()
    return _pool(rows)


def counts(tx: Session) -> dict[tuple[Role, Kind, Status], int]:
    """How many uploads there are, by side, kind and status."""
    key = (tables.Source.role, tables.Correction.kind, tables.Correction.status)
    rows = tx.execute(select(*key, func.count()).join(tables.Source).group_by(*key))
    return {(Role(role), Kind(kind), Status(status)): n for role, kind, status, n in rows}


def _pool(rows: Sequence[Any]) -> Pool:
    pixels = np.frombuffer(b"".join(row.pixels for row in rows), np.uint8)
    return Pool(
        ids=np.array([row.id for row in rows], np.int64),
        sources=np.array([row.source_id for row in rows], np.int64),
        pixels=pixels.reshape(-1, 28, 28),
        labels=np.array([row.label for row in rows], np.uint8),
        corrected=np.array([row.kind == Kind.CORRECTION for row in rows], np.bool_),
        told=np.array([row.predicted is not None for row in rows], np.bool_),
        rates=np.array([row.rate for row in rows], np.float64),
    )


def _corrections() -> Any:
    return select(tables.Correction, tables.Source.name, tables.Source.role).join(tables.Source)


def _correction(row: Any) -> values.Correction:
    found: tables.Correction = row[0]
    return values.Correction(
        id=found.id,
        source=row[1],
        role=Role(row[2]),
        key=found.key,
        body_digest=found.body_digest,
        digest=found.digest,
        label=found.label,
        kind=Kind(found.kind),
        status=Status(found.status),
        predicted=found.predicted,
        confidence=found.confidence,
        version=found.version,
        rate=found.rate,
        received_at=found.received_at,
    )
