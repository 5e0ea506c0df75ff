"""The uploads of users, and the snapshots that nights teach."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base, Id, Sha256, one_of


class Source(Base):
    """One app install: its pseudonymous id, and its side of the train/holdout split, decided when it was first seen."""

    __tablename__ = "sources"
    __table_args__ = (
        one_of("role", "train", "holdout"),
        Index(None, "attested_key", unique=True),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    role: Mapped[str] = mapped_column(String(10))
    seen_at: Mapped[datetime]
    quota_day: Mapped[date | None]
    """The last UTC day on which it stored an upload; ``quota_used`` counts the uploads of that day."""
    days_seen: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    """On how many UTC days it stored uploads."""
    vouched_at: Mapped[datetime | None]
    """Since when an operator vouches for it; such a source counts as old and as trusted."""
    quota_used: Mapped[int] = mapped_column(server_default="0", default=0)
    attested_at: Mapped[datetime | None]
    """When its device attested the app; ``attested_app`` is the app, ``attested_key`` the SHA-256 of the key."""
    attested_key: Mapped[str | None] = mapped_column(Sha256)
    attested_app: Mapped[str | None] = mapped_column(String(200))
    erased_at: Mapped[datetime | None]
    """When an earlier source of this name was erased, if one was: uploads drawn before are refused."""


class Challenge(Base):
    """An open challenge for a device's attestation: at most one of each source, which need not be stored yet.

    ``digest`` is the SHA-256 of the challenge: what the attestation signs.
    """

    __tablename__ = "challenges"
    __table_args__ = (Index(None, "expires_at"),)
    source_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[str] = mapped_column(Sha256)
    expires_at: Mapped[datetime]


CURRENT_WORD = "status NOT IN ('superseded', 'withdrawn')"
"""Of the words of a source about one image, at most one is current. As literal SQL, so that its index can be used."""


UNLABELLED = "'noted', 'superseded', 'withdrawn', 'pending'"
"""The statuses of an upload without a label."""


class Correction(Base):
    """One uploaded digit. ``version`` is the phone's claim, hence no foreign key.

    ``supersedes`` is the earlier word of the same source about the same image that this one replaced. ``preparation``
    is what the picture reader did to the picture. ``flag`` names the claim that cannot be true: such an upload is never
    weighed. A ``pending`` upload is a drawing that waits for a label.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        UniqueConstraint("source_id", "key"),
        Index(
            "ix_corrections_current_word",
            "source_id",
            "digest",
            unique=True,
            sqlite_where=text(CURRENT_WORD),
            postgresql_where=text(CURRENT_WORD),
        ),
        Index(None, "digest", "source_id", "status", "id"),
        Index(None, "source_id", "id"),
        Index(None, "status", "id"),
        Index(
            "ix_corrections_supersedes",
            "supersedes",
            sqlite_where=text("supersedes IS NOT NULL"),
            postgresql_where=text("supersedes IS NOT NULL"),
        ),
        one_of("kind", "correction", "confirmation", "not-a-digit", "unreadable", "drawing", "asked"),
        one_of("status", "pending", "accepted", "quarantined", "rejected", "noted", "superseded", "withdrawn"),
        CheckConstraint("label BETWEEN 0 AND 9", name="label"),
        CheckConstraint("kind = 'drawing' OR (label IS NULL) = (kind IN ('not-a-digit', 'unreadable'))", name="word"),
        CheckConstraint(f"label IS NOT NULL OR status IN ({UNLABELLED})", name="taught"),
        CheckConstraint("runner_up BETWEEN 0 AND 9", name="runner_up"),
        CheckConstraint("runner_up_confidence BETWEEN 0 AND 1", name="runner_up_confidence"),
        CheckConstraint("lottery > 0 AND lottery <= 1", name="lottery"),
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
    digest: Mapped[str] = mapped_column(Sha256)
    pixels: Mapped[bytes] = mapped_column(LargeBinary)
    normalised: Mapped[bool]
    label: Mapped[int | None] = mapped_column(SmallInteger)
    kind: Mapped[str] = mapped_column(String(12))
    status: Mapped[str] = mapped_column(String(12))
    predicted: Mapped[int | None] = mapped_column(SmallInteger)
    confidence: Mapped[float | None]
    version: Mapped[int | None]
    rate: Mapped[float]
    captured_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    preparation: Mapped[str | None] = mapped_column(String(160))
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("corrections.id"))
    flag: Mapped[str | None] = mapped_column(String(24))
    runner_up: Mapped[int | None] = mapped_column(SmallInteger)
    """The second digit of the phone's model; ``predicted`` is the best."""
    runner_up_confidence: Mapped[float | None]
    lottery: Mapped[float | None]
    """Of a drawing: the chance that it had in the lottery of the random arm, once that was held."""


class Quarantine(Base):
    """An upload that screening held back, with the reasons, and the decision about it once there is one.

    ``reasons`` is a list of ``{"signal", "text", "numbers"}``.
    """

    __tablename__ = "quarantines"
    __table_args__ = (one_of("decision", "accepted", "rejected"),)
    correction_id: Mapped[int] = mapped_column(ForeignKey("corrections.id"), primary_key=True, autoincrement=False)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    reasons: Mapped[list[dict[str, Any]]]
    found_at: Mapped[datetime]
    decision: Mapped[str | None] = mapped_column(String(10))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(100))


class Trust(Base):
    """How far a source is trusted, from 0 to 1, with the reasons."""

    __tablename__ = "trust"
    __table_args__ = (CheckConstraint("value BETWEEN 0 AND 1", name="value"),)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    value: Mapped[float]
    reasons: Mapped[list[dict[str, Any]]]
    assessed_at: Mapped[datetime]


class Quota(Base):
    """How many uploads an erased source had stored on a day, by its name's salted hash: erasing renews no quota."""

    __tablename__ = "quotas"
    name_digest: Mapped[str] = mapped_column(Sha256, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used: Mapped[int]


class Replay(Base):
    """A further idempotency key of an upload that is stored under another key, so that a retry gets the same answer."""

    __tablename__ = "replays"
    __table_args__ = (Index(None, "correction_id"),)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_digest: Mapped[str] = mapped_column(Sha256)
    correction_id: Mapped[int] = mapped_column(ForeignKey("corrections.id"))
    answered_at: Mapped[datetime]


class Arrival(Base):
    """Test, then train: the answer of the version that was champion when an upload arrived.

    ``scored_at`` is None until the upload is scored. ``said`` is the predicted digit.
    """

    __tablename__ = "arrivals"
    __table_args__ = (
        Index(
            "ix_arrivals_waiting",
            "correction_id",
            sqlite_where=text("scored_at IS NULL"),
            postgresql_where=text("scored_at IS NULL"),
        ),
        CheckConstraint("said BETWEEN 0 AND 9", name="said"),
    )
    correction_id: Mapped[int] = mapped_column(ForeignKey("corrections.id"), primary_key=True, autoincrement=False)
    version: Mapped[int | None] = mapped_column(ForeignKey("versions.number"))
    said: Mapped[int | None] = mapped_column(SmallInteger)
    confidence: Mapped[float | None]
    scored_at: Mapped[datetime | None]


class Erasure(Base):
    """A tombstone: an erased source, by the hash of its name. Neither a late upload nor a backup brings it back."""

    __tablename__ = "erasures"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name_digest: Mapped[str] = mapped_column(Sha256, index=True)
    uploads: Mapped[int]
    actor: Mapped[str] = mapped_column(String(100))
    erased_at: Mapped[datetime]


class Snapshot(Base):
    """A frozen training set: which corrections, with which weights, beside which base corpus."""

    __tablename__ = "snapshots"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    digest: Mapped[str] = mapped_column(Sha256, unique=True)
    corpus_digest: Mapped[str] = mapped_column(Sha256)
    size: Mapped[int]
    erased: Mapped[int] = mapped_column(server_default="0", default=0)
    """How many of ``size`` were erased or withdrawn later. Such a snapshot is never taught again."""
    frozen_at: Mapped[datetime]


class SnapshotItem(Base):
    """One correction in a snapshot. The label is copied: a later change must not alter the past."""

    __tablename__ = "snapshot_items"
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"), primary_key=True)
    correction_id: Mapped[int] = mapped_column(ForeignKey("corrections.id"), primary_key=True, index=True)
    label: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[float]
