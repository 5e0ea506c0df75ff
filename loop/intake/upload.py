"""Check an upload and read its picture: everything that needs no database."""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loop.data import digits
from loop.errors import BadLabel
from loop.store.values import Kind, Status

_canonical = json.JSONEncoder(sort_keys=True).encode  # built once: ``json.dumps`` builds an encoder for each call


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as an app sends it. ``image`` is PNG or JPEG bytes, or a digit that was already read.

    ``key`` is the idempotency key; without one, it is derived from image and label. ``predicted``, ``confidence`` and
    ``version`` describe the answer of the phone's model. ``rate`` is the probability with which the app sends uploads
    of this kind: 1 for corrections, the feed's rate for confirmations.
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


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A valid upload, ready to store: its source's name, whether the sender chose its key, its row."""

    source: str
    keyed: bool
    columns: dict[str, Any]


def prepare(upload: Upload, now: datetime, limits: digits.Limits = digits.DEFAULT_LIMITS) -> Prepared:
    """Check an upload and read its image; ``now`` is its time of arrival. Raises ``BadImage``, ``BadLabel``."""
    _check(upload)
    digit = upload.image if isinstance(upload.image, digits.Digit) else digits.read(upload.image, limits)
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
    columns = body | {
        "key": upload.key or f"{digit.digest[:40]}-{upload.label}",
        "body_digest": hashlib.sha256(_canonical(body).encode()).hexdigest(),
        "captured_at": upload.captured_at,
        "pixels": digit.pixels.tobytes(),
        "normalised": digit.normalised,
        "status": Status.ACCEPTED,
        "received_at": now,
    }
    return Prepared(upload.source, upload.key is not None, columns)


def _check(upload: Upload) -> None:
    """Raise ``BadLabel`` for the first field outside its range."""
    _check_name("source", upload.source, 128)
    if upload.key is not None:
        _check_name("key", upload.key, 200)
    digits.check_label(upload.label)
    if upload.predicted is not None:
        digits.check_label(upload.predicted)
        agreed = upload.predicted == upload.label
        if agreed != (upload.kind is Kind.CONFIRMATION):
            raise BadLabel(
                f"{upload.kind}: label {upload.label} and predicted {upload.predicted} contradict the kind; "
                "a confirmation has both equal, a correction has them different"
            )
    elif upload.kind is Kind.CONFIRMATION:
        raise BadLabel("confirmation: expected the model's prediction, got none; send predicted too")
    if upload.confidence is not None and not 0 <= upload.confidence <= 1:
        raise BadLabel(f"confidence: expected 0 to 1, got {upload.confidence}")
    if not 0 < upload.rate <= 1:
        raise BadLabel(f"rate: expected more than 0 and at most 1, got {upload.rate}")
    if upload.version is not None and not 0 < upload.version < 2**31:
        raise BadLabel(f"version: expected a version number, got {upload.version}")
    if upload.captured_at is not None and (
        upload.captured_at.tzinfo is None or not 1970 < upload.captured_at.year < 9999
    ):
        raise BadLabel(f"captured_at: expected a time with a zone, got {upload.captured_at}")


def _check_name(field: str, value: str, longest: int) -> None:
    if not 0 < len(value) <= longest:
        raise BadLabel(f"{field}: expected 1 to {longest} characters, got {len(value)}")
    if value.isascii() and value.isprintable():
        return
    if any(unicodedata.category(letter)[0] == "C" for letter in value):
        raise BadLabel(f"{field}: expected printable characters, got {value[:40]!r}")
