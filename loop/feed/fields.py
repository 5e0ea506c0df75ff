"""Read the fields of a signed document: each type and range is checked, each error names the field."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from loop.feed import canonical
from loop.feed.canonical import Plain
from loop.feed.refusals import BadDocument, UnknownFormat

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def when(moment: datetime) -> str:
    """A time in the format of documents: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def opened(data: bytes, kind: str, version: int) -> Plain:
    """The document in signed bytes. Raises ``NotCanonical``, ``UnknownFormat``."""
    plain = canonical.parse(data)
    got = plain.get("type"), plain.get("format")
    if got != (kind, version) or plain["format"] is True:
        raise UnknownFormat(f"expected a {kind} of format {version}, got {got[0]!r:.40} of format {got[1]!r:.40}")
    return plain


def exactly(plain: Plain, *names: str) -> None:
    """Require these fields and no others. Raises ``BadDocument``."""
    if set(plain) != set(names):
        raise BadDocument(f"expected the fields {', '.join(names)}; got {', '.join(sorted(plain)) or 'none'}"[:300])


def number(plain: Plain, field: str, low: int, high: int = canonical.MAX_INTEGER) -> int:
    """A whole number in a range. Raises ``BadDocument``."""
    value = plain[field]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadDocument(f"{field}: expected a number from {low:,} to {high:,}, got {value!r:.40}")
    return value


def text(plain: Plain, field: str, pattern: re.Pattern[str]) -> str:
    """A string that matches a pattern. Raises ``BadDocument``."""
    value = plain[field]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadDocument(f"{field:.40}: expected {pattern.pattern}, got {value!r:.80}")
    return value


def parse_time(plain: Plain, field: str) -> datetime:
    """A time field. Raises ``BadDocument``."""
    value = plain[field]
    try:
        moment = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise BadDocument(f"{field}: expected a time like 2026-05-03T03:00:00Z, got {value!r:.40}") from None
    if when(moment) != value:
        raise BadDocument(f"{field}: expected a time like 2026-05-03T03:00:00Z, got {value!r:.40}")
    return moment


def mapping(plain: Plain, field: str, most: int, key: Callable[[str], Any]) -> Plain:
    """An object of at most ``most`` keys. Raises ``BadDocument``."""
    value = plain[field]
    if not isinstance(value, dict) or len(value) > most or not all(key(each) for each in value):
        raise BadDocument(f"{field}: expected an object of at most {most} known keys, got {value!r:.80}")
    return value
