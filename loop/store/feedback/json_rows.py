"""Rows as one parameter of a statement, a JSON list: no limit on bound variables, one statement for every size."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, FromClause, String, bindparam, cast, column, func, select
from sqlalchemy.orm import Session


def dialect(tx: Session) -> str:
    """``sqlite`` or ``postgresql``."""
    return tx.get_bind().dialect.name


def given(name: str, /, **types: Any) -> FromClause:
    """The parameter ``given`` of a statement, in the dialect of this name, as a table with these columns."""
    parameter = bindparam("given", type_=String())
    if name == "postgresql":
        rows = func.json_to_recordset(cast(parameter, JSON()))
        return rows.table_valued(*(column(key, kind) for key, kind in types.items())).render_derived(with_types=True)
    row = func.json_each(parameter).table_valued("value").c.value
    return select(*(cast(row.op("->>")(key), kind).label(key) for key, kind in types.items())).subquery()


def listed(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Rows as the parameter ``given``."""
    return {"given": json.dumps(list(rows), default=_as_text)}


def _as_text(value: object) -> str:
    """Bytes and times in the form that PostgreSQL reads."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"expected bytes or a time, got {type(value).__name__}")
