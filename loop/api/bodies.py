"""Read a request's body within limits: its length is asked before reading, counted while reading, and timed.

Rules: nothing is decompressed; nothing is written to a temporary file; a multipart body may have few parts with short
headers; JSON is parsed by a parser that bounds its depth.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from loop.errors import BodyTooSlow, NotReadable, TooLarge, WrongMediaType

MAX_PARTS = 16
MAX_HEADERS, MAX_HEADER = 8, 1_024  # of a part
JSON, MULTIPART = "application/json", "multipart/form-data"


async def read(request: Request, most: int, seconds: float) -> bytes:
    """The body whole. Raises ``TooLarge``, ``BodyTooSlow``, ``NotReadable``."""
    _check_headers(request, most)
    pieces, length = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                length += len(piece)
                if length > most:
                    raise TooLarge(f"body: expected at most {most:,} bytes, more came")
                pieces.append(piece)
    except TimeoutError:
        raise BodyTooSlow(f"body: expected all of it within {seconds:g} s, {length:,} bytes came") from None
    except ClientDisconnect:
        raise NotReadable("body: the connection ended before it") from None
    return b"".join(pieces)


def media_type(request: Request) -> tuple[str, bytes]:
    """The body's kind and, for multipart, its boundary. Raises ``WrongMediaType``."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    name = kind.decode("latin-1").lower()
    if name not in {JSON, MULTIPART}:
        raise WrongMediaType(f"Content-Type: expected {MULTIPART} or {JSON}, got {name[:60] or 'none'}")
    return name, options.get(b"boundary", b"")


def json(data: bytes) -> Any:
    """A JSON value. Raises ``NotReadable``, also for one that is nested too deep."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise NotReadable(f"body: expected JSON ({str(error)[:120]})") from None


def parts(data: bytes, boundary: bytes) -> dict[str, bytes]:
    """The named parts of a multipart body. Raises ``NotReadable``, ``TooLarge``."""
    if not 0 < len(boundary) <= 70:
        raise NotReadable("Content-Type: expected multipart/form-data with a boundary of 1 to 70 characters")
    reading = _Parts()
    callbacks: Any = {
        "on_part_begin": reading.begin,
        "on_header_field": reading.header_name,
        "on_header_value": reading.header_value,
        "on_header_end": reading.header_end,
        "on_headers_finished": reading.named,
        "on_part_data": reading.data,
        "on_part_end": reading.end,
        "on_end": reading.finish,
    }
    try:
        MultipartParser(boundary, callbacks, max_header_count=MAX_HEADERS, max_header_size=MAX_HEADER).write(data)
    except FormParserError as error:
        raise NotReadable(f"body: expected multipart/form-data ({str(error)[:120]})") from None
    if not reading.whole:
        raise NotReadable("body: expected multipart/form-data, it ends before its last boundary")
    return {name: bytes(value) for name, value in reading.found.items()}


@dataclass(slots=True)
class _Parts:
    """What the parser calls back, part by part."""

    found: dict[str, bytearray] = field(default_factory=dict)
    whole: bool = False
    _name: str = ""
    _field: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def begin(self) -> None:
        if len(self.found) == MAX_PARTS:
            raise TooLarge(f"body: expected at most {MAX_PARTS} parts, more came")
        self._disposition = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def named(self) -> None:
        kind, options = parse_options_header(self._disposition)
        try:
            self._name = options.get(b"name", b"").decode("utf-8")
        except UnicodeDecodeError:
            self._name = ""
        if kind != b"form-data" or not self._name:
            raise NotReadable("body: expected a Content-Disposition with a name in every part")
        if self._name in self.found:
            raise NotReadable(f"body: part {self._name[:40]!r} came twice")
        self.found[self._name] = bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.found[self._name] += data[start:end]

    def end(self) -> None:
        self._name = ""

    def finish(self) -> None:
        self.whole = True


def _check_headers(request: Request, most: int) -> None:
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise TooLarge(f"body: expected at most {most:,} bytes, {int(declared):,} were announced")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongMediaType("Content-Encoding: expected none; send the body as it is")
