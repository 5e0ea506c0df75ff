"""Checks of the database: it answers, its schema has this code's revision, and its file is intact."""

import sqlite3
import time
from collections.abc import Iterator

from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.store import Store, schema
from loop.store.service import health

SLOW_SECONDS = 0.25
"""The limit for one query; an upload waits for several."""
TIMED_QUERIES = 3  # the first one includes the connection
WAL_RESET = (3, 51, 3)
"""The first SQLite in which connections that checkpoint together cannot damage the file (sqlite.org/wal.html)."""


def answers(installation: Installation) -> Iterator[Finding]:
    """The database exists and is fast enough."""
    store = installation.home.store
    if schema.current(store) is None:
        yield broken("database", "a store", f"{store.shown_url} has no tables", "loop init, or loop restore FILE")
        return
    seconds = min(_query_seconds(store) for _ in range(TIMED_QUERIES))
    if seconds > SLOW_SECONDS:
        expected = f"an answer within {SLOW_SECONDS * 1000:.0f} ms"
        fix = "check the load of the database's machine and the network to it"
        yield warning("database", expected, f"{seconds * 1000:.0f} ms", fix)
    else:
        yield ok("database", f"{store.shown_url} answers in {seconds * 1000:.0f} ms")


def _query_seconds(store: Store) -> float:
    """The seconds of one query of one table."""
    began = time.perf_counter()
    with store.read() as tx:
        health.beats(tx)
    return time.perf_counter() - began


def revision(installation: Installation) -> Iterator[Finding]:
    """The schema has this code's revision."""
    current, head = schema.current(installation.home.store), schema.head()
    if current == head:
        yield ok("schema", f"revision {current}")
    else:
        fix = "loop migrate" if current is None or current < head else "upgrade this code"
        yield broken("schema", f"revision {head}", f"revision {current}", fix)


def integrity(installation: Installation) -> Iterator[Finding]:
    """SQLite's file is intact."""
    if not installation.home.store.is_sqlite:
        return
    with installation.home.store.read() as tx:
        wrong = health.quick_check(tx)
    fix = "stop everything, keep a copy of the file, then loop restore FILE into an empty home"
    for line in wrong:
        yield broken("integrity", "an intact SQLite file", line, fix)


def library(installation: Installation) -> Iterator[Finding]:
    """The SQLite library has no known fault that damages files."""
    if installation.home.store.is_sqlite and sqlite3.sqlite_version_info < WAL_RESET:
        fault = "a rare fault (WAL reset) can damage the file if several processes write at once"
        fix = "keep backups; use PostgreSQL for several machines, or a Python with SQLite 3.51.3"
        yield note("sqlite", f"SQLite {sqlite3.sqlite_version}: {fault}", fix)
