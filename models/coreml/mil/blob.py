"""The weight file of a package: a record at a stated offset gives the type and the position of the values.

Layout (little endian): the file starts with the number of records and the version, 2; a record of 64 bytes has a
sentinel, a type, the size in bytes, and the offset of the values. Values of less than a byte are packed without gaps,
the least significant bit first.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..budget import Budget
from ..errors import AnotherKind
from ..layers.layer import Shape

VERSION, SENTINEL, RECORD_BYTES = 2, 0xDEADBEEF, 64
PREFIX = "@model_path/"


@dataclass(frozen=True, slots=True)
class Type:
    """A type of values: ``code`` in a weight file (0: not used there), ``bits`` per value, ``dtype`` in numpy."""

    name: str
    code: int
    bits: int
    dtype: str


TYPES = {
    1: Type("bool", 0, 8, "u1"),
    10: Type("float16", 1, 16, "<f2"),
    11: Type("float32", 2, 32, "<f4"),
    12: Type("float64", 0, 64, "<f8"),
    21: Type("int8", 4, 8, "i1"),
    22: Type("int16", 6, 16, "<i2"),
    23: Type("int32", 14, 32, "<i4"),
    24: Type("int64", 0, 64, "<i8"),
    25: Type("int4", 8, 4, "i1"),
    31: Type("uint8", 3, 8, "u1"),
    32: Type("uint16", 7, 16, "<u2"),
    33: Type("uint32", 15, 32, "<u4"),
    34: Type("uint64", 0, 64, "<u8"),
    35: Type("uint4", 11, 4, "u1"),
    36: Type("uint2", 10, 2, "u1"),
    37: Type("uint1", 9, 1, "u1"),
    38: Type("uint6", 13, 6, "u1"),
    39: Type("uint3", 12, 3, "u1"),
}
"""By ``DataType`` in MIL.proto."""


def read(message: Any, kind: Type, shape: Shape, budget: Budget) -> NDArray[Any]:
    """Return the values that a ``BlobFileValue`` names, as ``shape``; every offset stays inside the file."""
    name = str(message.fileName)
    data = budget.files.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
    if data is None and not budget.files:
        raise AnotherKind(
            f"{budget.file}: expected a whole ML Program, got its model file without the weights ({name}); "
            "give the .mlpackage that it is from, the folder or a zip of it"
        )
    if data is None:
        raise budget.malformed(f"weights in {name!r}, which the package does not contain")
    start, size = _record(data, message.offset, kind, name, budget)
    expected = (math.prod(shape) * kind.bits + 7) // 8
    if size != expected:
        raise budget.malformed(f"{name} at {message.offset}: expected {expected} bytes for {shape[:8]}, got {size}")
    return unpacked(data[start : start + size], kind, math.prod(shape)).reshape(shape)


def _record(data: bytes, offset: int, kind: Type, name: str, budget: Budget) -> tuple[int, int]:
    """Return where the values of a record start and how many bytes they have."""
    if len(data) < RECORD_BYTES or struct.unpack_from("<I", data, 4)[0] != VERSION:
        raise budget.unsupported(f"the weight file {name}, which is not of version {VERSION},")
    if offset + RECORD_BYTES > len(data):
        raise budget.malformed(f"{name}: a record at {offset} is outside the file of {len(data)} bytes")
    sentinel, code, size, start = struct.unpack_from("<IIQQ", data, offset)
    if sentinel != SENTINEL or code != kind.code:
        raise budget.malformed(f"{name}: expected a record of {kind.name} at {offset}, got type {code}")
    if start + size > len(data):
        raise budget.malformed(f"{name}: values up to {start + size} are outside the file of {len(data)} bytes")
    return start, size


def unpacked(data: bytes, kind: Type, count: int) -> NDArray[Any]:
    """Return ``count`` values of a type from exactly as many bytes as they take."""
    if kind.bits >= 8:
        return np.frombuffer(data, kind.dtype, count)
    loose = np.unpackbits(np.frombuffer(data, np.uint8), count=count * kind.bits, bitorder="little")
    places = (1 << np.arange(kind.bits)).astype(np.uint8)
    values: NDArray[Any] = (loose.reshape(count, kind.bits) * places).sum(axis=1, dtype=np.uint8)
    if kind.dtype == "i1":  # two's complement
        half = 1 << (kind.bits - 1)
        values = (values.astype(np.int8) ^ half) - half
    return values
