"""Every row as a line of JSON, and back. Both databases write the same lines, so that either can read the other's.

A table is dumped in parts, ordered by its key; ``tables`` orders the tables so that a row follows the rows that it
points at. Times are ISO 8601 in UTC, bytes are base64. On load each value is checked against its column's type; the
schema's constraints do the rest. Heartbeats and open challenges are left out: they mean nothing in a restored store.
"""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Column, Table, func, insert, select
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from loop.errors import BadBackup, one_line
from loop.store.tables import Base, UtcDateTime

ROWS_PER_PART = 2_000
"""Rows in one part: about three megabytes of corrections."""
EPHEMERAL = {"beats", "challenges"}


def tables() -> dict[str, Table]:
    """The tables that are dumped, by name; each after the tables that it points at."""
    return {table.name: table for table in Base.metadata.sorted_tables if table.name not in EPHEMERAL}


def counts(tx: Session) -> dict[str, int]:
    """The number of rows of each table."""
    return {name: tx.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables().items()}


def parts(tx: Session, name: str) -> Iterator[bytes]:
    """The rows of a table, at most ``ROWS_PER_PART`` in a part; no part if it is empty. ``tx``: ``Store.frozen``."""
    table = tables()[name]
    found = tx.execute(select(table).order_by(*table.primary_key), execution_options={"yield_per": ROWS_PER_PART})
    for rows in found.mappings().partitions():
        yield b"".join(_line(dict(row)) for row in rows)


def load(tx: Session, name: str, part: bytes) -> int:
    """Insert the rows of a part; how many. Raises ``BadBackup`` for a line that is not a row of this table."""
    table = tables()[name]
    rows = [_row(table, line) for line in part.splitlines()]
    try:
        if rows:
            tx.execute(insert(table), rows)
    except (IntegrityError, StatementError) as error:
        detail = one_line(getattr(error, "orig", None) or error)
        raise BadBackup(f"{name}: this store refuses its rows ({detail}); use another backup") from None
    return len(rows)


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, default=_plain, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"no JSON for {type(value).__name__}")


def _row(table: Table, line: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(line)
        if not isinstance(found, dict) or found.keys() != set(table.columns.keys()):
            raise ValueError("its columns differ from the table's")
        return {column.name: _value(column, found[column.name]) for column in table.columns}
    except (ValueError, RecursionError) as error:
        raise BadBackup(f"{table.name}: not a row of this table ({one_line(error)}); use another backup") from None


def _value(column: Column[Any], value: Any) -> Any:
    """A column's value from its JSON. True is not a number here."""
    if value is None or isinstance(column.type, JSON):
        return value
    kind: type = datetime if isinstance(column.type, UtcDateTime) else column.type.python_type
    decode = DECODERS.get(kind)
    expected = kind if decode is None else str
    if type(value) is not expected and not (kind is float and type(value) is int):
        raise ValueError(f"{column.name}: expected {kind.__name__}, got {type(value).__name__}")
    return value if decode is None else decode(value)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"expected a time with a zone, got {text[:40]!r}")
    return moment


DECODERS: dict[type, Callable[[Any], Any]] = {
    datetime: _time,
    date: date.fromisoformat,
    bytes: lambda text: base64.b64decode(text, validate=True),
}
