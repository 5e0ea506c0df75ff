"""Slots: nights that are due once. Who may take one is decided here, in the transaction that claims the run.

A slot is free while no run holds it. A run that ends with a word keeps its slot; one that died without a word
gives it back (``store.runs``), and it may be tried again until it was tried often enough.
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
    """A night that is due once; ``cause`` is clock, volume or asked. ``run_id`` None: free."""

    name: str
    family: str
    cause: str
    actor: str
    due_at: datetime
    attempts: int = 0
    run_id: int | None = None


def add(tx: Session, slot: Slot) -> Slot:
    """The slot of this name, written down if it is new. ``tx`` must be exclusive."""
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
    """Is there a slot of this cause and family from ``first`` to ``last``, both included?"""
    slot = tables.Slot
    found = select(slot.name).where(slot.cause == cause, slot.family == family, slot.due_at.between(first, last))
    return tx.scalar(found.limit(1)) is not None


def waiting(tx: Session, now: datetime, attempts: int) -> list[Slot]:
    """Free slots that were tried fewer than ``attempts`` times, oldest first.

    Of a family's clock slots only the newest that is not in the future: missed nights are caught up once. The others
    were wanted the moment they were written down, whatever the clock has said since.
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
        raise SlotTaken(f"slot {name}: tried {slot.attempts} times already, and each died; see `loop runs`")
    count(tx, name, run_id)


def count(tx: Session, name: str, run_id: int | None) -> None:
    """One more attempt at the slot, by this run (None: by a process that did not live to have one)."""
    slot = tables.Slot
    tx.execute(update(slot).where(slot.name == name).values(run_id=run_id, attempts=slot.attempts + 1))


def free(tx: Session, run_id: int) -> None:
    """The run gives its slot back, if it has one."""
    tx.execute(update(tables.Slot).where(tables.Slot.run_id == run_id).values(run_id=None))


def spare(tx: Session, run_id: int) -> None:
    """The run gives its slot back, and it does not count as an attempt: however often a scheduler is restarted."""
    slot = tables.Slot
    tx.execute(update(slot).where(slot.run_id == run_id).values(run_id=None, attempts=slot.attempts - 1))


def fresh(tx: Session, family: str, enough: int) -> int:
    """How many accepted uploads, of sources that teach, are newer than the newest that the family's last finished night
    taught; not counted past ``enough``. An older one that a reviewer accepted later waits for the clock.
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
