"""Read a request's body within limits: its length is checked before and while reading, and reading is timed.

Rules: nothing is decompressed; nothing is written to a temporary file; JSON is parsed by a parser that bounds its
depth, and no object in it has a key twice; ``multipart`` parses forms.
"""

import asyncio
import re
from contextlib import suppress
from json import loads
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from loop.api import multipart
from loop.errors import BodyTooSlow, NotReadable, RepeatedKey, TooLarge, WrongMediaType, one_line

JSON, MULTIPART, BINARY = "application/json", "multipart/form-data", "application/octet-stream"
KEY_END = re.compile(rb'"[ \t\r\n]*:')
"""Where a key ends; also a text that begins with a colon, or contains a quote and a colon."""
CONTAINERS = (dict, list)


async def fields(request: Request, max_bytes: int, seconds: float) -> Any:
    """The fields of a JSON or multipart body, not yet checked. Raises as ``media_type``, ``read`` and ``json`` do."""
    kind = media_type(request, MULTIPART, JSON)
    data = await read(request, max_bytes, seconds)
    return json(data) if kind == JSON else multipart.fields(data, request.headers["content-type"])


def media_type(request: Request, *expected: str) -> str:
    """The body's media type, one of ``expected``. Raises ``WrongMediaType``."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in expected:
        raise WrongMediaType(
            f"Content-Type: expected {' or '.join(expected)}, got {found[:60] or 'nothing'}; send one of these"
        )
    return found


async def read(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises ``TooLarge``, ``BodyTooSlow``, ``NotReadable``, ``WrongMediaType``."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise TooLarge(f"body: expected at most {max_bytes:,} bytes, got {int(declared):,}; send a smaller one")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongMediaType("Content-Encoding: expected none, got another; send the body uncompressed")
    pieces, length = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                length += len(piece)
                if length > max_bytes:
                    raise TooLarge(f"body: expected at most {max_bytes:,} bytes, got more; send a smaller one")
                pieces.append(piece)
    except TimeoutError:
        raise BodyTooSlow(
            f"body: expected all of it within {seconds:g} s, got {length:,} bytes; send it again"
        ) from None
    except ClientDisconnect:
        raise NotReadable("body: expected all of it, but the connection closed; send it again") from None
    return b"".join(pieces)


def json(data: bytes) -> Any:
    """A JSON value. Raises ``NotReadable``, also if it is nested too deeply, and ``RepeatedKey``."""
    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise NotReadable(f"body: expected JSON, got something else ({one_line(error, 120)}); correct it") from None
    keys = _keys(found)  # the counts of the text are never too low: a text that looks like a key counts too
    if data.count(b":") != keys and sum(1 for _ in KEY_END.finditer(data)) != keys:
        refuse_repeated_keys(data)
    return found


def refuse_repeated_keys(data: bytes) -> None:
    """Raise ``RepeatedKey`` if an object in this JSON has a key twice; other faults are left to the reader."""
    with suppress(ValueError, RecursionError):
        loads(data, object_pairs_hook=_once, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing)


def _keys(value: Any) -> int:
    """The keys of all objects in a JSON value."""
    count, left = 0, [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            count += len(each)
            left += [part for part in each.values() if isinstance(part, CONTAINERS)]
        elif isinstance(each, list):
            left += [part for part in each if isinstance(part, CONTAINERS)]
    return count


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise RepeatedKey(f"body: expected each key once in an object, got {key[:40]!r} twice; send it once")
        seen.add(key)


def _nothing(_: str) -> None:
    """In place of a number, which may be longer than Python reads."""
