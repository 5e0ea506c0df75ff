"""Reading a stranger's zip for ``handwriting``: nothing is written to disk, no name in it becomes a path.

Rules: an archive that tries anything (climbing names, links, encryption, sizes beyond the limits) is refused
whole, before a member is read; a member is read up to what it declares and never beyond the limit of one
image; a damaged member is a reason, not the end of the archive.
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
MAX_TOTAL_BYTES = 1 << 29  # bytes unpacked, as declared: a hundred people of the size we have seen
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and lzma cannot be unpacked a bounded piece at a time
ZIP_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,  # and NotImplementedError: features zipfile does not have
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at ``path``, its directory checked. Raises BadImage with one line."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BadImage(
                f"{path} has {size:,} bytes, expected a zip of at most {MAX_FILE_BYTES:,}; split it by person"
            )
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise BadImage(f"{path} is not a readable zip ({one_line(error)}); send <digit>/*.png in a zip") from error
    with archive:
        _check(path, archive.infolist())
        yield archive


def files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are files, in the archive's order."""
    return [member for member in archive.infolist() if not member.is_dir()]


def read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, largest: int) -> bytes:
    """The bytes of one member. Raises BadImage, without the member's name, if it is damaged or over ``largest``."""
    if member.file_size > largest:
        raise BadImage(f"a member of the zip is over {largest:,} bytes; send a smaller image")
    if member.compress_type not in METHODS:
        raise BadImage("a member of the zip is neither stored nor deflated; pack the zip again")
    try:
        with archive.open(member) as file:
            return file.read(largest + 1)[:largest]
    except ZIP_ERRORS as error:
        raise BadImage("a member of the zip is damaged; pack the zip again") from error


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise BadImage(f"{path} is an empty zip; send <digit>/*.png in it")
    if len(members) > MAX_MEMBERS:
        raise BadImage(f"{path} has {len(members):,} members, at most {MAX_MEMBERS:,} are taken; split it by person")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise BadImage(f"{path} unpacks to {total:,} bytes, at most {MAX_TOTAL_BYTES:,} are taken; split it by person")
    for member in members:
        fault = _fault(member)
        if fault:
            raise BadImage(f"{path}: its member {member.filename[:60]!r} {fault}; nothing of the zip was taken")


def _fault(member: zipfile.ZipInfo) -> str | None:
    """What makes the whole archive suspect, if anything."""
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute name"
    if ".." in name.split("/"):
        return "climbs out of the zip"
    if "\0" in name:
        return "has a NUL in its name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, expected plain files"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return None
