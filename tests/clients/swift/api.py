"""The real API with one version, a published feed and an asking policy, for phones that upload."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from loop.clock import utc_now
from loop.feed import upkeep
from loop.store.asking import policies
from tests.api.conftest import Server, opened, serving
from tests.api.process import BOUNDLESS
from tests.clients.swift.phone import drawn
from tests.feed.conftest import WHY, Office

POLICY = {"ask_user": True, "asked_a_day": 1, "margin_ppm": 300_000, "other_ppm": 0, "unsure_ppm": 1_000_000}


@dataclass
class Api:
    """The server, and the root that is built into its app."""

    server: Server
    root: bytes

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.url

    @property
    def key(self) -> str:
        """The app's key."""
        return self.server.keys["app"]

    def stored(self, secret: str) -> list[dict[str, Any]]:
        """Everything of a source, oldest first, as the server shows it."""
        headers = {"Authorization": f"Bearer {self.key}", "Loop-Source": secret}
        found: list[dict[str, Any]] = []
        before = ""
        while True:
            path = f"{self.url}/v1/corrections?limit=100{before}"
            page = httpx.get(path, headers=headers, timeout=30).json()
            found += page["corrections"]
            if page["next"] is None:
                return found[::-1]
            before = f"&before={page['next']}"

    def count(self, secret: str) -> Counter[str]:
        """How often each drawing is stored for a source, by its digest."""
        return Counter(each["digest"] for each in self.stored(secret))


def digest(seed: int) -> str:
    """The digest of ``drawn(seed)``."""
    return hashlib.sha256(drawn(seed).tobytes()).hexdigest()


@contextmanager
def running(folder: Path, **limits: Any) -> Iterator[Api]:
    """Serve it; ``limits`` are in place of none."""
    home = opened(f"sqlite:///{folder / 'loop.db'}", folder, serve=replace(BOUNDLESS, **limits))
    office = Office(home, home.settings.published)
    office.now = utc_now().replace(microsecond=0)
    office.register()
    root = office.create()
    with home.store.write() as tx:
        policies.add(tx, policies.SetPolicy(POLICY, (), "tests", office.now))
    upkeep.follow(home, WHY, office.now)
    with serving(home) as server:
        yield Api(server, root)
