"""Read IDX, the format of MNIST's files (a magic number, the sizes, the bytes), for ``corpus`` and ``handwriting``.

Rules: the sizes must equal the number of bytes in the file, which is checked first; extra bytes are an error; a gzip is
unpacked only up to a given number of bytes. Format: http://yann.lecun.com/exdb/mnist/.
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


def load(path: Path, max_bytes: int = MAX_BYTES) -> Array:
    """Return the array in an IDX file, gzipped or not. Raises ValueError with one line, or OSError."""
    with path.open("rb") as file:
        return parse(unpacked(file.read(max_bytes + 1), max_bytes))


def unpacked(data: bytes, max_bytes: int = MAX_BYTES) -> bytes:
    """Return ``data``, unpacked if it is a gzip. Raises ValueError if it is damaged or over ``max_bytes``."""
    if data.startswith(GZIP_MAGIC):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(max_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"the gzip is damaged ({error})") from error
    if len(data) > max_bytes:
        raise ValueError(f"expected at most {max_bytes:,} bytes, got more")
    return data


def parse(data: bytes) -> Array:
    """Return ``(n,)`` labels or ``(n, h, w)`` images, uint8, read-only. Raises ValueError with one line."""
    if len(data) < 4 or data[:3] != b"\0\0\x08" or data[3] not in (1, 3):
        raise ValueError(f"expected an IDX file of bytes in 1 or 3 dimensions, got {_found(data[:4])}")
    dimensions = data[3]
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise ValueError(f"expected a header of {start} bytes, got a file of {len(data)}")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if math.prod(shape) != len(data) - start:
        raise ValueError(f"its header states {math.prod(shape):,} bytes of values, got {len(data) - start:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _found(magic: bytes) -> str:
    """Return the name of the type of a file that begins with these four bytes."""
    if len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES:
        return f"{TYPES[magic[2]]} in {magic[3]}; write the file again as bytes"
    return f"a file that begins with {magic!r}"


def header(shape: tuple[int, ...]) -> bytes:
    """Return the bytes before the values of an array of ``shape``."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
