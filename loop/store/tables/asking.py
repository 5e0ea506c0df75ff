"""The tables of asking: rounds, questions about uploads, reviewers' answers, who holds which question, the phones'
policies.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base, Id, Sha256, one_of

FLAGS = ("not-a-digit", "unreadable", "two-digits")
"""What a reviewer says instead of a digit."""
STANDING = "undone_at IS NULL"
"""A reviewer has one standing answer to a question. As literal SQL, so that its index can be used."""


class Round(Base):
    """One round of asking: what its choices depended on, so that they can be computed again.

    ``rules`` are those of ``queue.AskingRules``, with the strategy and the count. ``models`` are the digests of the
    files that read the pool, the champion's first. ``questions`` is how many were stored. ``pool`` has narrow columns
    (``store.asking.rounds``); sources and pictures are those of the uploads that are still stored.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        CheckConstraint("questions > 0", name="questions"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    family: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(ForeignKey("versions.number"))
    models: Mapped[list[str]]
    rules: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(Id)
    quorum: Mapped[int] = mapped_column(SmallInteger)
    questions: Mapped[int]
    pool_digest: Mapped[str] = mapped_column(Sha256)
    pool: Mapped[bytes] = mapped_column(LargeBinary)
    asked_at: Mapped[datetime]


class Question(Base):
    """A question to reviewers: which digit is this? About an upload, or (``gold``) about a digit with a known answer.

    ``arm``, ``strategy``, ``score``, ``chance``, ``reason``, ``seed`` and ``pool_digest`` say how it was chosen; with
    its round, the choice can be computed again. ``chance`` is that of the random arm's lottery. ``quorum`` is how many
    equal answers close it, with ``label`` or ``flag``.
    """

    __tablename__ = "questions"
    __table_args__ = (
        Index(None, "status", "id"),
        Index(None, "round_id"),
        one_of("arm", "random", "asked", "disputed", "quarantine", "gold"),
        one_of("status", "open", "answered", "disputed", "dropped"),
        one_of("flag", *FLAGS),
        CheckConstraint("label BETWEEN 0 AND 9", name="label"),
        CheckConstraint("known BETWEEN 0 AND 9", name="known"),
        CheckConstraint("chance > 0 AND chance <= 1", name="chance"),
        CheckConstraint("(arm = 'gold') = (correction_id IS NULL)", name="gold"),
        CheckConstraint("(arm = 'gold') = (pixels IS NOT NULL AND known IS NOT NULL)", name="gold_digit"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    correction_id: Mapped[int | None] = mapped_column(ForeignKey("corrections.id"), unique=True)
    pixels: Mapped[bytes | None] = mapped_column(LargeBinary)
    known: Mapped[int | None] = mapped_column(SmallInteger)
    arm: Mapped[str] = mapped_column(String(12))
    strategy: Mapped[str] = mapped_column(String(20))
    score: Mapped[float]
    chance: Mapped[float | None]
    reason: Mapped[str] = mapped_column(String(200))
    seed: Mapped[int] = mapped_column(Id)
    pool_digest: Mapped[str] = mapped_column(Sha256)
    version: Mapped[int | None] = mapped_column(ForeignKey("versions.number"))
    """The champion that scored the pool."""
    quorum: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(String(10))
    label: Mapped[int | None] = mapped_column(SmallInteger)
    flag: Mapped[str | None] = mapped_column(String(12))
    asked_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    round_id: Mapped[int | None] = mapped_column(ForeignKey("rounds.id"))
    """None: no round chose it (held back, gold), or its round is no longer kept."""


class Answer(Base):
    """One reviewer's answer: a digit, a flag, or neither, which skips the question. An undone answer is history."""

    __tablename__ = "answers"
    __table_args__ = (
        Index(
            "ix_answers_standing",
            "question_id",
            "reviewer",
            unique=True,
            sqlite_where=text(STANDING),
            postgresql_where=text(STANDING),
        ),
        Index(None, "reviewer", "id"),
        one_of("flag", *FLAGS),
        CheckConstraint("label BETWEEN 0 AND 9", name="label"),
        CheckConstraint("label IS NULL OR flag IS NULL", name="one_word"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id"))
    reviewer: Mapped[str] = mapped_column(String(100))
    label: Mapped[int | None] = mapped_column(SmallInteger)
    flag: Mapped[str | None] = mapped_column(String(12))
    seconds: Mapped[float | None]
    """From when the question was shown until it was answered, as the reviewer's page says."""
    answered_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]


class Hold(Base):
    """A question that was handed to a reviewer, until ``expires_at``: nobody else gets the same place of its quorum."""

    __tablename__ = "holds"
    __table_args__ = (Index(None, "reviewer"),)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id"), primary_key=True)
    reviewer: Mapped[str] = mapped_column(String(100), primary_key=True)
    expires_at: Mapped[datetime]


class AskingPolicy(Base):
    """A policy that phones follow, and why it was set; the newest row counts."""

    __tablename__ = "asking_policies"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    document: Mapped[dict[str, Any]]
    reasons: Mapped[list[str]]
    actor: Mapped[str] = mapped_column(String(100))
    set_at: Mapped[datetime]
