"""The tables of the feed; all append-only."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from loop.store.tables.base import Base


class FeedRoot(Base):
    """A root document of the feed: public keys and signatures. Append-only."""

    __tablename__ = "feed_roots"
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(1000))
    added_at: Mapped[datetime]


class FeedEntry(Base):
    """A signed feed, kept so that its sequence number is never reused. Append-only."""

    __tablename__ = "feed_entries"
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(100))
    signed_at: Mapped[datetime]


class Withdrawal(Base):
    """A published model that devices must no longer run. Append-only."""

    __tablename__ = "withdrawals"
    version: Mapped[int] = mapped_column(ForeignKey("versions.number"), primary_key=True, autoincrement=False)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(1000))
    withdrawn_at: Mapped[datetime]
