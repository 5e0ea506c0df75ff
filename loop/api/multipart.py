"""Parse a multipart/form-data body that is in memory (RFC 7578): strict, in one pass over the bytes.

Rules: few parts, short headers, every part named once; whatever is not exactly a form is refused, nothing is guessed.
"""

import re
from typing import Any

from loop.errors import NotReadable, TooLarge

MAX_PARTS = 16
MAX_HEAD_BYTES = 2_048  # the headers of a part
BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
_PARAMETER = re.compile(r';\s*boundary="?([^";,]*)', re.IGNORECASE)
_DISPOSITION = re.compile(rb'form-data *; *name="([^"\x00-\x1f\\]{1,200})"(?: *; *filename\*?=[^\x00-\x1f]*)?', re.I)
BINARY = "image"
WHOLE_NUMBERS = frozenset({"label", "predicted", "runner_up", "version"})
NUMBERS = frozenset({"confidence", "rate", "runner_up_confidence"})
"""A form has only text; these fields are numbers in JSON."""


def fields(data: bytes, content_type: str) -> dict[str, Any]:
    """The fields as JSON would give them; the image stays bytes. Raises ``NotReadable``, ``TooLarge``."""
    boundary = _PARAMETER.search(content_type)
    found = parts(data, boundary[1].encode("latin-1") if boundary else b"")
    return {name: value if name == BINARY else _typed(name, _text(value)) for name, value in found.items()}


def parts(data: bytes, boundary: bytes) -> dict[str, bytes]:
    """The parts by name. Raises ``NotReadable``, ``TooLarge``."""
    if not BOUNDARY.fullmatch(boundary):
        raise NotReadable("Content-Type: expected multipart/form-data with a boundary of 1 to 70 characters; add one")
    delimiter = b"\r\n--" + boundary
    preamble, *pieces = (b"\r\n" + data).split(delimiter, MAX_PARTS + 2)
    if preamble or not pieces:
        raise _malformed("a form that begins with its boundary")
    if len(pieces) > MAX_PARTS + 1:
        raise TooLarge(f"body: expected at most {MAX_PARTS} parts, got more; send only the documented fields")
    if pieces.pop() not in {b"--\r\n", b"--"}:
        raise _malformed("a form that ends with its boundary and two hyphens")
    found: dict[str, bytes] = {}
    for piece in pieces:
        name, content = _part(piece)
        if name in found:
            raise _malformed(f"each field once, got {name[:40]!r} twice")
        found[name] = content
    return found


def _part(piece: bytes) -> tuple[str, bytes]:
    """Name and content of the bytes between two boundaries."""
    end = piece.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if end < 0 or not piece.startswith(b"\r\n"):
        raise _malformed(f"headers of at most {MAX_HEAD_BYTES:,} bytes and an empty line at the start of every part")
    for line in piece[2:end].split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.lower() == b"content-disposition":
            named = _DISPOSITION.fullmatch(value.strip())
            if named:
                return _text(named[1]), piece[end + 4 :]
            break
    raise _malformed("a Content-Disposition with a name in every part")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("names and values in UTF-8") from None


def _typed(name: str, text: str) -> Any:
    """The number in ``text`` where the field is one; text that is no number stays, and the schema refuses it."""
    if name in WHOLE_NUMBERS and text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    if name in NUMBERS:
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _malformed(expected: str) -> NotReadable:
    return NotReadable(f"body: expected multipart/form-data, {expected}; correct the form")
