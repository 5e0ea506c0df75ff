"""A home with history: two nights' versions with real files, uploads, a feed with keys, a webhook, API keys."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from loop import access, registry
from loop import home as homes
from loop.clock import utc_now
from loop.data.digits import digit
from loop.feed import authority, client, publish
from loop.home import Home, artifacts
from loop.home.settings import Settings
from loop.intake import Receipt, Upload, accept_many
from loop.operations import key_encryption
from loop.store import Store, tables, values
from loop.store.feedback import corrections, split
from loop.store.nights import runs, snapshots, versions
from loop.store.service import hooks, messages, outbox
from loop.store.values import Attribution, Role
from tests.feed.simulator import CHANNEL, model
from tests.helpers import stores
from tests.store.conftest import version

WHY = Attribution("ops", "a reason")
HOUR = timedelta(hours=1)


COST = dict(key_encryption.SCRYPT_COST)
"""The cost of scrypt outside the tests."""


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make scrypt fast; one test checks the real cost."""
    monkeypatch.setitem(key_encryption.SCRYPT_COST, "n", 1 << 12)


def no_passphrase(path: Path) -> str | None:
    """No passphrase."""
    raise AssertionError(f"{path} is encrypted")


class Site:
    """A home, and actions on it."""

    def __init__(self, url: str, folder: Path, now: datetime, *, sealed: bool = True) -> None:
        """``sealed`` False: the store's secrets are as an early release stored them."""
        self.url, self.now = url, now
        settings = Settings(home=folder / "home", database_url=url, corpus="digits")
        settings.home.mkdir(mode=0o700, exist_ok=True)  # as ``loop init`` does
        self.home = homes.opened(settings, create=True)
        if not sealed:
            self.home = replace(self.home, store=Store(url))
        self.root = b""
        stores.migrate(self.home.store)
        with self.home.store.write() as tx:
            split.set_salt(tx, "salt")

    def upload(self, people: int = 3, each: int = 4, first: int = 0) -> None:
        """Store uploads of several people."""
        random = np.random.default_rng(first)
        sent = [
            Upload(f"person-{who}", digit(random.integers(0, 255, (28, 28), np.uint8)), label=n, key=f"k{n}")
            for who in range(first, first + people)
            for n in range(each)
        ]
        assert all(isinstance(each, Receipt) for each in accept_many(self.home.store, sent, 0.4, self.now))

    def register(self, family: str = "cnn") -> int:
        """Register and promote a version with real files and a snapshot of all training uploads."""
        return self.publish_version(self.begin(family))

    def begin(self, family: str = "cnn") -> values.Version:
        """Run a night until its files are on disk but no row names them."""
        home, now = self.home, self.now
        with home.store.exclusive() as tx:
            run = runs.claim(tx, family, "night", runs.me(), 60, now)
            number = runs.reserve(tx, run.id)
            pool = corrections.pool(tx, Role.TRAIN)
            digest = artifacts.digest(f"{number}".encode())
            snapshot = snapshots.keep(tx, digest, "c" * 64, pool, np.full(len(pool), 0.5), now)
            runs.freeze(tx, run.id, snapshot)
            run = runs.get(tx, run.id)
        data, golden = model(number, family)
        return version(
            run,
            snapshot_id=snapshot,
            snapshot_digest=digest,
            artifact_digest=home.artifacts.put(data, ".mlmodel"),
            artifact_bytes=len(data),
            golden_digest=home.artifacts.put(golden, ".json"),
            weights_digest=home.artifacts.put(b"weights %d" % number, ".npz"),
            report_digest=home.artifacts.put(b"report %d" % number, ".npz"),
            base_digest=home.artifacts.put(b"base of %s" % family.encode(), ".npz"),
            registered_at=now,
        )

    def publish_version(self, new: values.Version) -> int:
        """Run the night's last transaction: the version, its verdict, the ledger, the run's end."""
        with self.home.store.exclusive() as tx:
            runs.hold(tx, new.run_id)
            verdict = values.Verdict(new.number, "good enough", "passed", {"n": 1}, self.now)
            registry.register(tx, new, [verdict], WHY, self.now)
            registry.promote_in(tx, new, WHY, self.now)
            runs.finish(tx, new.run_id, values.RunStatus.FINISHED, None, {"teach": 1.5}, self.now)
        return new.number

    def create_keys(self, passphrase: str | None = None) -> bytes:
        """Create the feed's keys; returns root 1, as it is built into the app."""
        authority.create(self.home, 3, 2, 365, passphrase, WHY, self.now)
        return authority.first(self.home)

    def publish(self) -> int:
        """Publish to the home's own folder; returns the sequence."""
        settings = self.home.settings
        return publish.publish(self.home, settings.published, publish.Options(), no_passphrase, WHY, self.now).sequence

    def sync(self, folder: Path, root: bytes) -> client.Synced:
        """Sync a device from the published folder."""
        with client.at(str(self.home.settings.published)) as source:
            return client.sync(source, folder, CHANNEL, self.now, root=root)

    def live(self) -> None:
        """Create a history with every kind of row, ending now."""
        self.upload()
        self.register()
        self.register()
        self.root = self.create_keys()
        self.publish()
        self.connect()

    def connect(self) -> None:
        """An app's key, a webhook with an event to deliver, and an upload that was sent again."""
        access.create(self.home, "the app", access.Role.APP, actor="ops", now=self.now)
        with self.home.store.write() as tx:
            hooks.add(tx, "https://example.org", "s", [messages.Kind.PROMOTED], "ops", self.now)
            outbox.record_for(tx, outbox.Kind.TEST, {"what": "a test"}, [1], self.now)
            first = tx.get(tables.Correction, 1)
            assert first is not None
            replay = {"source_id": first.source_id, "key": "r", "body_digest": "b", "correction_id": 1}
            tx.add(tables.Replay(**replay, answered_at=self.now))


def give_key(home: Home, other: Home) -> None:
    """Copy the sealing key to another machine, as docs/backup.md asks."""
    other.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(home.settings.sealing_key_file, other.settings.sealing_key_file)


def numbers(home: Home) -> set[int]:
    """The numbers of all versions."""
    with home.store.read() as tx:
        return {each.number for each in versions.every(tx)}


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder with a home with history, made once, and its first root."""
    folder = tmp_path_factory.mktemp("past")
    made = Site(f"sqlite:///{folder / 'loop.db'}", folder, utc_now())
    made.live()
    made.home.store.compact()
    made.home.store.close()
    return folder, made.root


@pytest.fixture
def small(past: tuple[Path, bytes], tmp_path: Path) -> Iterator[Site]:
    """A home with history on SQLite, for tests that do not depend on the database."""
    folder, root = past
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    made = Site(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, utc_now())
    made.root = root
    yield made
    made.home.store.close()


@pytest.fixture
def site(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A home with history, on each database."""
    if url.startswith("sqlite"):
        yield request.getfixturevalue("small")
        return
    made = Site(url, tmp_path, utc_now())
    made.live()
    yield made
    made.home.store.close()
