"""The tables of the service and its operators: facts, keys, heartbeats, events, webhooks and deliveries."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base, Id, Sha256, one_of


class Fact(Base):
    """A key and value about the store as a whole, such as the holdout salt, which is set once and stored sealed."""

    __tablename__ = "facts"
    key: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Key(Base):
    """An API key: the hash of its secret, its role, and optionally the one source that it is bound to."""

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
    """The last heartbeat of a long-running process: the API, a scheduler."""

    __tablename__ = "beats"
    holder: Mapped[str] = mapped_column(String(200), primary_key=True)
    what: Mapped[str] = mapped_column(String(20), primary_key=True)
    beat_at: Mapped[datetime]


class Event(Base):
    """An event, written in the transaction that caused it: the outbox of the webhooks."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    body: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime]


class Hook(Base):
    """A webhook: its address, the secret that signs its requests, and the kinds of event that it receives."""

    __tablename__ = "hooks"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(500))
    secret: Mapped[str] = mapped_column(String(300))
    """Sealed; empty once the webhook is removed."""
    kinds: Mapped[list[str]]
    since: Mapped[int] = mapped_column(BigInteger)
    """The last event before the webhook was added: it receives only later ones."""
    actor: Mapped[str] = mapped_column(String(100))
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Delivery(Base):
    """One event for one webhook: its status, the number of attempts, the time of the next attempt."""

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
    """The result of the last attempt: a status code, or why there was none."""
    tried_at: Mapped[datetime | None]
