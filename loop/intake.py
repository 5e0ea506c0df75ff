"""Accept one upload, once, or refuse it with a reason.

Rules: what cannot be taken is refused before a transaction begins, and then nothing of it is stored. An upload is
idempotent by (source, key): resent, it returns what is stored; another body under the same key is refused. The same
image and label from one source count once, whatever the key. When ``accept`` returns, the row is on disk.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from loop import digits
from loop.errors import BadLabel, ClientError, KeyConflict
from loop.store import Store, feedback
from loop.store.engine import Contention
from loop.store.values import Correction, Kind, Role, Status

PATIENCE = 4  # times that a batch is tried again after a deadlock
BATCH = 500  # uploads a transaction: fsync bound below (270/s at 1, 10,400/s at 64), fair to other writers above


@dataclass(frozen=True, slots=True)
class Upload:
    """What an app sends. ``image`` is PNG or JPEG bytes, or a digit already read.

    ``key`` is the idempotency key; without one, the image and label stand for it. ``predicted``, ``confidence`` and
    ``version`` are what the phone's model said. ``rate`` is the chance with which uploads of this kind are sent:
    1 for corrections, what the feed announced for confirmations.
    """

    source: str
    image: bytes | digits.Digit
    label: int
    key: str | None = None
    kind: Kind = Kind.CORRECTION
    predicted: int | None = None
    confidence: float | None = None
    version: int | None = None
    rate: float = 1.0
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is stored, and whether it had been stored before."""

    id: int
    digest: str
    status: Status
    role: Role
    duplicate: bool


def accept(store: Store, upload: Upload, holdout_share: float, now: datetime) -> Receipt:
    """Store one upload. Raises ``BadImage``, ``BadLabel``, ``KeyConflict``; then nothing of it is stored."""
    columns = _columns(upload, now)
    with store.write() as tx:
        return _store(tx, upload, columns, holdout_share, now)


def accept_many(
    store: Store, uploads: Iterable[Upload], holdout_share: float, now: datetime
) -> list[Receipt | ClientError]:
    """Store what can be taken, ``BATCH`` uploads a transaction; the answer to upload i stands at i."""
    answers: list[Receipt | ClientError] = []
    waiting: list[Upload] = []
    for upload in uploads:
        waiting.append(upload)
        if len(waiting) == BATCH:
            answers += _accept_batch(store, waiting, holdout_share, now)
            waiting = []
    return answers + _accept_batch(store, waiting, holdout_share, now)


def _accept_batch(
    store: Store, uploads: Sequence[Upload], holdout_share: float, now: datetime
) -> list[Receipt | ClientError]:
    ready = [(upload, _columns_or_reason(upload, now)) for upload in uploads]
    for _ in range(PATIENCE):
        with suppress(Contention):  # two batches met the same sources in another order: nothing of ours is stored
            return _store_batch(store, ready, holdout_share, now)
    return _store_batch(store, ready, holdout_share, now)


def _store_batch(
    store: Store, ready: Sequence[tuple[Upload, dict[str, Any] | ClientError]], holdout_share: float, now: datetime
) -> list[Receipt | ClientError]:
    answers: list[Receipt | ClientError] = []
    with store.write() as tx:
        for upload, columns in ready:
            if isinstance(columns, ClientError):
                answers.append(columns)
                continue
            try:
                answers.append(_store(tx, upload, columns, holdout_share, now))
            except KeyConflict as refused:
                answers.append(refused)
    return answers


def _columns_or_reason(upload: Upload, now: datetime) -> dict[str, Any] | ClientError:
    try:
        return _columns(upload, now)
    except ClientError as refused:
        return refused


def _columns(upload: Upload, now: datetime) -> dict[str, Any]:
    """The row of a sound upload, without its source. Raises ``BadImage``, ``BadLabel``."""
    _check(upload)
    digit = upload.image if isinstance(upload.image, digits.Digit) else digits.read(upload.image)
    body = {
        "label": digits.check_label(upload.label),
        "kind": upload.kind,
        "predicted": upload.predicted,
        "confidence": None if upload.confidence is None else float(upload.confidence),
        "version": upload.version,
        "rate": upload.rate,
        "captured_at": upload.captured_at.isoformat() if upload.captured_at else None,
        "digest": digit.digest,
    }
    body_digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return body | {
        "key": upload.key or f"{digit.digest[:40]}-{upload.label}",
        "body_digest": body_digest,
        "captured_at": upload.captured_at,
        "pixels": digit.pixels.tobytes(),
        "normalised": digit.normalised,
        "status": Status.ACCEPTED,
        "received_at": now,
    }


def _check(upload: Upload) -> None:
    """Raises ``BadLabel`` for the first field outside its range."""
    _check_name("source", upload.source, 128)
    if upload.key is not None:
        _check_name("key", upload.key, 200)
    digits.check_label(upload.label)
    if upload.predicted is not None:
        digits.check_label(upload.predicted)
        agreed = upload.predicted == upload.label
        if agreed != (upload.kind is Kind.CONFIRMATION):
            raise BadLabel(
                f"{upload.kind}: label {upload.label}, predicted {upload.predicted}; they contradict the kind"
            )
    elif upload.kind is Kind.CONFIRMATION:
        raise BadLabel("confirmation: expected what the model had predicted, got nothing; send predicted too")
    if upload.confidence is not None and not 0 <= upload.confidence <= 1:
        raise BadLabel(f"confidence: expected 0 to 1, got {upload.confidence}")
    if not 0 < upload.rate <= 1:
        raise BadLabel(f"rate: expected above 0 and at most 1, got {upload.rate}")
    if upload.version is not None and not 0 < upload.version < 2**31:
        raise BadLabel(f"version: expected a version's number, got {upload.version}")
    if upload.captured_at is not None and (
        upload.captured_at.tzinfo is None or not 1970 < upload.captured_at.year < 9999
    ):
        raise BadLabel(f"captured_at: expected a time with a zone, got {upload.captured_at}")


def _check_name(field: str, value: str, longest: int) -> None:
    if not 0 < len(value) <= longest:
        raise BadLabel(f"{field}: expected 1 to {longest} characters, got {len(value)}")
    if any(unicodedata.category(letter)[0] == "C" for letter in value):
        raise BadLabel(f"{field}: expected printable characters, got {value[:40]!r}")


def _store(tx: Session, upload: Upload, columns: dict[str, Any], holdout_share: float, now: datetime) -> Receipt:
    source_id, role = feedback.source(tx, upload.source, holdout_share, now)
    sought = {name: columns[name] for name in ("key", "digest", "label")}
    found = feedback.find(tx, source_id, **sought)
    if found is None:
        try:
            return Receipt(feedback.add(tx, source_id, columns), columns["digest"], columns["status"], role, False)
        except IntegrityError:  # another process stored it between our look and our write
            found = feedback.find(tx, source_id, **sought)
            if found is None:
                raise
    return _same(found, columns, keyed=upload.key is not None)


def _same(found: Correction, columns: dict[str, Any], keyed: bool) -> Receipt:
    """The stored upload's receipt. Only a key that the sender chose promises one body."""
    if keyed and found.key == columns["key"] and found.body_digest != columns["body_digest"]:
        raise KeyConflict(
            f"key {found.key[:60]!r} of {found.source[:60]!r}: already used for another upload (number {found.id}); "
            "resend it unchanged, or use a new key"
        )
    return Receipt(found.id, found.digest, found.status, found.role, duplicate=True)
