"""The schema, as SQLAlchemy 2 typed tables: the same on SQLite and PostgreSQL.

Rows of these classes never leave ``loop.store``; callers get the frozen values of ``values.py``. Times are in
UTC. Digests are lower-case SHA-256 hex. A change here needs a migration: ``alembic check`` runs in the tests.
"""

from loop.store.tables.asking import Answer, AskingPolicy, Hold, Question, Round
from loop.store.tables.base import Base, UtcDateTime
from loop.store.tables.feedback import (
    Arrival,
    Challenge,
    Correction,
    Erasure,
    Quarantine,
    Quota,
    Replay,
    Snapshot,
    SnapshotItem,
    Source,
    Trust,
)
from loop.store.tables.nights import Move, Run, Slot, Verdict, Version
from loop.store.tables.phones import FeedEntry, FeedRoot, Withdrawal
from loop.store.tables.service import Beat, Delivery, Event, Fact, Hook, Key

__all__ = [
    "Answer",
    "Arrival",
    "AskingPolicy",
    "Base",
    "Beat",
    "Challenge",
    "Correction",
    "Delivery",
    "Erasure",
    "Event",
    "Fact",
    "FeedEntry",
    "FeedRoot",
    "Hold",
    "Hook",
    "Key",
    "Move",
    "Quarantine",
    "Question",
    "Quota",
    "Replay",
    "Round",
    "Run",
    "Slot",
    "Snapshot",
    "SnapshotItem",
    "Source",
    "Trust",
    "UtcDateTime",
    "Verdict",
    "Version",
    "Withdrawal",
]
