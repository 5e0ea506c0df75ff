"""The database connection and its transactions.

Rules kept here:
- SQLite: WAL, ``synchronous=FULL`` (WAL with NORMAL lost acknowledged rows in 5 of 8 power cuts), foreign keys on,
  and ``BEGIN IMMEDIATE`` for writers: a deferred BEGIN that upgrades ignores the busy timeout and fails at once.
- A transaction is short; nothing trains, exports or evaluates inside one.
- Claims and ledger moves use ``exclusive``: one at a time on both databases.
- SQLite's file is private (0600, in a folder of 0700 if that is new). A commit is refused once the open file is not the
  one at its path any more: rows in a file that was moved away are lost.
- A failure of the database is raised as ``StoreUnavailable`` or ``DiskFull``, with secrets masked; a deadlock as
  ``Contention``, after which the same transaction can simply be retried.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.orm import Session

from loop.errors import DeploymentError, DiskFull, StoreUnavailable, one_line
from loop.store.sealing import KEYS, Keys

BUSY_SECONDS = 30
COMPACT_MS = 500  # writers wait while the log is truncated
CONTENTION_CODES = {"40P01", "40001"}  # PostgreSQL's deadlock_detected and serialization_failure
DISK_FULL_CODES = {"53100", "58030"} | {  # PostgreSQL's disk_full and io_error; SQLite's write errors
    "SQLITE_FULL",
    *(f"SQLITE_IOERR_{what}" for what in ("WRITE", "FSYNC", "DIR_FSYNC", "TRUNCATE", "SHMSIZE", "SHMMAP")),
}
POSTGRES_TIMEOUTS = f"-c lock_timeout={BUSY_SECONDS}s -c idle_in_transaction_session_timeout={2 * BUSY_SECONDS}s"
"""PostgreSQL's time limits: waiting for a lock fails, as on SQLite, and an idle transaction is ended."""
EXCLUSIVE_LOCK = 0x6C6F6F70  # "loop": the PostgreSQL advisory lock of claims and ledger moves


class Contention(StoreUnavailable):
    """PostgreSQL aborted this transaction to resolve a deadlock; nothing of it is stored."""


def masked(url: str) -> str:
    """A database URL without its secrets, including those in its query string."""
    parsed = make_url(url)
    shown = parsed.set(query=dict.fromkeys(parsed.query, "***"))
    return shown.render_as_string(hide_password=True)


class Store:
    """The engine; every transaction of the loop begins here."""

    def __init__(self, url: str, *, create: bool = True, keys: Keys | None = None) -> None:
        """``create`` makes the folder of a SQLite file; readers pass False and leave no trace.

        ``keys`` seal the secrets in the database (``store.sealing``). Without them secrets are stored as they are, and
        sealed ones cannot be read: for migrations and tests.
        """
        self._info: dict[Any, Any] = {} if keys is None else {KEYS: keys}
        self.url = make_url(url)
        self.shown_url = masked(url)
        self.engine = _engine(url, create)
        self._write_lock = threading.Lock()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with self._errors(), Session(self.engine.execution_options(loop_begin="DEFERRED"), info=self._info) as session:
            yield session

    @contextmanager
    def frozen(self) -> Iterator[Session]:
        """A read that sees one state of the database throughout, whatever others write (with WAL every read does)."""
        options = {"loop_begin": "DEFERRED"} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._errors(), Session(self.engine.execution_options(**options), info=self._info) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        session = Session(self.engine, expire_on_commit=False, info=self._info)
        with self._errors(), self._queued(), session, session.begin():
            yield session

    @contextmanager
    def exclusive(self) -> Iterator[Session]:
        """A write that overlaps no other ``exclusive``, in any process."""
        with self.write() as session:
            self.lock(session.connection())
            yield session

    def lock(self, connection: Connection) -> None:
        """Make the transaction exclusive; on SQLite BEGIN IMMEDIATE already did."""
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": EXCLUSIVE_LOCK})

    def compact(self) -> bool:
        """Truncate SQLite's log, so that no deleted bytes stay readable in it; ``secure_delete`` covers the file.

        False while a reader still needs the log: writers must not wait for long readers, so try again later.
        On PostgreSQL this does nothing; ``loop.intake.erasure`` documents what stays.
        """
        if not self.is_sqlite:
            return True
        try:  # outside any transaction: inside one the checkpoint truncates nothing
            with self._errors(), closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout = {COMPACT_MS}")
                ((busy, _, _),) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
                return not busy
        except sqlite3.Error as error:
            kind = DiskFull if getattr(error, "sqlite_errorname", None) in DISK_FULL_CODES else StoreUnavailable
            raise kind(f"{self.shown_url}: cannot empty its log ({error}); check the free space") from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _queued(self) -> Iterator[None]:
        """SQLite allows one writer, and a waiting one sleeps longer after each try: within a process, queue here."""
        if not self.is_sqlite:
            yield
            return
        if not self._write_lock.acquire(timeout=BUSY_SECONDS):
            raise StoreUnavailable(f"{self.shown_url}: another write has taken {BUSY_SECONDS} s; try again")
        try:
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # a violated constraint is for the caller to handle, or a bug
        except DBAPIError as error:
            raise self.unavailable(error) from error
        except PoolExhausted as error:
            raise StoreUnavailable(f"{self.shown_url}: every connection is busy; try again later") from error

    def unavailable(self, error: DBAPIError) -> DeploymentError:
        """The database's error as one of ours, in one line that names the next step."""
        detail = one_line(error.orig or error)
        if {getattr(error.orig, "sqlstate", None), getattr(error.orig, "sqlite_errorname", None)} & DISK_FULL_CODES:
            return DiskFull(f"{self.shown_url}: the disk is full or failing ({detail}); free some space and try again")
        if getattr(error.orig, "sqlstate", None) in CONTENTION_CODES:
            return Contention(f"{self.shown_url}: {detail}; run the command again")
        hint = "check the free space and the folder's permissions" if self.is_sqlite else "check the server and the URL"
        verb = "does not answer" if isinstance(error, OperationalError) else "refused the statement"
        return StoreUnavailable(f"{self.shown_url} {verb} ({detail}); {hint}; `loop settings` shows the URL")


def _engine(url: str, create: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, parsed.database if create else None)
    timeouts = {} if "options" in parsed.query else {"options": POSTGRES_TIMEOUTS}
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10} | timeouts)


def _sqlite(url: str, database: str | None) -> Engine:
    if database and database != ":memory:":
        try:
            Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))  # its log gets the same permissions
        except OSError as error:
            raise StoreUnavailable(f"{database}: cannot create its folder ({error}); correct LOOP_HOME") from None
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    path = make_url(url).database
    if path and path != ":memory:":
        _guard_path(engine, Path(path))
    return engine


def _guard_path(engine: Engine, path: Path) -> None:
    """Refuse to commit into a file that was moved or removed since the connection opened it."""

    def opened(connection: Any, record: Any) -> None:  # noqa: ARG001 (SQLAlchemy's signature)
        record.info["file"] = _identity(path)

    def commits(connection: Connection) -> None:
        if connection.info.get("file") != _identity(path):
            raise StoreUnavailable(
                f"{path}: the database was moved, removed or replaced while this process had it open; "
                "nothing was stored; move it back, or start this process again"
            )

    event.listen(engine, "connect", opened)
    event.listen(engine, "commit", commits)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at ``path``; None where no file is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepare(connection: Any, record: object) -> None:  # noqa: ARG001 (SQLAlchemy's signature)
    """Let this module issue BEGIN (SQLAlchemy's documented recipe for pysqlite), and set the pragmas."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("loop_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")
