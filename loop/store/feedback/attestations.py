"""Open challenges for devices' attestations, and the sources that are attested."""

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from loop.errors.attestation import KeyAttested
from loop.store import tables
from loop.store.feedback import senders

EXPIRED_ROWS = 100
"""Expired challenges that each new one deletes: more than it adds, so that they cannot gather."""


def open_challenge(tx: Session, source: str, digest: str, now: datetime, expires_at: datetime) -> None:
    """Store the challenge of a source in place of an earlier one. ``tx`` must be exclusive."""
    challenge = tables.Challenge
    old = tx.scalars(select(challenge.source_name).where(challenge.expires_at <= now).limit(EXPIRED_ROWS)).all()
    tx.execute(delete(challenge).where(challenge.source_name.in_([*old, source])))
    tx.add(challenge(source_name=source, digest=digest, expires_at=expires_at))
    tx.flush()


def use_challenge(tx: Session, source: str, now: datetime) -> str | None:
    """Delete the challenge of a source, whatever follows; its digest, or None if there is none or it has expired."""
    challenge = tables.Challenge
    mine = delete(challenge).where(challenge.source_name == source)
    row = tx.execute(mine.returning(challenge.digest, challenge.expires_at)).first()
    return None if row is None or row.expires_at <= now else row.digest


def attested_with(tx: Session, source: str) -> tuple[str, datetime] | None:
    """The key of a source, as SHA-256, and when it was attested; None if it is not."""
    stored = tables.Source
    row = tx.execute(select(stored.attested_key, stored.attested_at).where(stored.name == source)).first()
    return None if row is None or row[0] is None or row[1] is None else (row[0], row[1])


def attest(tx: Session, source: str, key: str, app: str, holdout_share: float, now: datetime) -> None:
    """Mark a source as attested, and store it first if need be. ``tx`` must be exclusive.

    Raises ``KeyAttested`` if the key attests another source, or the source has another key.
    """
    stored = tables.Source
    mine = (stored.name == source) & stored.attested_key.is_not(None)
    rows = tx.execute(select(stored.name, stored.attested_key).where((stored.attested_key == key) | mine)).all()
    if any((name, other) != (source, key) for name, other in rows):
        raise KeyAttested(
            "key_id: expected a key of this source alone, got one that attests another, or a second one of this "
            "source; keep the first key of each install"
        )
    found = senders.hold(tx, [source], holdout_share, now)[source]
    values = {"attested_at": now, "attested_key": key, "attested_app": app}
    tx.execute(update(stored).where(stored.id == found.id).values(values))


def counts(tx: Session, since: datetime) -> tuple[int, int]:
    """How many sources were first seen at this time or later, and how many of them are attested."""
    stored = tables.Source
    row = tx.execute(select(func.count(), func.count(stored.attested_at)).where(stored.seen_at >= since)).one()
    return row[0], row[1]
