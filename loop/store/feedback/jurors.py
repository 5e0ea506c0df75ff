"""The hands that judge: which holdout sources may, and which of them wait until they are known longer."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from loop.store import tables
from loop.store.values import Role, Status


@dataclass(frozen=True, slots=True)
class Hands:
    """Holdout sources with an upload that can judge. ``ready`` may judge now; ``waiting`` are too new, and the first of
    them may judge on ``first`` if it sends something every day until then.
    """

    ready: int
    waiting: int
    first: date | None


def seasoned(days: int) -> ColumnElement[bool]:
    """Whether a row of ``sources`` is a holdout source that may judge."""
    source = tables.Source
    return (source.role == Role.HOLDOUT) & ((source.days_seen >= days) | source.vouched_at.is_not(None))


def hands(tx: Session, days: int, today: date) -> Hands:
    """Count the hands; ``today`` is the UTC day."""
    source, upload = tables.Source, tables.Correction
    usable = (upload.source_id == source.id) & (upload.status == Status.ACCEPTED) & upload.flag.is_(None)
    each = select(
        seasoned(days).label("ready"),
        source.days_seen,
        func.coalesce(source.quota_day == today, False).label("sent_today"),
    ).where(source.role == Role.HOLDOUT, exists().where(usable))
    groups = each.subquery().c
    query = select(*groups, func.count()).group_by(*groups)
    ready = waiting = 0
    first = None
    rows: Any = tx.execute(query).all()
    for may_judge, seen, sent_today, count in rows:
        if may_judge:
            ready += count
            continue
        waiting += count
        earliest = today + timedelta(days=days - seen - (0 if sent_today else 1))
        first = earliest if first is None else min(first, earliest)
    return Hands(ready, waiting, first)


def in_words(found: Hands, days: int) -> str:
    """How many hands may judge, how many wait, and for what."""
    return judging(found.ready) + too_new(found, days)


def judging(count: int) -> str:
    """How many hands judge."""
    return "no hand judges yet" if count == 0 else "1 hand judges" if count == 1 else f"{count:,} hands judge"


def too_new(found: Hands, days: int) -> str:
    """The end of the sentence: how many hands wait, and for what; empty if none does."""
    if not found.waiting:
        return ""
    many = "1 more is" if found.waiting == 1 else f"{found.waiting:,} more are"
    first = "" if found.first is None else f"; the first can judge on {found.first:%Y-%m-%d}"
    return f"; {many} too new, a hand judges once it was seen on {days} days{first}"
