"""Slots: nights that are due once. The transaction that claims a run also takes its slot.

A slot is free while no run holds it. A run that ends in an orderly way keeps its slot. When a run's process dies, the
slot becomes free again (``nights.runs``), until it has had all its attempts.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, aliased

from loop.errors import SlotTaken, UnknownVersion
from loop.store import tables
from loop.store.values import Role, RunStatus, Status


@dataclass(frozen=True, slots=True)
class Slot:
    """A night that is due once; ``cause`` is clock, volume or asked. A slot with ``run_id`` None is free."""

    name: str
    family: str
    cause: str
    actor: str
    due_at: datetime
    attempts: int = 0
    run_id: int | None = None


def add(tx: Session, slot: Slot) -> Slot:
    """The slot of this name, stored if it is new. ``tx`` must be exclusive."""
    row = tx.get(tables.Slot, slot.name)
    if row is None:
        row = tables.Slot(**{name: getattr(slot, name) for name in Slot.__slots__})
        tx.add(row)
        tx.flush()
    return _value(row)


def get(tx: Session, name: str) -> Slot:
    """One slot. Raises ``UnknownVersion``."""
    row = tx.get(tables.Slot, name)
    if row is None:
        raise UnknownVersion(f"no slot {name!r}; `loop runs` shows the slots that were taken")
    return _value(row)


def between(tx: Session, cause: str, family: str, first: datetime, last: datetime) -> bool:
    """Whether this cause and family has a slot due from ``first`` to ``last``, both included."""
    slot = tables.Slot
    found = select(slot.name).where(slot.cause == cause, slot.family == family, slot.due_at.between(first, last))
    return tx.scalar(found.limit(1)) is not None


def waiting(tx: Session, now: datetime, attempts: int) -> list[Slot]:
    """Free slots with fewer than ``attempts`` attempts, oldest first.

    Of a family's clock slots, only the newest that is not in the future: missed nights are caught up once. Slots of the
    other causes are due as soon as they are stored, even if the clock is set back later.
    """
    slot, newer = tables.Slot, aliased(tables.Slot)
    caught_up = select(newer.name).where(
        newer.cause == "clock", newer.family == slot.family, newer.due_at > slot.due_at, newer.due_at <= now
    )
    free = select(slot).where(slot.run_id.is_(None), slot.attempts < attempts)
    wanted = or_(slot.cause != "clock", (slot.due_at <= now) & ~caught_up.exists())
    return [_value(row) for row in tx.scalars(free.where(wanted).order_by(slot.due_at, slot.name))]


def take(tx: Session, name: str, run_id: int, attempts: int) -> None:
    """Give a free slot to a run. ``tx`` must be exclusive. Raises ``SlotTaken``, ``UnknownVersion``."""
    slot = get(tx, name)
    if slot.run_id is not None:
        raise SlotTaken(f"slot {name}: run {slot.run_id} took it; nothing to do")
    if slot.attempts >= attempts:
        raise SlotTaken(f"slot {name}: tried {slot.attempts} times, and each run died; see `loop runs`")
    count(tx, name, run_id)


def count(tx: Session, name: str, run_id: int | None) -> None:
    """Count one more attempt at the slot, by this run (None: its process died before it claimed a run)."""
    slot = tables.Slot
    tx.execute(update(slot).where(slot.name == name).values(run_id=run_id, attempts=slot.attempts + 1))


def free(tx: Session, run_id: int) -> None:
    """Free the run's slot, if it has one."""
    tx.execute(update(tables.Slot).where(tables.Slot.run_id == run_id).values(run_id=None))


def spare(tx: Session, run_id: int) -> None:
    """Free the run's slot without counting the attempt, so that restarts of the scheduler never use up a slot."""
    slot = tables.Slot
    tx.execute(update(slot).where(slot.run_id == run_id).values(run_id=None, attempts=slot.attempts - 1))


def fresh(tx: Session, family: str, enough: int) -> int:
    """How many accepted uploads of teaching sources are newer than the newest that the family's last finished night
    taught, counted up to ``enough``.
    """
    run, upload = tables.Run, tables.Correction
    finished = (run.family == family, run.kind == "night", run.status == RunStatus.FINISHED)
    last = select(run.snapshot_id).where(*finished).order_by(run.id.desc()).limit(1).scalar_subquery()
    item = tables.SnapshotItem
    newest = tx.scalar(select(func.max(item.correction_id)).where(item.snapshot_id == last)) or 0
    teaching = (upload.status == Status.ACCEPTED, upload.id > newest, tables.Source.role == Role.TRAIN)
    counted = select(upload.id).join(tables.Source).where(*teaching).limit(enough).subquery()
    return tx.scalar(select(func.count()).select_from(counted)) or 0


def _value(row: tables.Slot) -> Slot:
    return Slot(**{name: getattr(row, name) for name in Slot.__slots__})
