"""Signed documents: ``{"signatures":[{"key":…,"signature":…}],"signed":…}``, Ed25519 over the bytes of ``signed``.

The signed bytes are cut out as received, so a signature is checked before any of them is parsed, and a phone needs no
JSON encoder. This works because strings of canonical JSON contain no quotes, so the first ``,"signed":`` is the
separator. Signatures are sorted by key, each key once, so that no key counts twice towards a threshold.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from loop.feed import canonical
from loop.feed.document import HEX64, MAX_BYTES, MAX_KEYS, key_id
from loop.feed.refusals import BadDocument, NotCanonical, TooLong

SIGNATURE = re.compile(r"[0-9a-f]{128}")
HEAD, MIDDLE, TAIL = b'{"signatures":', b',"signed":', b"}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A well-formed envelope. ``signatures`` maps key ids to signatures, which ``signers`` verifies."""

    body: bytes
    signatures: Mapping[str, bytes]


def public_half(key: Ed25519PrivateKey) -> str:
    """The public key's 32 bytes in hex."""
    return key.public_key().public_bytes_raw().hex()


def seal(body: bytes, keys: Iterable[Ed25519PrivateKey]) -> bytes:
    """Sign the canonical ``body`` with each of the keys. The same arguments give the same bytes."""
    signed = {key_id(public_half(key)): key.sign(body).hex() for key in keys}
    head = [{"key": id_, "signature": signed[id_]} for id_ in sorted(signed)]
    return HEAD + canonical.encode(head) + MIDDLE + body + TAIL


def unseal(data: bytes) -> Signed:
    """Split an envelope without parsing its body. Raises ``TooLong``, ``NotCanonical``, ``BadDocument``."""
    if len(data) > MAX_BYTES:
        raise TooLong(f"expected at most {MAX_BYTES:,} bytes of a signed document, got {len(data):,}")
    head, middle, rest = data.partition(MIDDLE)
    if not (head.startswith(HEAD) and middle and rest.endswith(TAIL)):
        raise NotCanonical('expected {"signatures":…,"signed":…}, got other bytes')
    listed = canonical.parse(head + TAIL)["signatures"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_KEYS:
        raise BadDocument(f"signatures: expected 1 to {MAX_KEYS}, got {str(listed)[:40]}")
    pairs = [_pair(each) for each in listed]
    names = [name for name, _ in pairs]
    if names != sorted(set(names)):
        raise BadDocument("signatures: expected keys sorted and each key once, got a key twice or out of order")
    return Signed(rest.removesuffix(TAIL), dict(pairs))


def signers(signed: Signed, publics: Mapping[str, str]) -> set[str]:
    """The keys (ids to public keys in hex) with a valid signature; signatures of other keys do not count."""
    return {
        id_
        for id_, signature in signed.signatures.items()
        if id_ in publics and _valid(publics[id_], signature, signed.body)
    }


def _pair(plain: object) -> tuple[str, bytes]:
    if not isinstance(plain, dict) or set(plain) != {"key", "signature"}:
        raise BadDocument(f"signatures: expected key and signature, got {str(plain)[:80]}")
    name, signature = plain["key"], plain["signature"]
    if not isinstance(name, str) or not HEX64.fullmatch(name):
        raise BadDocument(f"signatures: expected a key id of 64 hex digits, got {str(name)[:80]}")
    if not isinstance(signature, str) or not SIGNATURE.fullmatch(signature):
        raise BadDocument(f"signatures: expected 128 hex digits, got {str(signature)[:80]}")
    return name, bytes.fromhex(signature)


def _valid(public: str, signature: bytes, body: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, body)
    except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are not a point on the curve
        return False
    return True
