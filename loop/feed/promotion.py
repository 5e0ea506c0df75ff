"""Promote or roll back for an operator: move the champion, then publish the feed.

If the feed cannot be published now, the move stands. The outcome states whether the feed was published, and upkeep
tries again.
"""

from dataclasses import dataclass
from datetime import datetime

from loop import registry
from loop.feed import upkeep
from loop.home import Home
from loop.store import values
from loop.store.values import Attribution


@dataclass(frozen=True, slots=True)
class Moved:
    """The line in the ledger, and the state of the feed after it."""

    move: values.Move
    feed: upkeep.Outcome


def promote(home: Home, number: int, attribution: Attribution, now: datetime) -> Moved:
    """Make a version champion. Raises the errors of ``registry.promote``."""
    return _published(home, registry.promote(home, number, attribution, now), attribution, now)


def rollback(home: Home, family: str, to: int | None, attribution: Attribution, now: datetime) -> Moved:
    """Go back to an earlier champion. Raises the errors of ``registry.rollback``."""
    return _published(home, registry.rollback(home, family, to, attribution, now), attribution, now)


def _published(home: Home, move: values.Move, attribution: Attribution, now: datetime) -> Moved:
    return Moved(move, upkeep.tell(home, attribution, now))
