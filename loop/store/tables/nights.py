"""The tables of the nights: slots, runs, versions, verdicts, the alias ledger."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base, Id, Sha256, one_of


class Slot(Base):
    """A night that is due once: by the clock, by volume, or on request. ``run_id`` is the run that holds the slot."""

    __tablename__ = "slots"
    __table_args__ = (one_of("cause", "clock", "volume", "asked"),)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    family: Mapped[str] = mapped_column(String(20))
    cause: Mapped[str] = mapped_column(String(10))
    actor: Mapped[str] = mapped_column(String(100))
    due_at: Mapped[datetime] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))


class Run(Base):
    """One pass of the loop, its lease, and the version number that it reserved, if any (never reused)."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("kind", "base", "night", "dry-run"),
        one_of("status", "running", "finished", "skipped", "failed"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    family: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10), index=True)
    reason: Mapped[str | None] = mapped_column(String(1000))
    reserved: Mapped[int | None] = mapped_column(unique=True)
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("snapshots.id"))
    holder: Mapped[str] = mapped_column(String(200))
    lease_until: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    seconds: Mapped[dict[str, Any]]
    slot: Mapped[str | None] = mapped_column(String(100), index=True)
    step: Mapped[str | None] = mapped_column(String(100))
    done: Mapped[int] = mapped_column(server_default="0", default=0)
    total: Mapped[int] = mapped_column(server_default="0", default=0)


class Version(Base):
    """One published model. Triggers refuse to change or delete a row (see the first migration)."""

    __tablename__ = "versions"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    family: Mapped[str] = mapped_column(String(20))
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), unique=True)
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("snapshots.id"))
    champion: Mapped[int | None] = mapped_column(ForeignKey("versions.number"))
    artifact_digest: Mapped[str] = mapped_column(Sha256)
    artifact_bytes: Mapped[int]
    weights_digest: Mapped[str] = mapped_column(Sha256)
    base_digest: Mapped[str] = mapped_column(Sha256)
    report_digest: Mapped[str] = mapped_column(Sha256)
    golden_digest: Mapped[str] = mapped_column(Sha256)
    mlpackage_digest: Mapped[str | None] = mapped_column(Sha256)
    recipe_digest: Mapped[str] = mapped_column(Sha256)
    recipe: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    summary: Mapped[dict[str, Any]]
    registered_at: Mapped[datetime]


class Verdict(Base):
    """A verdict about a version: one row for *good enough*, one for *loads and runs*."""

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("version", "question"),
        one_of("question", "good enough", "loads and runs"),
        one_of("outcome", "passed", "failed", "inconclusive"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("versions.number"))
    question: Mapped[str] = mapped_column(String(20))
    outcome: Mapped[str] = mapped_column(String(12))
    document: Mapped[dict[str, Any]]
    given_at: Mapped[datetime]


class Move(Base):
    """One entry of the alias ledger: who moved which alias where, when and why. Append-only, like versions."""

    __tablename__ = "moves"
    __table_args__ = (
        Index(None, "family", "alias", "id"),
        one_of("alias", "champion", "challenger"),
        one_of("verb", "register", "promote", "rollback"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    family: Mapped[str] = mapped_column(String(20))
    alias: Mapped[str] = mapped_column(String(12))
    verb: Mapped[str] = mapped_column(String(10))
    before: Mapped[int | None] = mapped_column(ForeignKey("versions.number"))
    after: Mapped[int] = mapped_column(ForeignKey("versions.number"))
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(1000))
    verdict: Mapped[str] = mapped_column(String(12))
    override: Mapped[bool]
    moved_at: Mapped[datetime]
    link: Mapped[str] = mapped_column(Sha256, server_default="")
    """SHA-256 over the previous link and this entry: a change or removal behind the triggers breaks the chain."""
