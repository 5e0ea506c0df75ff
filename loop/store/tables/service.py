"""What the service and the operators need: facts, keys, signs of life, events and who hears of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base, Id, Sha256, one_of


class Fact(Base):
    """What is true of this store as a whole: the holdout salt, set once."""

    __tablename__ = "facts"
    key: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Key(Base):
    """Who may call the API: the hash of a secret, a role, and perhaps the one source it speaks for."""

    __tablename__ = "keys"
    __table_args__ = (one_of("role", "app", "reviewer", "ops"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(10))
    secret_digest: Mapped[str] = mapped_column(Sha256, unique=True)
    source: Mapped[str | None] = mapped_column(String(128))
    actor: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Beat(Base):
    """A sign of life of a long-running process: the API, a scheduler."""

    __tablename__ = "beats"
    holder: Mapped[str] = mapped_column(String(200), primary_key=True)
    what: Mapped[str] = mapped_column(String(20), primary_key=True)
    beat_at: Mapped[datetime]


class Event(Base):
    """Something that happened, written in the transaction that made it happen: the outbox of the webhooks."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    body: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime]


class Hook(Base):
    """An address that wants to be told of events, and the secret that signs what it is told."""

    __tablename__ = "hooks"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(500))
    secret: Mapped[str] = mapped_column(String(100))
    kinds: Mapped[list[str]]
    since: Mapped[int] = mapped_column(BigInteger)
    """The last event that was there before the hook: it hears only of later ones."""
    actor: Mapped[str] = mapped_column(String(100))
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Delivery(Base):
    """One event for one hook: whether it was taken, how often it was tried, when it will be again."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("event_id", "hook_id"),
        Index(None, "status", "next_at"),
        one_of("status", "waiting", "delivered", "given-up"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    hook_id: Mapped[int] = mapped_column(ForeignKey("hooks.id"))
    status: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    next_at: Mapped[datetime]
    answer: Mapped[str | None] = mapped_column(String(200))
    """What the last try came to: a status code, or why there was none."""
    tried_at: Mapped[datetime | None]
