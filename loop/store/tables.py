"""What the loop remembers, as SQLAlchemy 2 typed tables: the same schema on SQLite and PostgreSQL.

Rows of these classes never leave ``loop.store``; callers get the frozen values of ``values.py``. Times are
UTC. Digests are lower-case SHA-256 hex. A change here needs a migration: ``alembic check`` runs in the tests.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
Sha256 = String(64)
Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite gives row numbers to INTEGER keys only


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on both databases; SQLite keeps no zone, so a naive value is refused on the way in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """To UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a time with a zone, got the naive {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """From UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def one_of(column: str, *values: str) -> CheckConstraint:
    """The column holds one of these words; a check, not a database enum, so that a word can be added cheaply."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=column)


class Base(DeclarativeBase):
    """Root of the tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON()}  # noqa: RUF012 (SQLAlchemy's spelling)


class Fact(Base):
    """What is true of this store as a whole: the holdout salt, set once."""

    __tablename__ = "facts"
    key: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Source(Base):
    """One app install, by its pseudonymous id, and the side of the split it was put on when first seen."""

    __tablename__ = "sources"
    __table_args__ = (one_of("role", "train", "holdout"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    role: Mapped[str] = mapped_column(String(10))
    seen_at: Mapped[datetime]


class Correction(Base):
    """One uploaded digit. ``version`` is what the phone says it ran: no foreign key, a phone may be wrong."""

    __tablename__ = "corrections"
    __table_args__ = (
        UniqueConstraint("source_id", "key"),
        UniqueConstraint("source_id", "digest", "label"),
        Index(None, "status", "id"),
        one_of("kind", "correction", "confirmation"),
        one_of("status", "pending", "accepted", "quarantined", "rejected"),
        CheckConstraint("label BETWEEN 0 AND 9", name="label"),
        CheckConstraint("predicted BETWEEN 0 AND 9", name="predicted"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("rate > 0 AND rate <= 1", name="rate"),
        CheckConstraint("length(pixels) = 784", name="pixels"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    key: Mapped[str] = mapped_column(String(200))
    body_digest: Mapped[str] = mapped_column(Sha256)
    digest: Mapped[str] = mapped_column(Sha256, index=True)
    pixels: Mapped[bytes] = mapped_column(LargeBinary)
    normalised: Mapped[bool]
    label: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str] = mapped_column(String(12))
    status: Mapped[str] = mapped_column(String(12))
    predicted: Mapped[int | None] = mapped_column(SmallInteger)
    confidence: Mapped[float | None]
    version: Mapped[int | None]
    rate: Mapped[float]
    captured_at: Mapped[datetime | None]
    received_at: Mapped[datetime]


class Snapshot(Base):
    """A frozen lesson: which corrections, with which weights, beside which base corpus."""

    __tablename__ = "snapshots"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    digest: Mapped[str] = mapped_column(Sha256, unique=True)
    corpus_digest: Mapped[str] = mapped_column(Sha256)
    size: Mapped[int]
    frozen_at: Mapped[datetime]


class SnapshotItem(Base):
    """One correction in a snapshot. The label is repeated: a later relabelling must not change the past."""

    __tablename__ = "snapshot_items"
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"), primary_key=True)
    correction_id: Mapped[int] = mapped_column(ForeignKey("corrections.id"), primary_key=True, index=True)
    label: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[float]


class Run(Base):
    """One pass of the loop, its lease, and the version number that it reserved, if it did (never reused)."""

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


class Version(Base):
    """One published model. Rows are never changed or deleted: triggers refuse it (see the first migration)."""

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
    """What a judge said of a version: one row for *good enough*, one for *loads and runs*."""

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
    """One line of the alias ledger: who moved which alias where, when and why. Append-only, like versions."""

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


class FeedRoot(Base):
    """A root document of the feed: public halves of keys, and signatures. Append-only."""

    __tablename__ = "feed_roots"
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(1000))
    added_at: Mapped[datetime]


class FeedEntry(Base):
    """A feed that was signed, so that its sequence is never given again. Append-only."""

    __tablename__ = "feed_entries"
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(100))
    signed_at: Mapped[datetime]


class Withdrawal(Base):
    """A published model that no device may run any longer. Append-only."""

    __tablename__ = "withdrawals"
    version: Mapped[int] = mapped_column(ForeignKey("versions.number"), primary_key=True, autoincrement=False)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(1000))
    withdrawn_at: Mapped[datetime]
