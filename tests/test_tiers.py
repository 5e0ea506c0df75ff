"""The tiers of the tests: what a fast test must not do fails, and what makes a test slow."""

import importlib
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from loop.store import Store, schema
from tests.helpers import tiers
from tests.helpers.postgres import POSTGRES


def connect(family: socket.AddressFamily, address: Any) -> None:
    """Connect a socket."""
    with closing(socket.socket(family)) as made:
        made.connect(address)


def migrate() -> None:
    """Connect to PostgreSQL as the store does."""
    schema.migrate(Store(POSTGRES.replace("postgresql://", "postgresql+psycopg://")))


ATTEMPTS: dict[str, tuple[Callable[[], object], str]] = {
    "subprocess": (lambda: subprocess.run([sys.executable, "-c", ""], check=True), "start a process"),
    "fork": (os.fork, "start a process"),
    "system": (lambda: os.system("true"), "start a process"),  # noqa: S605, S607 (it is refused)
    "forkserver": (lambda: multiprocessing.get_context("forkserver").Process().start(), "start a process"),
    "spawn": (lambda: multiprocessing.get_context("spawn").Process().start(), "start a process"),
    "psycopg": (lambda: psycopg.connect(POSTGRES), "connect to PostgreSQL"),
    "store": (migrate, "connect to PostgreSQL"),
    "elsewhere": (lambda: connect(socket.AF_INET, ("192.0.2.1", 80)), "connect to"),
    "unix": (lambda: connect(socket.AF_UNIX, "/run/no.socket"), "connect to"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_fast_test_is_stopped(attempt: str, request: pytest.FixtureRequest) -> None:
    """A fast test that starts a process, or connects to another one, fails by name."""
    act, message = ATTEMPTS[attempt]
    with pytest.raises(pytest.fail.Exception, match=rf"{request.node.originalname}.* must not {message}"):
        act()


def test_a_fast_test_cannot_import_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast test that is the first to import TensorFlow fails."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(pytest.fail.Exception, match="must not import TensorFlow"):
        importlib.import_module("tensorflow")


def test_a_fast_test_is_stopped_in_its_threads() -> None:
    """A thread of a fast test cannot start a process either."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            os.fork()
        except pytest.fail.Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "must not start a process" in str(found[0])


def test_a_fast_test_may_talk_to_itself() -> None:
    """A server in the test's own process can be reached."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        connect(socket.AF_INET, server.getsockname())


@pytest.mark.slow
def test_a_slow_test_is_not_stopped() -> None:
    """A test that is marked slow may start a process."""
    subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.parametrize(
    ("fixtures", "parameters", "slow"),
    [
        (["url"], {"url": "sqlite"}, False),
        (["url"], {"url": "postgresql"}, True),
        (["tmp_path", "postgres"], {}, True),
        (["driver"], {}, True),
        (["tmp_path"], {}, False),
    ],
)
def test_what_makes_a_test_slow(fixtures: list[str], parameters: dict[str, object], slow: bool) -> None:
    """A database server or a browser among the fixtures or the parameters."""
    assert tiers.is_slow(fixtures, parameters) is slow
