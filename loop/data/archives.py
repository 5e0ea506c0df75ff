"""Read an untrusted zip for ``handwriting``: nothing is written to disk, and no name in it is used as a path.

Rules: an archive with a suspicious member (a name outside the zip, a link, encryption, a size over the limits) is
refused as a whole, before a member is read; a member is read up to its declared size and never beyond the limit of one
image; a damaged member is refused with a reason, and the others are still read.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loop.errors import BadImage, one_line

MAX_FILE_BYTES = 1 << 30  # bytes on disk
MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 1 << 29  # declared bytes after unpacking: a hundred people of the largest known size
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and lzma cannot be unpacked in pieces of limited size
ZIP_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,  # includes NotImplementedError: features that zipfile lacks
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip at ``path`` and check its directory. Raises BadImage with one line."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BadImage(
                f"{path}: expected a zip of at most {MAX_FILE_BYTES:,} bytes, got {size:,}; split it by person"
            )
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise BadImage(f"{path} is not a readable zip ({one_line(error)}); send <digit>/*.png in a zip") from error
    with archive:
        _check(path, archive.infolist())
        yield archive


def files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are files, in the archive's order."""
    return [member for member in archive.infolist() if not member.is_dir()]


def read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """Return the bytes of one member. Raises BadImage, without its name, if it is damaged or over ``max_bytes``."""
    if member.file_size > max_bytes:
        raise BadImage(f"a member of the zip is over {max_bytes:,} bytes; send a smaller image")
    if member.compress_type not in METHODS:
        raise BadImage("a member of the zip is neither stored nor deflated; pack the zip again")
    try:
        with archive.open(member) as file:
            return file.read(max_bytes + 1)[:max_bytes]
    except ZIP_ERRORS as error:
        raise BadImage("a member of the zip is damaged; pack the zip again") from error


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise BadImage(f"{path} is an empty zip; send <digit>/*.png in it")
    if len(members) > MAX_MEMBERS:
        raise BadImage(f"{path}: expected at most {MAX_MEMBERS:,} members, got {len(members):,}; split it by person")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise BadImage(
            f"{path}: expected at most {MAX_TOTAL_BYTES:,} bytes unpacked, got {total:,}; split it by person"
        )
    for member in members:
        fault = _fault(member)
        if fault:
            raise BadImage(f"{path}: its member {member.filename[:60]!r} {fault}; the whole zip was refused")


def _fault(member: zipfile.ZipInfo) -> str | None:
    """Return the reason to refuse the whole archive, if any."""
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute name"
    if ".." in name.split("/"):
        return "has a path outside the zip"
    if "\0" in name:
        return "has a NUL in its name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, expected a plain file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return None
