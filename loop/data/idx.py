"""IDX, the format of MNIST's files: a magic number, the sizes, then the bytes. For ``corpus`` and ``handwriting``.

Rules: sizes are checked against the bytes that are there before anything is shaped; bytes left over are an
error; a gzip is unpacked only up to a stated number of bytes. Format: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]

GZIP_MAGIC = b"\x1f\x8b"
TYPES = {8: "bytes", 9: "signed bytes", 11: "16-bit integers", 12: "32-bit integers", 13: "float32", 14: "float64"}
MAX_BYTES = 64 << 20  # bytes after unpacking: MNIST's largest file has 47 million


def load(path: Path, longest: int = MAX_BYTES) -> Array:
    """The array in an IDX file, gzipped or not. Raises ValueError with one line, or OSError."""
    with path.open("rb") as file:
        return parse(unpacked(file.read(longest + 1), longest))


def unpacked(data: bytes, longest: int = MAX_BYTES) -> bytes:
    """``data``, or what it holds if it is a gzip. Raises ValueError if that is damaged or over ``longest`` bytes."""
    if data.startswith(GZIP_MAGIC):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(longest + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"the gzip is damaged ({error})") from error
    if len(data) > longest:
        raise ValueError(f"expected at most {longest:,} bytes, there are more")
    return data


def parse(data: bytes) -> Array:
    """``(n,)`` labels or ``(n, h, w)`` images, uint8, read-only, from IDX bytes. Raises ValueError with one line."""
    if len(data) < 4 or data[:3] != b"\0\0\x08" or data[3] not in (1, 3):
        raise ValueError(f"expected an IDX file of bytes in 1 or 3 dimensions, {_found(data[:4])}")
    dimensions = data[3]
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise ValueError(f"expected a header of {start} bytes, the file has {len(data)}")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if math.prod(shape) != len(data) - start:
        raise ValueError(f"its header announces {math.prod(shape):,} bytes of values, {len(data) - start:,} follow")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _found(magic: bytes) -> str:
    """What a file that begins with these four bytes is."""
    if len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES:
        return f"it has {TYPES[magic[2]]} in {magic[3]}; write it again as bytes"
    return f"it begins with {magic!r}"


def header(shape: tuple[int, ...]) -> bytes:
    """What stands before the values of an array of ``shape``."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
