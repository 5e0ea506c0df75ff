"""Find the kind of a file of digits from its first bytes; other files are refused by name, with the next step."""

import gzip
import zipfile
import zlib
from enum import Enum, auto
from pathlib import Path

from loop.data import archives, idx
from loop.errors import BadImage
from models.coreml import kinds as named_kinds

HEAD_BYTES = 1024


class Kind(Enum):
    """A kind of file that can be read."""

    PICTURES = auto()
    """A zip of ``<digit>/*.png``."""
    IDX = auto()
    IDX_ZIP = auto()
    NPZ = auto()
    TEXT = auto()


SAVE_ARRAYS = "save its arrays with numpy.savez(FILE, images=…, labels=…)"
SAVE_TABLE = "save label and pixels as CSV"
ADVICE = (  # kinds of data: first bytes, name, next step; ``models.coreml.kinds`` names all other kinds
    (b"MATLAB 5.0", "a MATLAB file", SAVE_ARRAYS),
    (b"PAR1", "a Parquet file", SAVE_TABLE),
    (b"ARROW1", "an Arrow file", SAVE_TABLE),
    (b"SQLite format 3\0", "an SQLite database", SAVE_TABLE),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    (b"<", "XML", SAVE_TABLE),
    (b"@relation", "an ARFF file", SAVE_TABLE),
    (b"%", "an ARFF file", SAVE_TABLE),
)
EXPECTED = "expected a folder or zip of <digit>/*.png, IDX files, .npz, or a CSV of label and pixels"


def of(path: Path) -> Kind:
    """Return the kind of the file at ``path``. Raises BadImage for a kind that cannot be read, OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    named = named_kinds.of_path(path)
    if named is not None and named.as_digits:
        raise BadImage(f"{path}: expected labelled digits, got {named.name}; {named.as_digits}")
    if head.startswith(b"PK"):
        with archives.opened(path) as archive:
            return _of_zip(path, archive)
    packed = head.startswith(idx.GZIP_MAGIC)
    return _of_head(path, _unpacked_head(path) if packed else head, "gzip of " if packed else "")


def check_folder(path: Path) -> None:
    """Raises BadImage for a folder of a known kind that contains no labelled digits, such as a compiled model."""
    named = named_kinds.of_folder(path)
    if named.as_digits:
        raise BadImage(f"{path}: expected labelled digits, got {named.name}; {named.as_digits}")


def _unpacked_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise BadImage(f"{path}: the gzip is damaged ({error}); fetch it again") from error


def _of_head(path: Path, head: bytes, outer: str) -> Kind:
    if head[:2] == b"\0\0" and head[2:3] and head[2] in idx.TYPES:
        return Kind.IDX
    named = named_kinds.of_bytes(head)
    if named is not None and named.as_digits:
        raise BadImage(f"{path}: expected labelled digits, got {outer}{named.name}; {named.as_digits}")
    for first, name, advice in ADVICE:
        if head.lstrip().lower().startswith(first.lower()):
            raise BadImage(f"{path}: expected labelled digits, got {name}; {advice}")
    if b"\0" in head or any(byte < 32 and byte not in b"\t\r\n\f" for byte in head):
        raise BadImage(f"{path}: {EXPECTED}; got a file that begins with {head[:8]!r}")
    return Kind.TEXT


def _of_zip(path: Path, archive: zipfile.ZipFile) -> Kind:
    names = [member.filename for member in archives.files(archive)]
    if names and all(name.endswith(".npy") for name in names):
        return Kind.NPZ
    if any("idx3-ubyte" in name for name in names):
        return Kind.IDX_ZIP
    if "[Content_Types].xml" in names:
        raise BadImage(f"{path}: {EXPECTED}; got an Office document; save the sheet as CSV")
    tables = [name for name in names if name.lower().endswith((".csv", ".txt", ".npz", ".data", ".mat"))]
    if tables and not any(name.lower().endswith((".png", ".jpg", ".jpeg")) for name in names):
        raise BadImage(f"{path}: its member {tables[0][:60]!r} is not a picture; unpack the zip and name that file")
    return Kind.PICTURES
