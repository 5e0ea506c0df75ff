"""Move the champion, then publish the feed: what an operator's promotion or rollback means for devices.

The move is the truth: a feed that cannot be published now does not undo it. The outcome states what became of the feed,
and upkeep tries again.
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
    """The line in the ledger, and what devices see since."""

    move: values.Move
    feed: upkeep.Outcome


def promote(home: Home, number: int, order: Attribution, now: datetime) -> Moved:
    """Make a version champion. Raises as ``registry.promote`` does."""
    return _announced(home, registry.promote(home, number, order, now), order, now)


def rollback(home: Home, family: str, to: int | None, order: Attribution, now: datetime) -> Moved:
    """Go back to an earlier champion. Raises as ``registry.rollback`` does."""
    return _announced(home, registry.rollback(home, family, to, order, now), order, now)


def _announced(home: Home, move: values.Move, order: Attribution, now: datetime) -> Moved:
    return Moved(move, upkeep.tell(home, order, now))
