"""Queries for the metrics: counts of nights, verdicts and uploads."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import RunStatus, Status


@dataclass(frozen=True, slots=True)
class Nights:
    """The nights of one family with one status: how many, and when the last of them began and ended."""

    family: str
    status: RunStatus
    count: int
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Champion:
    """A family's champion, and since when."""

    family: str
    version: int
    since: datetime


def nights(tx: Session) -> list[Nights]:
    """Nights that ended, by family and status."""
    run = tables.Run
    ended = (run.kind == "night", run.status != RunStatus.RUNNING)
    counts = select(run.family, func.count().label("count"), func.max(run.id).label("last")).where(*ended)
    each = counts.group_by(run.family, run.status).subquery()
    query = select(each.c.family, run.status, each.c.count, run.started_at, run.finished_at)
    rows = tx.execute(query.join(run, run.id == each.c.last).order_by(each.c.family, run.status))
    return [Nights(family, RunStatus(status), count, began, ended) for family, status, count, began, ended in rows]


def verdicts(tx: Session) -> dict[tuple[str, str, str], int]:
    """The number of verdicts: (family, question, outcome) → count."""
    key = (tables.Version.family, tables.Verdict.question, tables.Verdict.outcome)
    judged = select(*key, func.count()).join(tables.Version, tables.Version.number == tables.Verdict.version)
    return {(family, question, outcome): n for family, question, outcome, n in tx.execute(judged.group_by(*key))}


def champions(tx: Session) -> list[Champion]:
    """Each family's champion."""
    move = tables.Move
    last = select(func.max(move.id)).where(move.alias == "champion").group_by(move.family)
    rows = tx.execute(select(move.family, move.after, move.moved_at).where(move.id.in_(last)).order_by(move.family))
    return [Champion(*row) for row in rows]


def uploads(tx: Session) -> dict[Status, int]:
    """Stored uploads by status, read from an index alone: linear in their number, but cheap."""
    rows = tx.execute(select(tables.Correction.status, func.count()).group_by(tables.Correction.status))
    return {Status(status): n for status, n in rows}
