"""A home with keys and with registered versions that have real files."""

from datetime import datetime
from pathlib import Path

import pytest

from loop import registry
from loop.feed import authority, client, publish
from loop.feed.document import Feed
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store, values
from loop.store.nights import runs
from loop.store.values import Attribution
from tests.feed.simulator import CHANNEL, NOW, model
from tests.helpers import stores
from tests.store.conftest import version

WHY = Attribution("ops", "a reason")


def no_passphrase(path: Path) -> str | None:
    """No passphrase."""
    raise AssertionError(f"{path} is encrypted")


class Office:
    """A publisher: a home, the folder to which it publishes, a clock."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder, self.now = home, folder, NOW

    def register(self, family: str = "cnn", wrong: bool = False) -> int:
        """Register and promote a version with real files."""
        with self.home.store.exclusive() as tx:
            run = runs.claim(tx, family, "night", runs.me(), 60, self.now)
            number = runs.reserve(tx, run.id)
            runs.finish(tx, run.id, values.RunStatus.FINISHED, None, {}, self.now)
            run = runs.get(tx, run.id)
            data, golden = model(number, family, wrong)
            new = version(
                run,
                artifact_digest=self.home.artifacts.put(data, ".mlmodel"),
                artifact_bytes=len(data),
                golden_digest=self.home.artifacts.put(golden, ".json"),
            )
            passed = values.Verdict(new.number, "good enough", "passed", {"reasons": []}, NOW)
            registry.register(tx, new, [passed], WHY, NOW)
            registry.promote_in(tx, new, WHY, self.now)
        return new.number

    def create(self, passphrase: str | None = None) -> bytes:
        """Create keys; returns root 1, as it is built into the app."""
        authority.create(self.home, 3, 2, 365, passphrase, WHY, self.now)
        return authority.chain(self.home)[0].document

    def publish(self, now: datetime | None = None, to: Path | None = None, **options: object) -> Feed:
        """Publish once."""
        made = publish.Options(**options)  # type: ignore[arg-type]  # keyword arguments of the test
        return publish.publish(self.home, to or self.folder, made, no_passphrase, WHY, now or self.now)

    def rotate(self, recover: bool = False, replace: tuple[str, ...] = ()) -> None:
        """Rotate once, with the keys of the home."""
        options = authority.RotationOptions(replace=replace, recover=recover)
        folders = [authority.folder(self.home)]
        authority.rotate(self.home, options, folders, no_passphrase, None, WHY, self.now)


def sync(office: Office, folder: Path, root: bytes) -> client.Synced:
    """Sync a device from the published folder."""
    with client.at(str(office.folder)) as source:
        return client.sync(source, folder, CHANNEL, office.now, root=root)


@pytest.fixture
def office(store: Store, tmp_path: Path) -> Office:
    """An office with one champion, on each database."""
    home = Home(Settings(home=tmp_path / "home"), store, Artifacts(tmp_path / "home" / "artifacts"))
    made = Office(home, tmp_path / "site")
    made.register()
    return made


@pytest.fixture
def small(tmp_path: Path) -> Office:
    """An office on SQLite only, for tests that do not depend on the database."""
    store = Store(f"sqlite:///{tmp_path / 'loop.db'}")
    stores.migrate(store)
    home = Home(Settings(home=tmp_path / "home"), store, Artifacts(tmp_path / "home" / "artifacts"))
    made = Office(home, tmp_path / "site")
    made.register()
    return made
