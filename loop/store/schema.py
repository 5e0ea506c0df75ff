"""The schema's revision: migrate to the newest, and refuse to work on any other."""

from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from loop.errors import SchemaBehind
from loop.store.engine import Store

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def head() -> str:
    """The newest revision that this code knows."""
    if not revisions():
        raise SchemaBehind(f"no migrations found in {MIGRATIONS}; install the whole project")
    return revisions()[-1]


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that this code knows, oldest first: the number that begins a migration's file name.

    Every command asks for them; Alembic, which says the same (a test compares), takes a tenth of a second to import.
    """
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def current(store: Store) -> str | None:
    """The database's revision; None for an empty database, or none yet. Raises ``StoreUnavailable``."""
    if store.is_sqlite and not Path(store.url.database or "").is_file():
        return None  # a look must not create the file
    with store.read() as tx:
        if not inspect(tx.connection()).has_table("alembic_version"):
            return None
        revision: str | None = tx.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def require_head(store: Store) -> None:
    """Raises ``SchemaBehind`` unless the database is at this code's revision."""
    have, want = _known(store), head()
    if have == want:
        return
    if have is None:
        raise SchemaBehind(
            f"{store.shown_url} contains no store yet; run `loop init` (or `loop migrate` for the tables only)"
        )
    raise SchemaBehind(f"{store.shown_url} is at revision {have}, this code needs {want}; run `loop migrate`")


def migrate(store: Store, revision: str = "head") -> None:
    """Bring the schema to ``revision``, in one transaction. Raises ``StoreUnavailable``, ``SchemaBehind``."""
    from alembic import command  # here, so that other commands do not wait for it
    from alembic.config import Config

    _known(store)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with store.engine.begin() as connection:
            store.lock(connection)
            config.attributes["connection"] = connection
            move = command.upgrade if revision == "head" else command.downgrade
            move(config, revision)
    except DBAPIError as error:
        raise store.unavailable(error) from error


def _known(store: Store) -> str | None:
    """The database's revision. Raises ``SchemaBehind`` if this code does not know it."""
    have = current(store)
    if have is not None and have not in revisions():
        raise SchemaBehind(
            f"{store.shown_url} is at revision {have}, newer than this code ({head()}); upgrade the code"
        )
    return have
