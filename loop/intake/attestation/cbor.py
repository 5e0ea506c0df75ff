"""Read the part of CBOR (RFC 8949) that an attestation consists of: maps, arrays, texts and byte strings.

Numbers, tags, floats, indefinite lengths and everything else are refused. A library would read them all, and must then
be kept from doing so: this is shorter than the limits that it would need.
"""

from typing import Any

from loop.errors.attestation import BadAttestation

MAX_DEPTH = 4
"""An attestation has three levels: the object, its statement, the list of certificates."""
BYTES, TEXT, ARRAY, MAP = 2, 3, 4, 5
LONGEST_HEAD = 27
"""The additional information of a head with eight bytes of length; above it are reserved and indefinite lengths."""
DIRECT = 24
"""Below it, the additional information is the length itself."""


def decode(data: bytes) -> Any:
    """The one value that the bytes are: dict, list, str or bytes. Raises ``BadAttestation``.

    Every length is compared with the bytes that are left before anything is made of it.
    """
    value, end = _value(data, 0, 1)
    if end != len(data):
        raise BadAttestation(
            f"attestation: expected one CBOR value, got {len(data) - end:,} bytes after it; correct it"
        )
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends."""
    if depth > MAX_DEPTH:
        raise BadAttestation(f"attestation: expected at most {MAX_DEPTH} levels of CBOR, got more; correct it")
    kind, length, at = _head(data, at)
    if length > len(data) - at:
        raise BadAttestation("attestation: expected all of its bytes, got fewer than a length in it states; correct it")
    if kind == BYTES:
        return data[at : at + length], at + length
    if kind == TEXT:
        return _text(data[at : at + length]), at + length
    found: list[Any] = []
    for _ in range(2 * length if kind == MAP else length):
        each, at = _value(data, at, depth + 1)
        found.append(each)
    return (_map(found) if kind == MAP else found), at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """The kind of a value, its length, and where its content begins."""
    if at >= len(data):
        raise BadAttestation("attestation: expected a CBOR value, got the end of the bytes; correct it")
    kind, more = data[at] >> 5, data[at] & 31
    if kind not in {BYTES, TEXT, ARRAY, MAP} or more > LONGEST_HEAD:
        raise BadAttestation(
            "attestation: expected maps, arrays, texts and byte strings of definite length, got the byte "
            f"{data[at]} at {at:,}; correct it"
        )
    if more < DIRECT:
        return kind, more, at + 1
    end = at + 1 + (1 << (more - DIRECT))
    if end > len(data):
        raise BadAttestation("attestation: expected a length, got the end of the bytes; correct it")
    return kind, int.from_bytes(data[at + 1 : end], "big"), end


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadAttestation("attestation: expected texts in UTF-8, got other bytes; correct it") from None


def _map(found: list[Any]) -> dict[str, Any]:
    keys = found[::2]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise BadAttestation("attestation: expected texts as keys, each once, got others; correct it")
    return dict(zip(keys, found[1::2], strict=True))
