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
    """A clock that moves when it is told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now

    def forward(self, **by: float) -> None:
        """Move on."""
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
    """A server of this test's own."""
    with listening() as found:
        yield found


def happen(home: Home, what: str = "a", kind: Kind = Kind.PROMOTED) -> Event:
    """Something happens."""
    with home.store.write() as tx:
        return outbox.record(tx, kind, {"what": what}, NOW)
