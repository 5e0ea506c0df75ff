"""The fast path for PNGs from phones accepts and refuses exactly the same files as the full decoder."""

import struct
import zlib
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loop.data import pictures
from loop.data.digits import DEFAULT_LIMITS
from loop.errors import BadImage
from tests.helpers.drawn import chunk

HEADER = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)


def decoded(file: bytes) -> NDArray[np.uint8] | None:
    """Return the grey levels, or None for a refusal."""
    try:
        picture = pictures.decode(file, DEFAULT_LIMITS)
    except BadImage:
        return None
    assert picture.plain
    return picture.grey


def both_paths(file: bytes) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return the results of the fast path and of Pillow's reader of whole files."""
    fast = decoded(file)
    with mock.patch.object(pictures, "PLAIN_HEADER", b""):
        return fast, decoded(file)


def assembled(rows: bytes, cuts: list[int]) -> bytes:
    """Return a PNG of these compressed rows, split into chunks."""
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [chunk(b"IDAT", rows[start:end]) for start, end in pairwise(edges)]
    return b"".join([pictures.PNG_SIGNATURE, chunk(b"IHDR", HEADER), *parts, chunk(b"IEND", b"")])


filtered = st.tuples(st.sampled_from(range(7)), st.binary(min_size=28, max_size=28)).map(
    lambda row: bytes([row[0]]) + row[1]
)
cuts = st.lists(st.integers(0, 900), max_size=4)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(filtered, min_size=26, max_size=30), st.integers(0, 9), cuts)
def test_every_filter_and_number_of_rows(rows: list[bytes], level: int, cuts: list[int]) -> None:
    """Rows with any filter (two are invalid), too few or too many, split anywhere: both paths give the same result."""
    fast, full = both_paths(assembled(zlib.compress(b"".join(rows), level), cuts))
    assert (fast is None) == (full is None)
    assert fast is None or full is None or np.array_equal(fast, full)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 20),
    at=st.integers(0, 400),
    damage=st.sampled_from(["flip", "cut", "insert", "append"]),
    with_=st.binary(min_size=1, max_size=3),
    cuts=cuts,
)
@example(seed=0, at=0, damage="cut", with_=b"\0", cuts=[])
def test_damaged_streams(seed: int, at: int, damage: str, with_: bytes, cuts: list[int]) -> None:
    """Both paths give the same result for a compressed stream that was damaged before its checksum was computed."""
    pixels = np.random.default_rng(seed).integers(0, 4, (28, 28)).astype(np.uint8) * 80
    stream = zlib.compress(b"".join(bytes([row % 5]) + pixels[row].tobytes() for row in range(28)))
    at = min(at, len(stream) - 1)
    damaged = {
        "flip": stream[:at] + bytes([stream[at] ^ with_[0]]) + stream[at + 1 :],
        "cut": stream[:at],
        "insert": stream[:at] + with_ + stream[at:],
        "append": stream + with_,
    }[damage]
    fast, full = both_paths(assembled(damaged, cuts))
    assert (fast is None) == (full is None)
    assert fast is None or full is None or np.array_equal(fast, full)


@pytest.mark.parametrize("extra", [b"tRNS", b"PLTE", b"IHDR"])
def test_other_chunks_use_the_full_decoder(extra: bytes) -> None:
    """Transparency, a palette or a second header never use the fast path."""
    rows = zlib.compress(bytes(29 * 28))
    body = {b"tRNS": b"\0\7", b"PLTE": bytes(6), b"IHDR": struct.pack(">IIBBBBB", 28, 28, 16, 0, 0, 0, 0)}[extra]
    parts = [chunk(b"IHDR", HEADER), chunk(extra, body), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    with mock.patch.object(pictures.Image, "frombytes", side_effect=AssertionError("the fast path")):
        try:
            pictures.decode(pictures.PNG_SIGNATURE + b"".join(parts), DEFAULT_LIMITS)
        except BadImage:
            assert extra != b"tRNS"
