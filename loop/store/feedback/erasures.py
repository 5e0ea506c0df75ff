"""Delete a source from every table, and record the erasure without the source's name."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import corrections
from loop.store.service import key_values

UNSCRUBBED_KEY = "last erasure that was not scrubbed"
MAX_ACTOR_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Gone:
    """How many uploads were erased, and the versions that were taught with them."""

    uploads: int
    taught: tuple[int, ...]


def erase(tx: Session, name: str, actor: str, now: datetime) -> Gone | None:
    """Erase a source; None if no source has this name. ``tx`` must be exclusive."""
    source_id = tx.scalar(select(tables.Source.id).where(tables.Source.name == name).with_for_update())
    if source_id is None:
        return None
    gone = _delete(tx, source_id)
    digest = _digest(corrections.set_salt(tx), name)
    row = tables.Erasure(name_digest=digest, uploads=gone.uploads, actor=actor[:MAX_ACTOR_CHARACTERS], erased_at=now)
    tx.add(row)
    tx.flush()
    key_values.put(tx, UNSCRUBBED_KEY, str(row.id))
    return gone


def reapply(tx: Session) -> int:
    """Erase again the sources that an old backup brought back; the number of uploads. ``tx`` must be exclusive.

    A source that was first seen after its erasure is a new one with the same name, and stays.
    """
    last = select(tables.Erasure.name_digest, func.max(tables.Erasure.erased_at)).group_by(tables.Erasure.name_digest)
    erased = dict(tx.execute(last).all())
    if not erased:
        return 0
    salt, uploads = corrections.set_salt(tx), 0
    sources = tx.execute(select(tables.Source.id, tables.Source.name, tables.Source.seen_at)).all()
    for source_id, name, seen_at in sources:
        erased_at = erased.get(_digest(salt, name))
        if erased_at is not None and seen_at <= erased_at:
            uploads += _delete(tx, source_id).uploads
    return uploads


def tainted(tx: Session) -> list[int]:
    """The versions that were taught with uploads that were erased later."""
    version, snapshot = tables.Version, tables.Snapshot
    found = select(version.number).join(snapshot, snapshot.id == version.snapshot_id).where(snapshot.erased > 0)
    return list(tx.scalars(found.order_by(version.number)))


def unscrubbed(tx: Session) -> str | None:
    """The id of the last erasure, if its bytes may still be in SQLite's log."""
    return key_values.get(tx, UNSCRUBBED_KEY)


def scrubbed(tx: Session, erasure: str) -> None:
    """Record that the log was emptied, unless another erasure followed. ``tx`` must be exclusive."""
    if key_values.get(tx, UNSCRUBBED_KEY) == erasure:
        key_values.drop(tx, UNSCRUBBED_KEY)


def _delete(tx: Session, source_id: int) -> Gone:
    upload, item, snapshot = tables.Correction, tables.SnapshotItem, tables.Snapshot
    its = select(upload.id).where(upload.source_id == source_id)
    held = select(tables.Arrival.correction_id).where(tables.Arrival.correction_id.in_(its))
    # Lock in the order in which the scorer writes, so that the two never deadlock.
    tx.execute(held.order_by(tables.Arrival.correction_id).with_for_update())
    items = select(item.snapshot_id, func.count()).where(item.correction_id.in_(its)).group_by(item.snapshot_id)
    lost = dict(tx.execute(items).all())
    for snapshot_id, n in lost.items():
        tx.execute(update(snapshot).where(snapshot.id == snapshot_id).values(erased=snapshot.erased + n))
    for table in (item, tables.Arrival, tables.Replay):
        tx.execute(delete(table).where(table.correction_id.in_(its)))
    uploads = tx.scalar(select(func.count()).select_from(upload).where(upload.source_id == source_id)) or 0
    tx.execute(delete(upload).where(upload.source_id == source_id))
    tx.execute(delete(tables.Source).where(tables.Source.id == source_id))
    return Gone(uploads, _taught(tx, lost))


def _taught(tx: Session, snapshot_ids: Collection[int]) -> tuple[int, ...]:
    found = select(tables.Version.number).where(tables.Version.snapshot_id.in_(snapshot_ids))
    return tuple(tx.scalars(found.order_by(tables.Version.number)))


def _digest(salt: str, name: str) -> str:
    """Salted, so that a reader of the table cannot try names. Not the hash that decides the train/holdout split."""
    return hashlib.sha256(f"erased\0{salt}\0{name}".encode()).hexdigest()
