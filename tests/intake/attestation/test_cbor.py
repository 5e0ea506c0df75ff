"""The reader of CBOR: the four kinds of an attestation, in bounds, and nothing else."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.errors.attestation import BadAttestation
from loop.intake.attestation import cbor
from tests.helpers.attesting import encoded

LEAVES = st.binary(max_size=300) | st.text(max_size=80)
LISTS = st.lists(LEAVES, max_size=5)
VALUES = LEAVES | LISTS | st.dictionaries(st.text(max_size=5), LISTS | st.dictionaries(st.text(max_size=5), LEAVES))


@settings(max_examples=50)
@given(VALUES)
def test_what_was_encoded_is_read(value: Any) -> None:
    """Any value of these kinds, of up to three levels."""
    assert cbor.decode(encoded(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No input raises anything but the one error."""
    with suppress(BadAttestation):
        cbor.decode(data)


@settings(max_examples=50)
@given(VALUES, st.data())
def test_no_beginning_is_a_value(value: Any, data: st.DataObject) -> None:
    """Cut anywhere, it is refused, and so is one byte more."""
    whole = encoded(value)
    with pytest.raises(BadAttestation):
        cbor.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(BadAttestation, match="1 bytes after it"):
        cbor.decode(whole + b"\x40")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the end of the bytes"),
        (b"\x81" * 10_000 + b"\x40", "at most 4 levels"),
        (b"\xa1\x61a" * 10_000 + b"\x40", "at most 4 levels"),
        (b"\x5b" + b"\xff" * 8, "fewer than a length"),
        (b"\x9b" + b"\xff" * 8, "fewer than a length"),
        (b"\xbb\x7f" + b"\xff" * 7, "fewer than a length"),
        (b"\x5f\x41a\xff", "definite length"),
        (b"\x9f\xff", "definite length"),
        (b"\x5c", "definite length"),
        (b"\x00", "definite length"),
        (b"\xc1\x40", "definite length"),
        (b"\xf6", "definite length"),
        (b"\xfb" + bytes(8), "definite length"),
        (b"\x59\x01", "expected a length"),
        (b"\x61\xff", "texts in UTF-8"),
        (b"\xa2\x61a\x40\x61a\x40", "each once"),
        (b"\xa1\x41a\x40", "texts as keys"),
        (b"\xa1\x80\x40", "texts as keys"),
    ],
)
def test_everything_else_is_refused(data: bytes, why: str) -> None:
    """Depth and lengths are bounded before anything is made of them."""
    with pytest.raises(BadAttestation, match=why):
        cbor.decode(data)
