"""A home that may call this machine, and a receiver on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store
from loop.store.service import outbox
from loop.store.service.messages import Kind
from loop.store.service.outbox import Event
from tests.conftest import NOW
from tests.webhooks.receiver import Receiver, listening


@dataclass(slots=True)
class Hands:
    """A clock that a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """The current time."""
        return self.now

    def forward(self, **by: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Hands:
    """A clock at a fixed moment."""
    return Hands()


@pytest.fixture
def home(store: Store, url: str, tmp_path: Path) -> Home:
    """A home, on each database."""
    settings = Settings(home=tmp_path / "home", database_url=url, webhooks_private=True)
    return Home(settings, store, Artifacts(settings.home / "artifacts"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server for one test."""
    with listening() as server:
        yield server


def happen(home: Home, what: str = "a", kind: Kind = Kind.PROMOTED) -> Event:
    """Record an event."""
    with home.store.write() as tx:
        return outbox.record(tx, kind, {"what": what}, NOW)
