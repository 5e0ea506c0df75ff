"""``/v1/attestation``: a device shows that a genuine copy of the app sends for a source (Apple's App Attest)."""

import time
from binascii import a2b_base64, b2a_base64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from loop.api import examples
from loop.api.guard import Guarded, caller_of, needs, service_of
from loop.api.schemas import Incoming, Timestamp
from loop.errors import BadBase64
from loop.intake import attestation
from loop.intake.attestation.apple import MAX_BYTES

OWN = needs("app", **examples.WITH_SOURCE)
REFUSALS = examples.refusals(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507)

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["attestation"])


class Challenge(BaseModel):
    """A challenge of one source; none if the source is attested already."""

    challenge: str | None = Field(
        description="Random bytes in base64. Attest a new key for their SHA-256: `attestKey(_:clientDataHash:)`.",
        examples=["q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="],
    )
    expires_at: Timestamp | None = Field(
        description="Until when it is open. A new challenge replaces it; an attempt uses it up."
    )
    attested_at: Timestamp | None = Field(description="Since when the source is attested; then nothing is to be done.")


class Attestation(Incoming):
    """What the device answers to the challenge."""

    key_id: Annotated[
        str, Field(pattern="^[A-Za-z0-9+/]{43}=$", examples=["bSrEhF8TIzIvWSPwvZ0i2+UOBre4ASH84rK15m6emNY="])
    ]
    """The id that `generateKey` returned: the SHA-256 of the public key, in base64."""
    attestation: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4 * MAX_BYTES // 3,
            description="The object that `attestKey` returned, in base64.",
            examples=["o2NmbXRvYXBwbGUtYXBwYXR0ZXN0"],
        ),
    ]


class Attested(BaseModel):
    """The source is attested."""

    attested_at: Timestamp


@router.post(
    "/attestation/challenge",
    responses=REFUSALS,
    openapi_extra=OWN,
    operation_id="challenge_attestation",
    summary="Ask for a challenge to attest the app",
)
def challenge(request: Request) -> Challenge:
    """One-time, and for the caller's source only. 404 `attestation-off`: this server asks for no attestation."""
    _charge(request)
    service = service_of(request)
    made = attestation.challenge(service.home, request.state.source, service.clock())
    if isinstance(made, datetime):
        return Challenge(challenge=None, expires_at=None, attested_at=made)
    text = b2a_base64(made.value, newline=False).decode()
    return Challenge(challenge=text, expires_at=made.expires_at, attested_at=None)


@router.post(
    "/attestation",
    responses=REFUSALS,
    openapi_extra=OWN,
    operation_id="attest_source",
    summary="Attest the app for one's own source",
)
def attest(request: Request, sent: Attestation) -> Attested:
    """Repeating the request, with the same key, is no error. After any refusal ask for a new challenge."""
    _charge(request)
    service = service_of(request)
    key_id, made = _decoded("key_id", sent.key_id), _decoded("attestation", sent.attestation)
    since = attestation.attest(service.home, service.attestation, request.state.source, key_id, made, service.clock())
    return Attested(attested_at=since)


def _charge(request: Request) -> None:
    """Count it as an upload of the source: a challenge is a new row, as a source is."""
    service_of(request).quotas.take(caller_of(request).key_id, request.state.source, 1, time.monotonic())


def _decoded(name: str, text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        raise BadBase64(f"{name}: expected base64, got text that does not decode; encode the bytes") from None
