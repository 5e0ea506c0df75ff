"""Delete a source, or one of its uploads, from every table, and keep account of what was taught with them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.feedback import considered, quotas, senders, split, tombstones
from loop.store.service import key_values
from loop.store.values import Status

UNSCRUBBED_KEY = "last erasure that was not scrubbed"


@dataclass(frozen=True, slots=True)
class Gone:
    """How many uploads were erased, and the versions that were taught with them, for ops. ``considered``: the versions
    that were made while they counted, for the source, which must not learn whether it teaches.
    """

    uploads: int
    taught: tuple[int, ...]
    considered: tuple[int, ...] = ()


def known(tx: Session, name: str) -> bool:
    """Whether the store contains this source or a tombstone of it, so that erasing it adds no row."""
    source = tx.scalar(select(tables.Source.id).where(tables.Source.name == name))
    return source is not None or bool(tombstones.of(tx, split.set_salt(tx), [name]))


def erase(tx: Session, name: str, actor: str, now: datetime) -> Gone:
    """Erase a source and leave a tombstone, even of a source that never sent anything: its first upload may be late.

    ``tx`` must be exclusive.
    """
    stored = tx.scalar(select(tables.Source.id).where(tables.Source.name == name)) is not None
    source = senders.hold(tx, [name], 0.0, now)[name]  # its row, made if need be, keeps concurrent uploads waiting
    gone = _delete(tx, source.id)
    if source.day == now.astimezone(UTC).date():
        quotas.put(tx, split.set_salt(tx), name, source.day, source.used)
    erasure = tombstones.put(tx, name, gone.uploads, actor, now, known=stored)
    if stored:
        key_values.put(tx, UNSCRUBBED_KEY, str(erasure))
    return gone


def reapply(tx: Session) -> int:
    """Erase again the sources that an old backup brought back; the number of uploads. ``tx`` must be exclusive.

    A source that was first seen after its erasure is a new one with the same name, and stays.
    """
    erased = tombstones.latest(tx)
    if not erased:
        return 0
    salt, count = split.set_salt(tx), 0
    sources = tx.execute(select(tables.Source.id, tables.Source.name, tables.Source.seen_at)).all()
    for source_id, name, seen_at in sources:
        erased_at = erased.get(tombstones.digest_of(salt, name))
        if erased_at is not None and seen_at <= erased_at:
            count += _delete(tx, source_id).uploads
    return count


def unteach(tx: Session, its: ColumnElement[bool]) -> tuple[int, ...]:
    """Mark every snapshot that contains these uploads: it is never taught again, and a night that teaches it now is not
    published. Returns the versions that were taught with it. ``tx`` must be exclusive.

    Call it before the uploads are deleted or withdrawn: one that was withdrawn is not counted a second time.
    """
    item, snapshot, upload = tables.SnapshotItem, tables.Snapshot, tables.Correction
    fresh = func.count().filter(upload.status != Status.WITHDRAWN)
    chosen = select(item.snapshot_id, fresh).join(upload, upload.id == item.correction_id).where(its)
    lost = dict(tx.execute(chosen.group_by(item.snapshot_id)).all())
    for snapshot_id, n in lost.items():
        if n:
            tx.execute(update(snapshot).where(snapshot.id == snapshot_id).values(erased=snapshot.erased + n))
    return _taught(tx, lost)


def tainted(tx: Session) -> list[int]:
    """The versions that were taught with uploads that were erased, withdrawn, quarantined or rejected later."""
    version, snapshot, item, upload = tables.Version, tables.Snapshot, tables.SnapshotItem, tables.Correction
    refused = (  # from the few refused uploads to their lessons
        select(item.snapshot_id)
        .join(upload, upload.id == item.correction_id)
        .where(upload.status.in_((Status.QUARANTINED, Status.REJECTED)))
    )
    found = select(version.number).join(snapshot, snapshot.id == version.snapshot_id)
    return list(tx.scalars(found.where((snapshot.erased > 0) | snapshot.id.in_(refused)).order_by(version.number)))


def unscrubbed(tx: Session) -> str | None:
    """The id of the last erasure, if its bytes may still be in SQLite's log."""
    return key_values.get(tx, UNSCRUBBED_KEY)


def scrubbed(tx: Session, erasure: str) -> None:
    """Record that the log was emptied, unless another erasure followed. ``tx`` must be exclusive."""
    if key_values.get(tx, UNSCRUBBED_KEY) == erasure:
        key_values.drop(tx, UNSCRUBBED_KEY)


def _delete(tx: Session, source_id: int) -> Gone:
    from loop.store.asking import rounds  # here, so that a command that erases nothing does not load NumPy

    upload = tables.Correction
    its = select(upload.id).where(upload.source_id == source_id)
    held = select(tables.Arrival.correction_id).where(tables.Arrival.correction_id.in_(its))
    # Lock in the order in which the scorer writes, so that the two never deadlock.
    tx.execute(held.order_by(tables.Arrival.correction_id).with_for_update())
    taught, made = unteach(tx, upload.source_id == source_id), considered.of_source(tx, source_id)
    questions = select(tables.Question.id).where(tables.Question.correction_id.in_(its))
    for of_question in (tables.Answer, tables.Hold):
        tx.execute(delete(of_question).where(of_question.question_id.in_(questions)))
    tx.execute(delete(tables.Question).where(tables.Question.correction_id.in_(its)))
    rounds.erase(tx, tx.scalars(its))
    for table in (tables.SnapshotItem, tables.Arrival, tables.Replay, tables.Quarantine):
        tx.execute(delete(table).where(table.correction_id.in_(its)))
    count = tx.scalar(select(func.count()).select_from(upload).where(upload.source_id == source_id)) or 0
    tx.execute(delete(upload).where(upload.source_id == source_id))
    tx.execute(delete(tables.Trust).where(tables.Trust.source_id == source_id))
    name = select(tables.Source.name).where(tables.Source.id == source_id).scalar_subquery()
    tx.execute(delete(tables.Challenge).where(tables.Challenge.source_name == name))
    tx.execute(delete(tables.Source).where(tables.Source.id == source_id))
    return Gone(count, taught, made)


def _taught(tx: Session, snapshot_ids: Collection[int]) -> tuple[int, ...]:
    found = select(tables.Version.number).where(tables.Version.snapshot_id.in_(snapshot_ids))
    return tuple(tx.scalars(found.order_by(tables.Version.number)))
