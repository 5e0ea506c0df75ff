"""The schema: reversible migrations that agree with the tables, and a refusal to work on any other revision."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from loop.errors import SchemaBehind, StoreUnavailable
from loop.store import Store, schema
from loop.store.tables import Base


def test_migrations_and_tables_agree(store: Store) -> None:
    """After `loop migrate`, autogenerate finds no difference: the check of `alembic check`."""
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrations_are_reversible(store: Store) -> None:
    """Downgrading to base leaves none of our tables, and upgrading again works."""
    schema.migrate(store, "base")
    assert set(inspect(store.engine).get_table_names()) <= {"alembic_version"}
    schema.migrate(store)
    schema.require_head(store)


def test_schema_behind_names_the_command(empty_url: str) -> None:
    """An empty database is refused, and the message names the command to run."""
    store = Store(empty_url)
    with pytest.raises(SchemaBehind, match="run `loop init`"):
        schema.require_head(store)
    store.close()


def test_schema_ahead_is_refused(store: Store) -> None:
    """A database migrated by newer code is refused."""
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaBehind, match="newer than this code"):
        schema.require_head(store)


@pytest.mark.parametrize("table", ["versions", "moves"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET family = 'x'", "DELETE FROM {}"])
def test_append_only_in_the_database(filled: Store, table: str, verb: str) -> None:
    """Not even raw SQL changes or deletes a version or a ledger entry."""
    with pytest.raises((DBAPIError, StoreUnavailable), match="append-only"), filled.write() as tx:
        tx.execute(text(verb.format(table)))


@pytest.mark.slow
def test_unreachable_postgres_is_one_line() -> None:
    """A server that does not answer gives a one-line error without the password."""
    store = Store("postgresql+psycopg://loop:geheim@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        schema.require_head(store)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sqlite_is_set_up_to_keep_what_it_acknowledged(tmp_path: object) -> None:
    """WAL, synchronous=FULL (2), foreign keys: the pragmas hold on every new connection."""
    store = Store(f"sqlite:///{tmp_path}/loop.db")
    with store.engine.connect() as one, store.engine.execution_options(loop_begin="DEFERRED").connect() as two:
        for connection in (two, one):
            found = [
                connection.exec_driver_sql(f"PRAGMA {p}").scalar()
                for p in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert found == ["wal", 2, 1]
    store.close()


def test_revisions_are_those_of_alembic() -> None:
    """The numbers in the migrations' file names, read without Alembic, are Alembic's own chain of revisions."""
    scripts = ScriptDirectory(str(schema.MIGRATIONS))
    assert list(schema.revisions()) == [script.revision for script in scripts.walk_revisions()][::-1]
    assert schema.head() == scripts.get_current_head()
