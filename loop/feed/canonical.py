"""The one way to write a document: JSON from which everything that could be written in two ways is taken out.

Objects whose keys are sorted and unique, arrays, strings, whole numbers, ``true`` and ``false``. No white space.
Strings are printable ASCII without ``"`` and backslash, so nothing is ever escaped. Numbers are 0 to 2⁵³ - 1 without
sign, leading zero, point or exponent. No ``null``. At most ``DEPTH`` levels.

So ``parse(data)`` gives a value only if ``encode`` of it gives ``data`` back, and a phone can check a signature over
the bytes as they came, without writing them anew.
"""

import json
import re
from typing import Any, NoReturn

from loop.errors import one_line
from loop.feed.refusals import NotCanonical

MAX_DEPTH = 8
MAX_INTEGER = 2**53 - 1  # the largest whole number that every JSON reader keeps exactly
TEXT_PATTERN = re.compile(r"[ !#-\[\]-~]*")
MAX_INTEGER_DIGITS = len(str(MAX_INTEGER))

Plain = dict[str, Any]


def encode(value: object) -> bytes:
    """The bytes of a value. Raises ``NotCanonical`` for one that cannot be written."""
    _check(value, 1)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parse(data: bytes) -> Plain:
    """The object in ``data``. Raises ``NotCanonical`` and nothing else, whatever the bytes are."""
    require_shallow(data)
    try:
        value = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_unique,
            parse_int=_whole,
            parse_float=_never,
            parse_constant=_never,
        )
    except ValueError as error:
        raise NotCanonical(f"expected canonical JSON, got what cannot be read ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise NotCanonical(f"expected an object, got {type(value).__name__}")
    if encode(value) != data:
        raise NotCanonical("expected sorted keys without white space or escapes, got another way of writing them")
    return value


def require_shallow(data: bytes, depth: int = MAX_DEPTH) -> None:
    """Raises ``NotCanonical`` for JSON nested deeper than ``depth``, before a parser recurses into it. Brackets inside
    strings count, too: ours hold none.
    """
    level = 0
    for byte in data:
        level += (byte in b"[{") - (byte in b"]}")
        if level > depth:
            raise NotCanonical(f"expected at most {depth} levels, got more")


def _check(value: object, level: int) -> None:
    if level > MAX_DEPTH:
        raise NotCanonical(f"expected at most {MAX_DEPTH} levels, got more")
    if isinstance(value, dict):
        for key, each in value.items():
            _check(key, level + 1)
            _check(each, level + 1)
    elif isinstance(value, list):
        for each in value:
            _check(each, level + 1)
    elif isinstance(value, str):
        if not TEXT_PATTERN.fullmatch(value):
            raise NotCanonical(f"expected printable ASCII without quotes or backslashes, got {value[:40]!a}")
    elif not isinstance(value, bool) and not (isinstance(value, int) and 0 <= value <= MAX_INTEGER):
        raise NotCanonical(f"expected a whole number from 0 to 2^53 - 1, got {one_line(ValueError(repr(value)), 40)}")


def _unique(pairs: list[tuple[str, Any]]) -> Plain:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonical("expected each key once, got one of them twice")
    return found


def _whole(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:  # before int(): its cost grows with the square of the length
        raise NotCanonical(f"expected a number of at most {MAX_INTEGER_DIGITS} digits, got {len(text):,}")
    return int(text)


def _never(text: str) -> NoReturn:
    raise NotCanonical(f"expected a whole number, got {text[:40]}")
