"""Canonical JSON: a subset of JSON in which each value has exactly one encoding.

It has objects with sorted and unique keys, arrays, strings, integers, ``true`` and ``false``. It has no white space.
Strings are printable ASCII without ``"`` and backslash, so nothing is ever escaped. Integers are 0 to 2⁵³ - 1 without
sign, leading zero, point or exponent. It has no ``null``, and at most ``MAX_DEPTH`` levels.

So ``parse(data)`` returns a value only if ``encode`` of that value returns ``data``, and a phone can check a signature
over the received bytes without encoding them again.
"""

import json
import re
from typing import Any, NoReturn

from loop.errors import one_line
from loop.feed.refusals import NotCanonical

MAX_DEPTH = 8
MAX_INTEGER = 2**53 - 1  # the largest integer that every JSON parser keeps exactly
TEXT_PATTERN = re.compile(r"[ !#-\[\]-~]*")
MAX_INTEGER_DIGITS = len(str(MAX_INTEGER))

Plain = dict[str, Any]


def encode(value: object) -> bytes:
    """The bytes of a value. Raises ``NotCanonical`` if it has no canonical form."""
    _check(value, 1)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parse(data: bytes) -> Plain:
    """The object in ``data``. For any other bytes it raises ``NotCanonical`` and nothing else."""
    require_shallow(data)
    try:
        value = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except ValueError as error:
        raise NotCanonical(f"expected canonical JSON, got bytes that are not JSON ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise NotCanonical(f"expected an object, got {type(value).__name__}")
    if encode(value) != data:
        raise NotCanonical("expected sorted keys without white space or escapes, got another encoding")
    return value


def require_shallow(data: bytes, depth: int = MAX_DEPTH) -> None:
    """Raise ``NotCanonical`` for JSON nested deeper than ``depth``, before a parser recurses into it.

    Brackets inside strings count too; our strings contain none.
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
        raise NotCanonical(f"expected an integer from 0 to 2^53 - 1, got {one_line(ValueError(repr(value)), 40)}")


def _unique(pairs: list[tuple[str, Any]]) -> Plain:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise NotCanonical("expected each key once, got a key twice")
    return unique


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:  # before int(): its cost grows with the square of the length
        raise NotCanonical(f"expected a number of at most {MAX_INTEGER_DIGITS} digits, got {len(text):,}")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise NotCanonical(f"expected an integer, got {text[:40]}")
