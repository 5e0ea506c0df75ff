"""The parts of a multipart/form-data body that is in memory whole (RFC 7578): strict, in one pass over the bytes.

Rules: few parts, short headers, every part named once; what is not exactly a form is refused, nothing is guessed.
"""

import re

from loop.errors import NotReadable, TooLarge

MAX_PARTS = 16
MAX_HEAD_BYTES = 2_048  # the headers of a part
BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
_DISPOSITION = re.compile(rb'form-data *; *name="([^"\x00-\x1f\\]{1,200})"(?: *; *filename\*?=[^\x00-\x1f]*)?', re.I)


def parts(data: bytes, boundary: bytes) -> dict[str, bytes]:
    """The named parts. Raises ``NotReadable``, ``TooLarge``."""
    if not BOUNDARY.fullmatch(boundary):
        raise NotReadable("Content-Type: expected multipart/form-data with a boundary of 1 to 70 characters")
    delimiter = b"\r\n--" + boundary
    preamble, *pieces = (b"\r\n" + data).split(delimiter, MAX_PARTS + 2)
    if preamble or not pieces:
        raise NotReadable("body: expected multipart/form-data that begins with its boundary")
    if len(pieces) > MAX_PARTS + 1:
        raise TooLarge(f"body: expected at most {MAX_PARTS} parts, more came")
    if pieces.pop() not in {b"--\r\n", b"--"}:
        raise NotReadable("body: expected multipart/form-data, it ends before its last boundary")
    found: dict[str, bytes] = {}
    for piece in pieces:
        name, content = _part(piece)
        if name in found:
            raise NotReadable(f"body: part {name[:40]!r} came twice")
        found[name] = content
    return found


def _part(piece: bytes) -> tuple[str, bytes]:
    """Name and content of what stands between two boundaries."""
    end = piece.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if end < 0 or not piece.startswith(b"\r\n"):
        raise NotReadable("body: expected every part to begin with its headers, short ones, and an empty line")
    for line in piece[2:end].split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.lower() == b"content-disposition":
            named = _DISPOSITION.fullmatch(value.strip())
            if named:
                return _text(named[1]), piece[end + 4 :]
            break
    raise NotReadable("body: expected a Content-Disposition with a name in every part")


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise NotReadable("body: expected names of parts in UTF-8") from None
