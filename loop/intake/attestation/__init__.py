"""Attest a source: its device shows that a genuine copy of the app, on genuine hardware, made its key (ADR 23).

The flow: ``challenge`` gives a source 32 random bytes, the device attests a new key for them, ``attest`` verifies that
(``apple``) and marks the source. Rules:

- A challenge belongs to one source, is open for ``attest.challenge_seconds``, and is used up by the first attempt,
  whatever comes of it. A new one replaces the one before. The store has its SHA-256.
- A key attests one source. The request again, with the same key, is answered as the first one was.
- An erased source loses its attestation with everything else.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from loop.errors.attestation import AttestationOff, KeyAttested, NoChallenge
from loop.home import Home
from loop.intake.attestation import apple
from loop.intake.attestation.apple import Policy
from loop.store.feedback import attestations

CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Challenge:
    """Bytes that the device attests a key for, and until when."""

    value: bytes
    expires_at: datetime


def policy(home: Home) -> Policy | None:
    """Whose attestations are accepted; None where the mode is off. Raises ``BadSettings``."""
    return None if home.settings.attest.mode == "off" else apple.policy(home.settings)


def challenge(home: Home, source: str, now: datetime) -> Challenge | datetime:
    """Open a challenge for a source, or since when it is attested. Raises ``AttestationOff``, ``StoreUnavailable``."""
    if home.settings.attest.mode == "off":
        raise _off()
    made = Challenge(
        secrets.token_bytes(CHALLENGE_BYTES), now + timedelta(seconds=home.settings.attest.challenge_seconds)
    )
    with home.store.exclusive() as tx:
        if (known := attestations.attested_with(tx, source)) is not None:
            return known[1]
        attestations.open_challenge(tx, source, sha256(made.value).hexdigest(), now, made.expires_at)
    return made


def attest(
    home: Home, wanted: Policy | None, source: str, key_id: bytes, attestation: bytes, now: datetime
) -> datetime:
    """Attest a source with the key of this id (SHA-256); since when it is attested.

    Raises ``AttestationOff``, ``NoChallenge``, ``KeyAttested``, ``BadAttestation`` and its kinds, ``StoreUnavailable``.
    """
    if wanted is None:
        raise _off()
    with home.store.exclusive() as tx:
        known = attestations.attested_with(tx, source)
        digest = None if known is not None else attestations.use_challenge(tx, source, now)
    if known is not None:
        key, since = known
        if key != key_id.hex():
            raise KeyAttested("key_id: expected the key that attests this source already, got another; keep that one")
        return since
    if digest is None:
        raise NoChallenge(
            "expected a challenge that is open, got an attestation without one; ask for a new challenge with POST "
            "/v1/attestation/challenge, and attest a new key for it"
        )
    app = apple.verify(attestation, key_id, bytes.fromhex(digest), wanted, now)
    with home.store.exclusive() as tx:
        attestations.attest(tx, source, key_id.hex(), app, home.settings.holdout_share, now)
    return now


def _off() -> AttestationOff:
    return AttestationOff("this server asks for no attestation; send uploads without one")
