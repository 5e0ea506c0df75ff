"""Homes to be crashed: one is founded a session and database, each case gets a copy of its own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from loop.home import Home
from loop.store import Store, tables
from loop.store.backup import sequences
from tests.crashes import process
from tests.crashes.process import Plan
from tests.helpers.postgres import database

Clone = Callable[[str, Path], "Site"]
BACKENDS = ("sqlite", "postgresql")
TABLES = tuple(table.name for table in tables.Base.metadata.sorted_tables)


@dataclass(frozen=True, slots=True)
class Site:
    """A home, opened, and the plan of a night in it."""

    home: Home
    plan: Plan


@dataclass(slots=True)
class Templates:
    """Founded homes by backend, made when they are first wanted."""

    folder: Path
    corpus: Path
    ready: dict[str, Plan] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def site(self, backend: str, folder: Path, family: str = "fast") -> Iterator[Site]:
        """A copy of the backend's home in a folder, gone afterwards."""
        template = self._template(backend, family)
        shutil.copytree(template.folder, folder, dirs_exist_ok=True)
        with ExitStack() as stack:
            plan = replace(template, folder=folder, url=f"sqlite:///{folder / 'loop.db'}", log="night")
            if backend == "postgresql":
                plan = replace(plan, url=template.url)
                _put_back(template.url)
            home = process.opened(plan)
            stack.callback(home.store.close)
            yield Site(home, plan)

    def _template(self, backend: str, family: str) -> Plan:
        name = f"{backend}-{family}"
        if name not in self.ready:
            folder = self.folder / name
            folder.mkdir()
            url = f"sqlite:///{folder / 'loop.db'}"
            if backend == "postgresql":
                url = self.stack.enter_context(database())
            plan = Plan(url, folder, self.corpus, family=family, log="found")
            status = process.ended(process.begin(process.found, plan), plan)
            assert status == 0, plan.output.read_text()
            if backend == "postgresql":
                _keep(url)
            self.ready[name] = plan
        return self.ready[name]


def _keep(url: str) -> None:
    """Put a copy of every row aside: a database of its own for each case would be half a second of the server's."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        server.execute("CREATE SCHEMA kept")
        for table in TABLES:
            server.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")


def _put_back(url: str) -> None:
    """Make the database what it was when its rows were put aside."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        server.execute("SET session_replication_role = replica")  # triggers and foreign keys look away
        server.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
        for table in TABLES:
            server.execute(f"INSERT INTO public.{table} SELECT * FROM kept.{table}")  # noqa: S608 (our own names)
    store = Store(url)
    with store.write() as tx:
        sequences.raise_to(tx, {})
    store.close()
