"""What is sent and how it is signed: Standard Webhooks, symmetric, version 1.

The signature covers ``{id}.{timestamp}.{body}`` with HMAC-SHA256 under the key that the secret holds in base64; the
timestamp is the try's, so that a receiver can refuse what is old. The id stays the same over all tries.
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime

from loop.store.service.outbox import Event

PREFIX = "whsec_"


def secret() -> str:
    """A new secret: 30 random bytes, the convention asks for 24 to 64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(30)).decode()


def body(event: Event) -> bytes:
    """The message: sorted keys, no white space, ASCII."""
    said = {"type": event.kind, "timestamp": event.happened_at.astimezone(UTC).isoformat(), "data": event.body}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def message_id(event: Event) -> str:
    """The event's id for receivers that drop repetitions. Its digest is part of it: a store restored from a backup
    gives the numbers since then once more, to other events.
    """
    return f"evt_{event.id}_{hashlib.sha256(body(event)).hexdigest()[:16]}"


def sign(key: str, id_: str, timestamp: int, data: bytes) -> str:
    """The signature under a secret."""
    signed = f"{id_}.{timestamp}.".encode() + data
    return "v1," + base64.b64encode(hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, "sha256")).decode()


def headers(key: str, event: Event, now: datetime) -> dict[str, str]:
    """The headers of one try."""
    id_, timestamp = message_id(event), int(now.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "digit-loop",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, id_, timestamp, body(event)),
    }
