"""NumPy's ``.npz``, a zip of arrays: for ``corpus`` and ``handwriting``.

Rules: no array is unpickled; the sizes that a zip and an array's header state are checked against each other and
against a limit before anything is allocated.
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

MOST_ARRAYS = 64
LONGEST_HEADER = 4096  # bytes of text; that of a plain array has about 120

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_ERRORS = (LookupError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def load(path: Path, longest: int = idx.MAX_BYTES) -> dict[str, NDArray[Any]]:
    """The arrays by name. Raises ValueError with one line, or OSError; ``longest`` is in bytes, for each array."""
    try:
        with zipfile.ZipFile(path) as members:
            listed = members.infolist()
            if len(listed) > MOST_ARRAYS:
                raise ValueError(f"expected at most {MOST_ARRAYS} arrays, got {len(listed):,}")
            return {each.filename.removesuffix(".npy"): _array(members, each, longest) for each in listed}
    except _ERRORS as error:
        raise ValueError(one_line(error)) from error


def _array(members: zipfile.ZipFile, member: zipfile.ZipInfo, longest: int) -> NDArray[Any]:
    if member.file_size > longest:
        raise ValueError(f"{member.filename} has {member.file_size:,} bytes, expected at most {longest:,}")
    data = members.read(member)
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{member.filename}: expected version 1.0 or 2.0 of the npy format, got {version}")
    shape, columns_first, dtype = _HEADERS[version](file, max_header_size=LONGEST_HEADER)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds pickled objects, which are never loaded; save plain numbers")
    announced, found = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if announced != found:
        raise ValueError(f"{member.filename}: its header announces {announced:,} bytes of values, {found:,} follow")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if columns_first else "C")
