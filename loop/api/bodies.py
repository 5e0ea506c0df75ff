"""Read a request's body within limits: its length is asked before reading, counted while reading, and timed.

Rules: nothing is decompressed; nothing is written to a temporary file; JSON is parsed by a parser that bounds its
depth; how a form is read is ``forms``'s matter.
"""

import asyncio
import re
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from loop.errors import BodyTooSlow, NotReadable, TooLarge, WrongMediaType

BOUNDARY = re.compile(r';\s*boundary="?([^";,]*)', re.IGNORECASE)
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
    """The body's kind and, for a form, its boundary. Raises ``WrongMediaType``."""
    said = request.headers.get("content-type", "")
    name = said.partition(";")[0].strip().lower()
    if name not in {JSON, MULTIPART}:
        raise WrongMediaType(f"Content-Type: expected {MULTIPART} or {JSON}, got {name[:60] or 'none'}")
    boundary = BOUNDARY.search(said)
    return name, boundary[1].encode("latin-1") if boundary else b""


def json(data: bytes) -> Any:
    """A JSON value. Raises ``NotReadable``, also for one that is nested too deep."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise NotReadable(f"body: expected JSON ({str(error)[:120]})") from None


def _check_headers(request: Request, most: int) -> None:
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise TooLarge(f"body: expected at most {most:,} bytes, {int(declared):,} were announced")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongMediaType("Content-Encoding: expected none; send the body as it is")
