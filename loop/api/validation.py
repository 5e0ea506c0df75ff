"""Turn pydantic's validation errors into ours: what was expected, what was got, what to do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loop.errors import (
    BadBase64,
    BadField,
    BadIdempotencyKey,
    BadLabel,
    BadRate,
    ClientError,
    MissingField,
    NotReadable,
    UnknownField,
)
from loop.store.values import Kind

MAX_GOT_CHARACTERS = 40
MAX_SHOWN_NUMBER = 10**20
PLACES = {"body", "query", "path", "header"}
"""Where FastAPI found a field; not part of its name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The error for a field, what the field may be, and what to do."""

    error: type[BadField]
    expected: str
    advice: str = "correct it"


DIGIT = "a whole number from 0 to 9"
CORRECTION = {
    "image": Rule(BadBase64, "a PNG or JPEG file in base64", "encode the bytes of the file"),
    "label": Rule(BadLabel, DIGIT, "send the digit that the user wrote"),
    "predicted": Rule(BadField, DIGIT, "send the digit that the model predicted, or leave it out"),
    "kind": Rule(
        BadField,
        " or ".join(kind for kind in Kind if kind is not Kind.DRAWING),
        "correct it; a drawing goes to /v1/drawings",
    ),
    "confidence": Rule(BadField, "a number from 0 to 1"),
    "version": Rule(BadField, "the number of a version, 1 or more", "send the version in the feed, or leave it out"),
    "rate": Rule(BadRate, "a number from 0.000001 to 1", "send the feed's confirm_ppm/10⁶, or leave it out"),
    "captured_at": Rule(BadField, "an ISO 8601 time with a time zone", "send for example 2026-05-03T08:15:00.000Z"),
    "key": Rule(BadIdempotencyKey, "1 to 200 printable characters", "send for example a UUID"),
}
"""The fields of a correction."""
DRAWING = {name: CORRECTION[name] for name in ("image", "version", "captured_at", "key")} | {
    "predicted": Rule(BadField, DIGIT, "send the digit that the model found most probable"),
    "confidence": Rule(BadField, "a number from 0 to 1"),
    "runner_up": Rule(BadField, DIGIT, "send the second digit of the model"),
    "runner_up_confidence": Rule(BadField, "a number from 0 to 1"),
    "probabilities": Rule(BadField, "ten numbers from 0 to 1 in JSON", "send one for each digit"),
    "rate": Rule(BadRate, "a number from 0.000001 to 1", "send the chance of the asking policy/10⁶, or leave it out"),
}
"""The fields of a drawing."""

EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "enum": "{expected}",
    "literal_error": "{expected}",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "value_error": "{error}",
}
"""What a value of any other field may be, by the type of pydantic's error."""


_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")
"""A member of an enum as pydantic writes it in what it expects of a literal: ``<Flag.UNREADABLE: 'unreadable'>``."""


def first(errors: Sequence[Mapping[str, Any]], rules: Mapping[str, Rule] | None = None) -> ClientError:
    """Our error for the first of pydantic's errors; ``rules`` describe fields better than pydantic does."""
    error = errors[0]
    kind, where = error["type"], ".".join(str(part) for part in error["loc"] if part not in PLACES) or "body"
    rule = (rules or {}).get(str(error["loc"][0])) if error["loc"] else None
    if kind == "json_invalid":
        return NotReadable("body: expected JSON, got something else; correct it")
    if kind == "missing":
        expected = rule.expected if rule else "a value"
        return MissingField(f"{where}: expected {expected}, got nothing; add this field")
    if kind == "extra_forbidden":
        return UnknownField(f"{where[:MAX_GOT_CHARACTERS]}: expected only documented fields, got this one; remove it")
    if rule is not None:
        return rule.error(f"{error['loc'][0]}: expected {rule.expected}, got {_shown(error['input'])}; {rule.advice}")
    expected = EXPECTED.get(kind, "a valid value").format_map(error.get("ctx", {}))
    expected = _MEMBER.sub(r"\1", expected)
    return BadField(f"{where}: expected {expected}, got {_shown(error['input'])}; correct it")


def _shown(value: Any) -> str:
    """A value in a message: short, on one line, and never a whole image."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < MAX_SHOWN_NUMBER else "a very large number"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= MAX_GOT_CHARACTERS else f"{len(value):,} characters"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "something else"
