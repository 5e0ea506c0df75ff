"""Build and sign messages: Standard Webhooks, symmetric, version 1.

The signature is the HMAC-SHA256 of ``{id}.{timestamp}.{body}`` with the key that the secret contains in base64. The
timestamp is that of the attempt, so a receiver can refuse old messages. The id is the same in all attempts.
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
    """A new secret of 30 random bytes; the convention requires 24 to 64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(30)).decode()


def body(event: Event) -> bytes:
    """The message: sorted keys, no white space, ASCII."""
    message = {"type": event.kind, "timestamp": event.happened_at.astimezone(UTC).isoformat(), "data": event.body}
    return json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def message_id(event: Event) -> str:
    """The id by which receivers drop duplicates.

    It includes a digest of the message, because a store restored from a backup may reuse an event's number.
    """
    return f"evt_{event.id}_{hashlib.sha256(body(event)).hexdigest()[:16]}"


def sign(key: str, id_: str, timestamp: int, data: bytes) -> str:
    """The signature with a secret."""
    signed = f"{id_}.{timestamp}.".encode() + data
    return "v1," + base64.b64encode(hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, "sha256")).decode()


def headers(key: str, event: Event, now: datetime) -> dict[str, str]:
    """The headers of one attempt."""
    id_, timestamp = message_id(event), int(now.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "digit-loop",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, id_, timestamp, body(event)),
    }
