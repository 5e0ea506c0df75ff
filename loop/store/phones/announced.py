"""What was announced to phones: whether anything is new, by one small query."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from loop.store import tables

Mark = tuple[int | None, ...]
"""Equal marks: no feed was signed, no asking policy set and no version registered in between."""


def mark(tx: Session) -> Mark:
    """The mark of this moment. Feeds, policies and versions are only ever added."""
    return tuple(tx.execute(_newest()).one())


@lru_cache
def _newest() -> Select[Any]:
    feed, policy, version = tables.FeedEntry, tables.AskingPolicy, tables.Version
    order = (feed.epoch.desc(), feed.sequence.desc())
    last = [select(column).order_by(*order).limit(1) for column in (feed.epoch, feed.sequence)]
    counts = [select(func.max(policy.id)), select(func.count(version.number))]
    return select(*(each.scalar_subquery() for each in (*last, *counts)))
