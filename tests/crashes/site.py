"""Homes for the crash tests: one is made per session and database, and each case gets a copy."""

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
    """An opened home, and the plan of a night in it."""

    home: Home
    plan: Plan


@dataclass(slots=True)
class Templates:
    """Homes with a base by backend, made at the first use."""

    folder: Path
    corpus: Path
    ready: dict[str, Plan] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def site(self, backend: str, folder: Path, family: str = "fast") -> Iterator[Site]:
        """A copy of the backend's home in a folder, removed afterwards."""
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
    """Keep a copy of every row, because a new database per case would take half a second."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        server.execute("CREATE SCHEMA kept")
        for table in TABLES:
            server.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")


def _put_back(url: str) -> None:
    """Restore the kept rows."""
    with psycopg.connect(url.replace("+psycopg", "")) as server:
        server.execute("SET session_replication_role = replica")  # disables triggers and foreign keys
        server.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
        for table in TABLES:
            server.execute(f"INSERT INTO public.{table} SELECT * FROM kept.{table}")  # noqa: S608 (our own names)
    store = Store(url)
    with store.write() as tx:
        sequences.raise_to(tx, {})
    store.close()
