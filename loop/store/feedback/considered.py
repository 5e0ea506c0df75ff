"""The versions for which an upload was considered: what its source may know of its use.

The answer depends on times alone, never on the side of the source or on what was drawn: a version is named if it was
registered after the upload arrived, and its night began before the upload was replaced or taken back. So nobody learns
whether a source teaches or judges, and no version that learned from the upload is missing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Kind


@dataclass(frozen=True, slots=True)
class Made:
    """A version that a night made: when the night began, and when the version was registered."""

    number: int
    began_at: datetime
    registered_at: datetime


def since(tx: Session, moment: datetime) -> list[Made]:
    """The versions of nights that were registered after this moment, oldest first."""
    version, run = tables.Version, tables.Run
    query = select(version.number, run.started_at, version.registered_at).join(run, run.id == version.run_id)
    query = query.where(run.kind == "night", version.registered_at > moment).order_by(version.number)
    return [Made(*row) for row in tx.execute(query)]


def between(made: list[Made], arrived_at: datetime, ended_at: datetime | None) -> tuple[int, ...]:
    """Those for which an upload was considered that arrived then, and counted until ``ended_at`` (None: still does)."""
    return tuple(
        each.number
        for each in made
        if each.registered_at > arrived_at and (ended_at is None or each.began_at < ended_at)
    )


def of_source(tx: Session, source_id: int) -> tuple[int, ...]:
    """The versions for which any upload of this source with a label may have been considered; a drawing may have got
    one from reviewers, which its source does not learn.
    """
    upload = tables.Correction
    may_count = or_(upload.label.is_not(None), upload.kind == Kind.DRAWING)
    first = select(func.min(upload.received_at)).where(upload.source_id == source_id, may_count)
    moment = tx.scalar(first)
    return () if moment is None else between(since(tx, moment), moment, None)
