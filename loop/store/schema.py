"""The schema's revision: migrate to the newest, and refuse to work on any other."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from loop.errors import SchemaBehind
from loop.store.engine import Store

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def head() -> str:
    """The newest revision that this code knows."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise SchemaBehind(f"no migrations found in {MIGRATIONS}; install the whole project")
    return revision


@cache
def _scripts() -> ScriptDirectory:
    """This code's migrations, read once: ``/readyz`` needs them, and anyone may call it."""
    return ScriptDirectory(str(MIGRATIONS))


def current(store: Store) -> str | None:
    """The database's revision; None for an empty database, or none yet. Raises ``StoreUnavailable``."""
    if store.is_sqlite and not Path(store.url.database or "").is_file():
        return None  # a look must not create the file
    with store.read() as tx:
        return MigrationContext.configure(tx.connection()).get_current_revision()


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
    known = {script.revision for script in _scripts().walk_revisions()}
    if have is not None and have not in known:
        raise SchemaBehind(
            f"{store.shown_url} is at revision {have}, newer than this code ({head()}); upgrade the code"
        )
    return have
