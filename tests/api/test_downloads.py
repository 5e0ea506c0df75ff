"""Phones download while operators promote, roll back and withdraw: no torn or mismatching body, no feed that goes back.

The server is a process of its own; every move goes through its API, and is followed by a publication of the feed.
"""

import hashlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from loop.api.file_cache import FileCache
from loop.clock import utc_now
from loop.errors import NotPublished
from loop.feed import authority, trust, upkeep
from loop.feed.document import Feed
from loop.store.nights import versions
from tests.api.process import Process, apart
from tests.feed.conftest import WHY, Office

VERSIONS = 8
CLIENTS = 6


@dataclass(slots=True)
class Shop:
    """A server, its models by digest, the time of each withdrawal, and whether the moves are finished."""

    process: Process
    models: dict[str, int]
    root: bytes
    withdrawn: dict[str, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def shop(url: str, tmp_path: Path) -> Iterator[Shop]:
    """Eight versions with real files, published, on each database."""
    with apart(url, tmp_path) as process:
        office = Office(process.home, process.home.settings.published)
        office.now = utc_now()
        root = b""
        for number in range(VERSIONS):
            office.register()
            root = root or office.create()
            assert upkeep.follow(process.home, WHY, office.now).feed is not None, number
        with process.home.store.read() as tx:
            models = {each.artifact_digest: each.number for each in versions.every(tx)}
        yield Shop(process, models, root)


@dataclass(slots=True)
class Client:
    """One phone that downloads every file in every way that HTTP offers."""

    shop: Shop
    number: int
    n: int
    ends: Counter[str] = field(default_factory=Counter)
    sequences: list[int] = field(default_factory=list)

    def run(self) -> "Client":
        """Run until ``n`` downloads are complete and the last move is finished."""
        rng = random.Random(self.number)  # noqa: S311  (repeatable)
        trusted = trust.begin(self.shop.root)
        with httpx.Client(base_url=f"{self.shop.process.url}/v1", timeout=60) as http:
            while self.ends.total() < self.n or not self.shop.over.is_set():
                trusted, feed = self.look(http, trusted)
                digests = [*self.shop.models, *(each.digest for each in feed.channels.values())]
                for digest in rng.sample(digests, 4):
                    way = rng.choice(WAYS)
                    begun = time.monotonic()
                    data = way(http, f"models/{digest}", rng)
                    self.judge(digest, data, begun, way.__name__)
        return self

    def look(self, http: httpx.Client, trusted: trust.Trusted) -> tuple[trust.Trusted, Feed]:
        """The feed: signed, not expired, never older than the last; otherwise ``trust.accept`` raises."""
        answer = http.get("feed")
        assert answer.status_code == 200
        trusted, feed = trust.accept(trusted, answer.content, utc_now())
        self.sequences.append(feed.sequence)
        self.ends["feed"] += 1
        return trusted, feed

    def judge(self, digest: str, data: bytes | None, begun: float, way: str) -> None:
        """The bytes match the digest; a model that was withdrawn before the request is not served."""
        gone = self.shop.withdrawn.get(digest)
        if data is None:
            assert gone is not None or digest in self.shop.withdrawn, "404 for a model that is published"
            self.ends["gone"] += 1
            return
        assert gone is None or begun < gone, "a withdrawn model came"
        assert hashlib.sha256(data).hexdigest() == digest, way
        self.ends[way] += 1


def whole(http: httpx.Client, path: str, _: random.Random) -> bytes | None:
    """The whole file in one request."""
    answer = http.get(path)
    assert answer.status_code in {200, 404}
    assert answer.status_code == 404 or answer.headers["ETag"] == f'"{path.rpartition("/")[2]}"'
    return answer.content if answer.status_code == 200 else None


def ranges(http: httpx.Client, path: str, rng: random.Random) -> bytes | None:
    """The file in three ranges, in any order."""
    first = http.get(path, headers={"Range": "bytes=0-0"})
    if first.status_code == 404:
        return None
    length = int(first.headers["Content-Range"].rpartition("/")[2])
    cuts = [1, *sorted(rng.sample(range(2, length), 2)), length]
    parts = {0: first.content}
    for start, end in rng.sample(list(itertools.pairwise(cuts)), 3):
        answer = http.get(path, headers={"Range": f"bytes={start}-{end - 1}"})
        if answer.status_code == 404:
            return None
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{length}"
        parts[start] = answer.content
    return b"".join(parts[start] for start in sorted(parts))


def resumed(http: httpx.Client, path: str, rng: random.Random) -> bytes | None:
    """An interrupted download, resumed with ``If-Range`` of this file or of another."""
    with http.stream("GET", path) as answer:
        if answer.status_code == 404:
            return None
        have = next(answer.iter_raw(rng.randrange(100, 2000)))
    tag = answer.headers["ETag"] if rng.random() < 0.7 else '"another"'
    answer = http.get(path, headers={"Range": f"bytes={len(have)}-", "If-Range": tag})
    if answer.status_code == 404:
        return None
    assert answer.status_code == (206 if tag != '"another"' else 200)
    return have + answer.content if answer.status_code == 206 else answer.content


def cached(http: httpx.Client, path: str, rng: random.Random) -> bytes | None:
    """A repeated request with ``If-None-Match``: 304 confirms the local bytes."""
    data = whole(http, path, rng)
    if data is None:
        return None
    tag = f'"{hashlib.sha256(data).hexdigest()}"' if rng.random() < 0.7 else '"another"'
    answer = http.get(path, headers={"If-None-Match": tag})
    if answer.status_code == 404:
        return None
    assert answer.status_code == (304 if tag != '"another"' else 200)
    assert answer.status_code == 200 or not answer.content
    return answer.content or data


WAYS = (whole, ranges, resumed, cached)


def move(shop: Shop, n: int) -> Counter[str]:
    """Promote and roll back in turn, each published before it is answered; withdraw two models in between."""
    rng, home, done = random.Random(0), shop.process.home, Counter[str]()  # noqa: S311  (repeatable)
    champion, alive = VERSIONS, list(range(1, VERSIONS + 1))
    with shop.process.client("ops") as ops:
        for step in range(n):
            if step in {n // 3, 2 * n // 3}:
                lost = rng.choice([each for each in alive if each != champion])
                withdraw(shop, lost)
                alive.remove(lost)
            if step % 3 == 2:
                to = rng.choice([each for each in alive if each != champion])
                answer = ops.post("/v1/rollbacks", json={"family": "cnn", "reason": "a test", "to": to})
            else:
                to = rng.choice([each for each in alive if each != champion])
                answer = ops.post("/v1/promotions", json={"version": to, "reason": "a test"})
            assert answer.status_code == 201, answer.text
            assert answer.json()["sequence"], answer.text
            champion = answer.json()["after"]
            done[answer.json()["verb"]] += 1
    assert home.settings.published.exists()
    shop.over.set()
    return done


def withdraw(shop: Shop, number: int) -> None:
    """From just before a withdrawal, 404 is a valid answer; from just after, it is the only one."""
    digest = next(digest for digest, each in shop.models.items() if each == number)
    shop.withdrawn[digest] = float("inf")
    authority.withdraw(shop.process.home, number, WHY, utc_now())
    assert upkeep.follow(shop.process.home, WHY, utc_now()).feed is not None
    shop.withdrawn[digest] = time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("downloads", "moves"),
    [(400, 10), pytest.param(20_000, 500, marks=pytest.mark.campaign)],
    ids=["short", "campaign"],
)
def test_downloads_during_moves(shop: Shop, downloads: int, moves: int) -> None:
    """Every 200 and every joined set of ranges has the digest in its URL; each client's feeds verify and rise."""
    clients = [Client(shop, number, downloads // CLIENTS + 1) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        moving = pool.submit(move, shop, moves)
        running = [pool.submit(Client.run, client) for client in clients]
        try:
            done = moving.result()
        finally:
            shop.over.set()
        ends = sum((each.result().ends for each in running), Counter[str]())
    seen = {sequence for client in clients for sequence in client.sequences}
    print(f"{ends.total():,} downloads {dict(ends)}, moves {dict(done)}, {len(seen)} feeds seen")  # noqa: T201
    assert ends.total() >= downloads
    assert done.total() == moves
    assert all(client.sequences == sorted(client.sequences) for client in clients)
    assert len(seen) > moves / 2
    assert {way.__name__ for way in WAYS} <= set(ends)
    for digest in shop.withdrawn:
        assert httpx.get(f"{shop.process.url}/v1/models/{digest}").status_code == 404


def test_what_is_gone_is_not_kept_in_memory(tmp_path: Path) -> None:
    """The next request for a withdrawn model drops its bytes from the cache; the size of the cache is bounded."""
    shelf, path = FileCache(tmp_path), tmp_path / "model"
    path.write_bytes(b"x")
    shelf.read("model", hashlib.sha256(b"x").hexdigest())
    assert len(shelf) == 1
    path.unlink()
    with pytest.raises(NotPublished):
        shelf.read("model", None)
    assert len(shelf) == 0
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x")
        shelf.read(str(number), None)
    assert len(shelf) < 50
