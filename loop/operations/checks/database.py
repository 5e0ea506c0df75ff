"""The database: does it answer, is it of this code's revision, is its file whole?"""

import sqlite3
import time
from collections.abc import Iterator

from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, note, ok, warning
from loop.store import Store, schema
from loop.store.service import health

SLOW_SECONDS = 0.25
"""A look at one table; an upload waits for several such."""
TIMED_QUERIES = 3  # the first one connects
WAL_RESET = (3, 51, 3)
"""The first SQLite in which connections that checkpoint together cannot damage the file (sqlite.org/wal.html)."""


def answers(patient: Installation) -> Iterator[Finding]:
    """It is there, and not slow."""
    store = patient.home.store
    if schema.current(store) is None:
        yield broken("database", "a store", f"{store.shown_url} holds none", "loop init, or loop restore FILE")
        return
    took = min(_asked(store) for _ in range(TIMED_QUERIES))
    if took > SLOW_SECONDS:
        expected = f"an answer within {SLOW_SECONDS * 1000:.0f} ms"
        fix = "look at the load of the database's machine, and at the network to it"
        yield warning("database", expected, f"{took * 1000:.0f} ms", fix)
    else:
        yield ok("database", f"{store.shown_url} answers in {took * 1000:.0f} ms")


def _asked(store: Store) -> float:
    """The seconds of one look at one table."""
    began = time.perf_counter()
    with store.read() as tx:
        health.beats(tx)
    return time.perf_counter() - began


def revision(patient: Installation) -> Iterator[Finding]:
    """Its schema is this code's."""
    have, want = schema.current(patient.home.store), schema.head()
    if have == want:
        yield ok("schema", f"revision {have}")
    else:
        fix = "loop migrate" if have is None or have < want else "upgrade this code"
        yield broken("schema", f"revision {want}", f"revision {have}", fix)


def integrity(patient: Installation) -> Iterator[Finding]:
    """SQLite's file is whole."""
    if not patient.home.store.is_sqlite:
        return
    with patient.home.store.read() as tx:
        wrong = health.quick_check(tx)
    fix = "stop everything, keep a copy of the file, then loop restore FILE into an empty home"
    for line in wrong:
        yield broken("integrity", "a whole SQLite file", line, fix)


def library(patient: Installation) -> Iterator[Finding]:
    """SQLite itself is not known to damage its files."""
    if patient.home.store.is_sqlite and sqlite3.sqlite_version_info < WAL_RESET:
        known = "a rare fault (WAL reset) can damage the file where several processes write at once"
        fix = "keep backups; PostgreSQL for more than one machine's work, or a Python with SQLite 3.51.3"
        yield note("sqlite", f"SQLite {sqlite3.sqlite_version}: {known}", fix)
