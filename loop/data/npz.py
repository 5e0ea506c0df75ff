"""Read NumPy's ``.npz``, a zip of arrays, for ``corpus`` and ``handwriting``.

Rules: no array is unpickled; the sizes in the zip and in an array's header are compared with each other and with a
limit before memory is allocated.
"""

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from loop.data import idx
from loop.errors import one_line

MAX_ARRAYS = 64
MAX_HEADER_BYTES = 4096  # the header of a plain array has about 120

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_ERRORS = (LookupError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def load(path: Path, max_bytes: int = idx.MAX_BYTES) -> dict[str, NDArray[Any]]:
    """Return the arrays by name, each of at most ``max_bytes``. Raises ValueError with one line, or OSError."""
    try:
        with zipfile.ZipFile(path) as members:
            listed = members.infolist()
            if len(listed) > MAX_ARRAYS:
                raise ValueError(f"expected at most {MAX_ARRAYS} arrays, got {len(listed):,}")
            return {each.filename.removesuffix(".npy"): _array(members, each, max_bytes) for each in listed}
    except _ERRORS as error:
        raise ValueError(one_line(error)) from error


def _array(members: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> NDArray[Any]:
    if member.file_size > max_bytes:
        raise ValueError(f"{member.filename}: expected at most {max_bytes:,} bytes, got {member.file_size:,}")
    data = members.read(member)
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{member.filename}: expected version 1.0 or 2.0 of the npy format, got {version}")
    shape, columns_first, dtype = _HEADERS[version](file, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} contains pickled objects, which are never loaded; save plain numbers")
    stated, found = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if stated != found:
        raise ValueError(f"{member.filename}: its header states {stated:,} bytes of values, got {found:,}")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if columns_first else "C")
