"""Databases on the tests' PostgreSQL server, a new one for each test run."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

POSTGRES = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


@contextmanager
def database() -> Iterator[str]:
    """URL of a new, empty database, dropped at the end; skips the test if no server answers."""
    name = f"loop_test_{secrets.token_hex(6)}"
    _execute(f"CREATE DATABASE {name}")
    yield f"{POSTGRES.rpartition('/')[0]}/{name}".replace("postgresql://", "postgresql+psycopg://")
    _execute(f"DROP DATABASE {name} WITH (FORCE)")


def _execute(statement: str) -> None:
    try:
        server = psycopg.connect(POSTGRES, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL at TEST_POSTGRES or 127.0.0.1:5432 ({str(error).splitlines()[0]})")
    with server:
        server.execute(statement)
