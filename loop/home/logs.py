"""Logs of long-running commands: one line per record, JSON for machines, text for a terminal.

Rules: one record is one line, even if a stranger's text contains line breaks (only a traceback on a terminal has
several lines, each marked). Times are UTC. Secrets are masked. Request bodies and pictures are never logged. ``about``
adds the request, run or slot to every record of a block, in all its threads and tasks.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from loop.home.settings import Settings

Fields = dict[str, Any]

QUIET_LOGGERS = ("httpx", "httpcore", "alembic", "apscheduler", "asyncio")
"""Libraries with routine messages that do not help an operator, or that repeat whole URLs."""
OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "apscheduler")
BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
MAX_CHARACTERS = 8_000
"""Longest logged value; the rest is cut off."""
SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        (r"\bloop_(app|reviewer|ops)_[\w-]{8,}", r"loop_\1_***"),
        (r"\bwhsec_[\w+/=-]{8,}", "whsec_***"),
        (r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/]*@", r"\1***@"),
        (r"(\bauthorization\b\W{1,6})(?:(?:bearer|basic)\s+)?[^\s'\",;]+", r"\1***"),
        (r"(\bloop-source\b\W{1,6})[\w-]{8,}", r"\1***"),
        (r"(\b(?:password|passphrase|secret)\b[\"']?\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&]+)", r"\1***"),
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", "*** private key ***"),
    )
)

_about: ContextVar[Fields] = ContextVar("about", default={})  # noqa: B039 (never changed in place)


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add these fields (``request``, ``run``, ``slot``) to every record of the block."""
    token = _about.set(_about.get() | fields)
    try:
        yield
    finally:
        _about.reset(token)


def begin(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all records to ``stream`` (standard error), in the format that the settings or the stream ask for. May be
    called again; the last call counts.
    """
    stream = stream or sys.stderr
    text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Text() if text else Json())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, Text | Json)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in OWN_HANDLERS:
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def masked(text: str) -> str:
    """The text with API keys, secrets of webhooks and sources, passwords and private keys masked."""
    for pattern, shown in SECRETS:
        text = pattern.sub(shown, text)
    return text


class Json(logging.Formatter):
    """``{"time": …, "level": …, "logger": …, "message": …}`` and the record's fields, on one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        document: Fields = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        document |= {"message": _plain(record.getMessage())} | _fields(record)
        if (trace := _trace(self, record)) is not None:
            document["exception"] = trace
        return json.dumps(document, ensure_ascii=True, allow_nan=False)


class Text(logging.Formatter):
    """``03:00:12 warning loop.night.retrain: message · field=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; each line of a traceback starts with a bar."""
        fields = "".join(f" · {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)[11:19]} {record.levelname.lower()} {record.name}: {_plain(record.getMessage())}{fields}"
        trace = _trace(self, record)
        bars = [] if trace is None else [f"    | {_printable(part)}" for part in trace.splitlines()]
        return "\n".join([_printable(line), *bars])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Fields:
    """The fields of ``about`` and the caller's ``extra``; they never replace our own fields."""
    extra = {name: value for name, value in vars(record).items() if name not in BUILT_IN}
    fields = _about.get() | extra
    own = {"time", "level", "logger", "message", "exception"}
    return {_plain(name): _plain(value) for name, value in fields.items() if name not in own}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if record.exc_info is None or record.exc_info[0] is None:
        return None
    return masked(formatter.formatException(record.exc_info))[-MAX_CHARACTERS:]


def _plain(value: Any) -> Any:
    """Numbers as they are, bytes as their count, everything else as masked text of limited length."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return masked(str(value)[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS]


def _printable(text: str) -> str:
    """The text without characters that end a line, move the cursor or change the writing direction."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
