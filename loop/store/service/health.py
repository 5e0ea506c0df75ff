"""Queries for `loop doctor` and `loop status`: heartbeats, queues, the newest times, the state of the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Role, RunStatus, Status


@dataclass(frozen=True, slots=True)
class Beat:
    """The last heartbeat of a process."""

    holder: str
    what: str
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """A run that has not ended, and the end of its lease."""

    id: int
    family: str
    kind: str
    holder: str
    started_at: datetime
    lease_until: datetime
    step: str | None
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue: its length, and when its oldest entry was added (or is due)."""

    count: int
    oldest: datetime | None


def beats(tx: Session) -> list[Beat]:
    """The last heartbeat of every process, newest first; ``loop gc`` deletes those of ended processes."""
    rows = tx.scalars(select(tables.Beat).order_by(tables.Beat.beat_at.desc()))
    return [Beat(row.holder, row.what, row.beat_at) for row in rows]


def running(tx: Session) -> list[Running]:
    """The runs that have not ended; at most one in a healthy store."""
    rows = tx.scalars(select(tables.Run).where(tables.Run.status == RunStatus.RUNNING).order_by(tables.Run.id))
    names = Running.__slots__
    return [Running(*(getattr(row, name) for name in names)) for row in rows]


def arrivals(tx: Session) -> Waiting:
    """The uploads that wait for their live score."""
    oldest = select(func.count(), func.min(tables.Correction.received_at)).select_from(tables.Arrival)
    waiting = oldest.join(tables.Correction, tables.Correction.id == tables.Arrival.correction_id)
    return Waiting(*tx.execute(waiting.where(tables.Arrival.scored_at.is_(None))).one())


def deliveries(tx: Session, status: str = "waiting") -> Waiting:
    """The deliveries that wait, or those that were given up (``given-up``)."""
    found = select(func.count(), func.min(tables.Delivery.next_at)).where(tables.Delivery.status == status)
    return Waiting(*tx.execute(found).one())


def newest(tx: Session) -> dict[str, datetime]:
    """The time of the newest row of each kind, found by its key; kinds without rows are left out."""
    feed = tables.FeedEntry
    queries: dict[str, Any] = {
        "upload": select(tables.Correction.received_at).order_by(tables.Correction.id.desc()),
        "run": select(tables.Run.started_at).order_by(tables.Run.id.desc()),
        "move of an alias": select(tables.Move.moved_at).order_by(tables.Move.id.desc()),
        "event": select(tables.Event.happened_at).order_by(tables.Event.id.desc()),
        "signed feed": select(feed.signed_at).order_by(feed.epoch.desc(), feed.sequence.desc()),
        "sign of life": select(tables.Beat.beat_at).order_by(tables.Beat.beat_at.desc()),
    }
    found = {kind: tx.scalar(query.limit(1)) for kind, query in queries.items()}
    return {kind: moment for kind, moment in found.items() if moment is not None}


def untaught(tx: Session) -> dict[str, int]:
    """Uploads by status, newer than the newest that the last finished night taught; an index answers alone."""
    upload = tables.Correction
    counts = select(upload.status, func.count()).where(upload.id > _newest_taught(tx)).group_by(upload.status)
    return dict(tx.execute(counts).all())


def untaught_by_teachers(tx: Session) -> int:
    """Of these, the accepted uploads of sources that teach: a night needs ``min_new`` of them."""
    upload = tables.Correction
    new = select(func.count()).select_from(upload).join(tables.Source).where(upload.id > _newest_taught(tx))
    return tx.scalar(new.where(upload.status == Status.ACCEPTED, tables.Source.role == Role.TRAIN)) or 0


def _newest_taught(tx: Session) -> int:
    run, item = tables.Run, tables.SnapshotItem
    finished = (run.kind == "night", run.status == RunStatus.FINISHED)
    last = select(run.snapshot_id).where(*finished).order_by(run.id.desc()).limit(1).scalar_subquery()
    return tx.scalar(select(func.max(item.correction_id)).where(item.snapshot_id == last)) or 0


def server_clock(tx: Session) -> datetime | None:
    """The database server's time; None for SQLite, which has no clock of its own."""
    if tx.get_bind().dialect.name == "sqlite":
        return None
    moment: datetime | None = tx.scalar(text("SELECT clock_timestamp()"))
    return None if moment is None else moment.astimezone(UTC)


def quick_check(tx: Session) -> list[str]:
    """The problems that SQLite finds in its file; empty on PostgreSQL."""
    if tx.get_bind().dialect.name != "sqlite":
        return []
    found = [str(line) for line in tx.scalars(text("PRAGMA quick_check(10)"))]
    return [] if found == ["ok"] else found


def dangling(tx: Session) -> Mapping[str, int]:
    """Rows with a dangling foreign key, by table: SQLite checks keys only on connections that enable it."""
    if tx.get_bind().dialect.name != "sqlite":
        return {}
    found: dict[str, int] = {}
    for row in tx.execute(text("PRAGMA foreign_key_check")):
        found[str(row[0])] = found.get(str(row[0]), 0) + 1
    return found
