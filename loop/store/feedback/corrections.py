"""Sources and their corrections.

A source is assigned to one side of the split when it is first seen and never moves: one person's handwriting never both
teaches and judges. An upload is stored once: by (source, key), and by (source, image, label).
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Kind, Pool, Role, Status

SALT_KEY = "holdout salt"


def role_of(name: str, salt: str, holdout_share: float) -> Role:
    """The side of a source, by a salted hash of its id, so that a sender cannot choose its side."""
    hashed = hashlib.sha256(f"{salt}\0{name}".encode()).digest()
    return Role.HOLDOUT if int.from_bytes(hashed[:8]) < holdout_share * 2**64 else Role.TRAIN


def set_salt(tx: Session, salt: str | None = None) -> str:
    """This store's salt, created (or set to ``salt``) if there is none yet."""
    fact = tx.get(tables.Fact, SALT_KEY)
    if fact is None:
        fact = tables.Fact(key=SALT_KEY, value=salt or secrets.token_hex(16))
        try:
            with tx.begin_nested():
                tx.add(fact)
        except IntegrityError:  # another process was first
            fact = tx.scalars(select(tables.Fact).where(tables.Fact.key == SALT_KEY)).one()
    return fact.value


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
    """The number of uploads by side, kind and status."""
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
        has_prediction=np.array([row.predicted is not None for row in rows], np.bool_),
        rates=np.array([row.rate for row in rows], np.float64),
    )
