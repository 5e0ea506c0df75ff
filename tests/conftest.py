"""Stores on both databases, and the clock that the tests use."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from httpx._transports import default

from loop.data import corpus as corpora
from loop.operations.metrics import store_metrics
from loop.store import Store
from tests.helpers import stores, tiers
from tests.helpers.postgres import database

NOW = datetime(2026, 5, 3, 3, 0, tzinfo=UTC)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its tier."""
    tiers.mark(items)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Iterator[object]:
    """Hold each fixture of a fast test to what its tier allows; the end of a fixture may be that of a slow test's."""
    with tiers.limits(request._pyfuncitem):  # `request.node` is the session where the fixture is the session's
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The same for the test itself."""
    with tiers.limits(item):
        return (yield)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits corpus in a file: made once a session, read by every night of the tests, also in other processes."""
    made = corpora.digits()
    path = tmp_path_factory.mktemp("corpus") / "digits.npz"
    np.savez(path, **{field.name: getattr(made, field.name) for field in fields(made)})
    return path


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """httpx reads the system's certificates for each client, 25 ms of processor time, even if it only uses HTTP."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default, "create_ssl_context", cache(default.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """What a command sets up for its logs ends with the test that ran it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture(autouse=True)
def patient_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape waits for the store's answers as long as a busy machine needs: what is tested is what they say."""
    monkeypatch.setattr(store_metrics, "SCRAPE_WAIT_SECONDS", 60.0)


@pytest.fixture
def now() -> datetime:
    """A fixed moment."""
    return NOW


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a database of this test run's own, dropped at its end."""
    with database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated database without rows, on each backend in turn."""
    if request.param == "postgresql":
        return stores.cleared(request.getfixturevalue("postgres"))
    made = f"sqlite:///{tmp_path / 'loop.db'}"
    with closing(Store(made)) as store:
        stores.migrate(store)
    return made


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A migrated, empty store, on each backend in turn."""
    opened = Store(url)
    yield opened
    opened.close()
