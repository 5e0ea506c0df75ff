"""Check an upload and read its picture: everything that needs no database."""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loop.data import digits
from loop.errors import BadField, BadIdempotencyKey, BadLabel, BadRate, MissingField
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
    """Check an upload and read its image; ``now`` is its time of arrival. Raises ``BadImage``, ``BadField``."""
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
    """Raise ``BadField``, or one of its kinds, for the first field outside its range."""
    _check_name("source", upload.source, 128)
    if upload.key is not None:
        _check_name("key", upload.key, 200)
    digits.check_label(upload.label)
    if upload.predicted is not None:
        digits.check_label(upload.predicted)
        agreed = upload.predicted == upload.label
        if agreed != (upload.kind is Kind.CONFIRMATION):
            raise BadLabel(
                f"{upload.kind}: label {upload.label}, predicted {upload.predicted}; they contradict the kind: "
                "the two are equal in a confirmation and differ in a correction"
            )
    elif upload.kind is Kind.CONFIRMATION:
        raise MissingField("predicted: expected the model's digit in a confirmation, got nothing; send predicted too")
    if upload.confidence is not None and not 0 <= upload.confidence <= 1:
        raise BadField(f"confidence: expected 0 to 1, got {upload.confidence}; correct it")
    if not 0 < upload.rate <= 1:
        raise BadRate(f"rate: expected above 0 and at most 1, got {upload.rate}; correct it")
    if upload.version is not None and not 0 < upload.version < 2**31:
        raise BadField(f"version: expected the number of a version, got {upload.version}; correct it or leave it out")
    if upload.captured_at is not None and (
        upload.captured_at.tzinfo is None or not 1970 < upload.captured_at.year < 9999
    ):
        raise BadField(f"captured_at: expected a time with a time zone, got {upload.captured_at}; add the zone")


def _check_name(field: str, value: str, longest: int) -> None:
    error = BadIdempotencyKey if field == "key" else BadField
    if not 0 < len(value) <= longest:
        raise error(f"{field}: expected 1 to {longest} characters, got {len(value)}; correct it")
    if value.isascii() and value.isprintable():
        return
    if any(unicodedata.category(letter)[0] == "C" for letter in value):
        raise error(f"{field}: expected printable characters, got {value[:40]!r}; correct it")
