"""Check an upload and read its picture: everything that needs no database."""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from loop.data import digits
from loop.data.two_best import SUM_TOLERANCE, most_in_sum
from loop.errors import BadField, BadIdempotencyKey, BadLabel, BadRate, MissingField
from loop.store.values import Flag, Kind, Status

MAX_SOURCE_CHARACTERS = 128
MAX_KEY_CHARACTERS = 200
LEAST_RATE = 1e-6
"""A feed announces its rate in millionths."""
EARLIEST = datetime(2007, 1, 1, tzinfo=UTC)
"""No phone that could draw a digit for this is older; a clock that was never set says 1970."""
CLOCK_TOLERANCE = timedelta(days=1)
_canonical = json.JSONEncoder(sort_keys=True).encode  # built once: ``json.dumps`` builds an encoder for each call


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as an app sends it. ``image`` is PNG or JPEG bytes, or a digit that was already read.

    ``label`` is None for the kinds that have none. ``key`` is the idempotency key; without one, it is derived from
    image and label, or kind. ``predicted``, ``confidence`` and ``version`` describe the answer of the phone's model,
    ``runner_up`` and ``runner_up_confidence`` its second digit. ``rate`` is the probability with which the app sends
    uploads of this kind, as it states it: 1 for corrections, the feed's rate for confirmations, the asking policy's for
    drawings; None if it leaves it out.
    """

    source: str
    image: bytes | digits.Digit
    label: int | None
    key: str | None = None
    kind: Kind = Kind.CORRECTION
    predicted: int | None = None
    confidence: float | None = None
    version: int | None = None
    rate: float | None = None
    captured_at: datetime | None = None
    runner_up: int | None = None
    runner_up_confidence: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A valid upload: its source's name, whether the sender chose its key, its row, the rate that it stated."""

    source: str
    keyed: bool
    columns: dict[str, Any]
    stated_rate: float | None = None


def prepare(upload: Upload, now: datetime, limits: digits.Limits = digits.DEFAULT_LIMITS) -> Prepared:
    """Check an upload and read its image; ``now`` is its time of arrival. Raises ``BadImage``, ``BadField``."""
    _check(upload)
    digit = upload.image if isinstance(upload.image, digits.Digit) else digits.read(upload.image, limits)
    body = {
        "label": None if upload.label is None else digits.check_label(upload.label),
        "kind": upload.kind,
        "predicted": upload.predicted,
        "confidence": None if upload.confidence is None else float(upload.confidence),
        "version": upload.version,
        "rate": 1.0 if upload.rate is None else upload.rate,
        "captured_at": upload.captured_at.isoformat() if upload.captured_at else None,
        "digest": digit.digest,
    }
    if upload.runner_up is not None:  # later than the digests of stored bodies, which must not change
        body |= {"runner_up": upload.runner_up, "runner_up_confidence": upload.runner_up_confidence}
    columns = body | {
        "key": upload.key or f"{digit.digest[:40]}-{upload.kind if upload.label is None else upload.label}",
        "body_digest": hashlib.sha256(_canonical(body).encode()).hexdigest(),
        "captured_at": upload.captured_at,
        "flag": None if is_sane(upload.captured_at, now) else Flag.CAPTURED_AT,
        "pixels": digit.pixels.tobytes(),
        "normalised": digit.normalised,
        "preparation": digit.preparation,
        "status": _status(upload.kind),
        "runner_up": upload.runner_up,
        "runner_up_confidence": upload.runner_up_confidence,
        "received_at": now,
    }
    return Prepared(upload.source, upload.key is not None, columns, upload.rate)


def is_sane(captured_at: datetime | None, received_at: datetime) -> bool:
    """Whether a digit can have been captured then; ``captured_at`` may be absent."""
    return captured_at is None or EARLIEST <= captured_at <= received_at + CLOCK_TOLERANCE


def known_time(captured_at: datetime | None, received_at: datetime) -> datetime | None:
    """When it was captured, if that is known: no phone captures a digit after the server receives it."""
    return captured_at if captured_at is not None and EARLIEST <= captured_at <= received_at else None


def _status(kind: Kind) -> Status:
    if kind is Kind.DRAWING:
        return Status.PENDING
    return Status.ACCEPTED if kind.has_label else Status.NOTED


def _check(upload: Upload) -> None:
    """Raise ``BadField``, or one of its kinds, for the first field outside its range."""
    _check_name("source", upload.source, MAX_SOURCE_CHARACTERS)
    if upload.key is not None:
        _check_name("key", upload.key, MAX_KEY_CHARACTERS)
    if upload.predicted is not None:
        digits.check_label(upload.predicted)
    _check_kind(upload)
    if upload.confidence is not None and not 0 <= upload.confidence <= 1:
        raise BadField(f"confidence: expected 0 to 1, got {upload.confidence}; correct it")
    if upload.rate is not None and not LEAST_RATE <= upload.rate <= 1:
        raise BadRate(f"rate: expected {LEAST_RATE:.6f} to 1, got {upload.rate}; correct it")
    if upload.version is not None and not 0 < upload.version < 2**31:
        raise BadField(f"version: expected the number of a version, got {upload.version}; correct it or leave it out")
    if upload.captured_at is not None and (upload.captured_at.tzinfo is None or not 1 < upload.captured_at.year < 9999):
        raise BadField(f"captured_at: expected a time with a time zone, got {upload.captured_at}; add the zone")


def _check_kind(upload: Upload) -> None:
    """Label and prediction must fit the kind."""
    if upload.kind is Kind.DRAWING:
        _check_two_best(upload)
    if not upload.kind.has_label:
        if upload.label is not None:
            raise BadLabel(f"{upload.kind}: expected no label, got {upload.label!r:.40}; leave it out")
        return
    if upload.label is None:
        raise MissingField(f"label: expected the digit that was written in a {upload.kind}, got nothing; send label")
    digits.check_label(upload.label)
    if upload.predicted is None:
        if upload.kind is Kind.CONFIRMATION:
            raise MissingField(
                "predicted: expected the model's digit in a confirmation, got nothing; send predicted too"
            )
    elif upload.kind is not Kind.ASKED and (upload.predicted == upload.label) != (upload.kind is Kind.CONFIRMATION):
        raise BadLabel(
            f"{upload.kind}: label {upload.label}, predicted {upload.predicted}; they contradict the kind: "
            "the two are equal in a confirmation and differ in a correction"
        )


def _check_two_best(upload: Upload) -> None:
    """A drawing must say which two digits its model could not decide between."""
    for field in ("predicted", "confidence", "runner_up", "runner_up_confidence"):
        if getattr(upload, field) is None:
            raise MissingField(
                f"{field}: expected the two best digits of the model and their probabilities in a drawing, got no "
                f"{field}; send it too"
            )
    best, second = upload.confidence or 0.0, upload.runner_up_confidence or 0.0
    digits.check_label(upload.runner_up)
    if upload.runner_up == upload.predicted:
        raise BadField(f"runner_up: expected another digit than predicted, got {upload.runner_up} twice; correct it")
    if not 0 <= second <= best or best + second > 1 + SUM_TOLERANCE:
        raise BadField(
            f"runner_up_confidence: expected 0 to confidence ({best}), both at most 1 in sum, got {second}; correct it"
        )
    most = most_in_sum(best, second)
    if 1 - most > SUM_TOLERANCE:
        raise BadField(
            "runner_up_confidence: expected the two best of ten probabilities that sum to 1, so confidence + 9 × "
            f"runner_up_confidence of at least {1 - SUM_TOLERANCE}, got {best} + 9 × {second} = {most:.4f}; send both "
            "as the model gave them"
        )


def is_source_name(value: str) -> bool:
    """Whether a source can have this name."""
    return 0 < len(value) <= MAX_SOURCE_CHARACTERS and _is_printable(value)


def _check_name(field: str, value: str, longest: int) -> None:
    error = BadIdempotencyKey if field == "key" else BadField
    if not 0 < len(value) <= longest:
        raise error(f"{field}: expected 1 to {longest} characters, got {len(value)}; correct it")
    if not _is_printable(value):
        raise error(f"{field}: expected printable characters, got {value[:40]!r}; correct it")


def _is_printable(value: str) -> bool:
    if value.isascii() and value.isprintable():
        return True
    return not any(unicodedata.category(letter)[0] == "C" for letter in value)
