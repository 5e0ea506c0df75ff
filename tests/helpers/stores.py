"""Migrated stores without rows, in milliseconds: ``schema.migrate`` makes one, each test gets a copy or an emptied one.

``tests/store/test_schema.py`` and ``test_released.py`` run the migrations themselves.
"""

import tempfile
from functools import cache
from pathlib import Path

import psycopg

from loop.store import Store, schema, tables

ROWS = "; ".join(f"DELETE FROM {table.name}" for table in tables.Base.metadata.sorted_tables)  # noqa: S608 (our own names)
NUMBERS = (
    "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
)
SCHEMA = """
    SELECT string_agg(part, ' ' ORDER BY part) FROM (
        SELECT concat_ws(':', relname, relkind, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(':', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(':', tgname, tgenabled) FROM pg_trigger
        UNION ALL SELECT concat_ws(':', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    ) AS parts (part)
"""
"""Tables, columns, triggers and constraints, as one text; an object that was made again has another number in it."""
_made: dict[str, str] = {}
"""URL → ``SCHEMA`` after ``schema.migrate``."""


def migrate(store: Store) -> None:
    """``schema.migrate``; a SQLite file without a byte yet becomes a copy of one that was migrated before."""
    file = Path(str(store.url.database))
    if store.is_sqlite and (not file.exists() or not file.stat().st_size):
        file.write_bytes(_sqlite())
    if schema.current(store) != schema.head():
        schema.migrate(store)


def cleared(url: str) -> str:
    """The URL of a PostgreSQL database, migrated and without rows: made anew only if a test has changed its schema."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        if _schema(server) == _made.get(url):
            server.execute("SET LOCAL session_replication_role = replica")  # triggers and foreign keys look away
            server.execute(ROWS)
            server.execute(NUMBERS)
            return url
    store = Store(emptied(url))
    schema.migrate(store)
    store.close()
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        _made[url] = _schema(server)
    return url


def emptied(url: str) -> str:
    """The URL of a PostgreSQL database, with nothing in it any more."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        server.execute("DROP SCHEMA public CASCADE")
        server.execute("CREATE SCHEMA public")
    return url


@cache
def _sqlite() -> bytes:
    """A migrated SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/loop.db")
        schema.migrate(store)
        store.compact()
        store.close()
        return Path(folder, "loop.db").read_bytes()


def _schema(server: psycopg.Connection) -> str:
    (found,) = server.execute(SCHEMA).fetchone() or ("",)
    (revision,) = server.execute("SELECT to_regclass('alembic_version')").fetchone() or (None,)
    versions = server.execute("SELECT version_num FROM alembic_version").fetchall() if revision else []
    return f"{found} {versions}"
