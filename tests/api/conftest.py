"""A real server on a real socket, on both databases, with keys of every role and phones that have secrets."""

import io
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from loop import access, api
from loop import home as homes
from loop.access import Role
from loop.api import protocol
from loop.clock import utc_now
from loop.data import digits as digit_room
from loop.home import Home
from loop.home.settings import Settings
from tests.helpers import stores

ROLES = ("app", "reviewer", "ops")


def picture(seed: int) -> bytes:
    """A 28×28 PNG that is not blank, another for each seed."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:22, 6:22] = np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)
    return digit_room.to_png(pixels)


@dataclass(slots=True)
class Phone:
    """One install: an app's key that all share, and a secret of its own."""

    key: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def source(self) -> str:
        """The name of its source."""
        return access.source_name(self.secret)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.key}", "Loop-Source": self.secret}


@dataclass(slots=True)
class Server:
    """A running API: its URL, its home, and a key for each role."""

    url: str
    home: Home
    keys: dict[str, str]

    def client(self, role: str | None = None, **options: Any) -> httpx.Client:
        """A client that sends the role's key."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.keys[role]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def phone(self) -> Phone:
        """A new install."""
        return Phone(self.keys["app"])

    def send(self, phone: Phone, seed: int = 0, key: str | None = None, **fields: Any) -> httpx.Response:
        """One correction as multipart."""
        said = {"label": "4", "predicted": "9"} | {name: str(value) for name, value in fields.items()}
        headers = phone.headers | ({} if key is None else {"Idempotency-Key": key})
        files = {"image": ("digit.png", io.BytesIO(picture(seed)), "image/png")}
        return httpx.post(f"{self.url}/v1/corrections", data=said, files=files, headers=headers, timeout=30)


def opened(url: str, folder: Path, **settings: Any) -> Home:
    """A migrated home."""
    home = homes.at(Settings(home=folder / "home", database_url=url, **settings), migrated=False)
    stores.migrate(home.store)
    return home


def keyed(home: Home) -> dict[str, str]:
    """A new key for each role."""
    return {role: access.create(home, f"the {role}'s", Role(role), actor="tests", now=utc_now())[0] for role in ROLES}


@contextmanager
def serving(home: Home) -> Iterator[Server]:
    """The API of a home in a thread of this process, on a free port."""
    keys = keyed(home)
    config = uvicorn.Config(api.create(home), host="127.0.0.1", port=0, **protocol.options())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < until
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://127.0.0.1:{port}", home, keys)
    finally:
        server.should_exit = True
        thread.join(30)
        home.store.close()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[Server]:
    """A server on an empty store, on each database in turn."""
    with serving(opened(url, tmp_path)) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """The same on SQLite only, for what does not depend on the database."""
    with serving(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)) as found:
        yield found


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Make a server on SQLite with other settings."""
    stack = []

    def make(**settings: Any) -> Server:
        manager = serving(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, **settings))
        stack.append(manager)
        return manager.__enter__()

    yield make
    for manager in stack:
        manager.__exit__(None, None, None)
