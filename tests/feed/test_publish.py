"""Publishing champions to a folder: the files, the refusals, and a sequence that only rises."""

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop import durable, registry
from loop.errors import DiskFull, NotPublishable
from loop.feed import (
    authority,
    canonical,
    client,
    envelope,
    keys,
    publish,
)
from loop.feed.client import (
    verify,
)
from loop.feed.refusals import FeedRefused, KeyExpired
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store, schema
from loop.store.phones import feeds
from tests.feed.client.test_killed import die_at
from tests.feed.conftest import WHY, Office, no_passphrase, sync
from tests.feed.simulator import CHANNEL, NOW, Publisher

HOUR = timedelta(hours=1)


def test_the_whole_circle(office: Office, tmp_path: Path) -> None:
    """A device follows a promotion and a rollback; a rollback is a newer feed that names an older digest."""
    root = office.create()
    first = office.publish()
    assert sync(office, tmp_path / "phone", root).current.version == 1
    office.register()
    second = office.publish()
    assert sync(office, tmp_path / "phone", root).current.version == 2
    registry.rollback(office.home, "cnn", None, WHY, office.now)
    third = office.publish()
    assert first.sequence < second.sequence < third.sequence
    done = sync(office, tmp_path / "phone", root)
    assert (done.current.version, done.sequence) == (1, third.sequence)


def test_two_families_two_channels(office: Office) -> None:
    """Every family's champion has a channel, and the check as a new device accepts all of them."""
    office.register("svm")
    root = office.create()
    feed = office.publish(rollout_percent=25)
    assert sorted(feed.channels) == ["cnn.mlmodel", "svm.mlmodel"]
    assert {each.rollout_percent for each in feed.channels.values()} == {25}
    with client.at(str(office.folder)) as source:
        assert verify.verify(source, root, office.now).feed == feed


def test_the_files_are_static(small: Office) -> None:
    """The folder has exactly the documented files, and immutable files are written once."""
    small.create()
    release = small.publish().channels[CHANNEL]
    names = {path.relative_to(small.folder).as_posix() for path in small.folder.rglob("*") if path.is_file()}
    models = {f"models/{release.digest}.mlmodel", f"golden/{release.golden_digest}.json"}
    assert names == {".lock", "feed.json", "root/1.json"} | models
    before = {name: (small.folder / name).stat().st_ino for name in names}
    small.publish()
    changed = {name for name in names if (small.folder / name).stat().st_ino != before[name]}
    assert changed == {"feed.json"}


def test_a_web_server_of_another_user_reads_the_folder(small: Office) -> None:
    """Folders 0755 and files 0644 with the umask of the units; so is a folder of phones' files that is added later."""
    before = os.umask(0o027)
    try:
        small.create()
        small.publish()
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (small.folder, *small.folder.rglob("*"))}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in found.items() if path.is_file() and path.name != ".lock"} == {0o644}


def test_the_feed_goes_last(small: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files that a feed names are written before the feed."""
    small.create()
    written: list[str] = []
    whole = durable.write_whole

    def note(path: Path, data: bytes, mode: int = 0o644) -> None:
        written.append(path.parent.name if path.name != "feed.json" else path.name)
        whole(path, data, mode)

    monkeypatch.setattr(durable, "write_whole", note)
    small.publish()
    assert written == ["models", "golden", "root", "feed.json"]


@pytest.mark.parametrize("lost", ["store", "folder", "both"])
def test_the_sequence_rises_through_restored_backups(small: Office, tmp_path: Path, lost: str) -> None:
    """After a restore of the store, the folder or both, the next sequence is above every published one."""
    root = small.create()
    small.publish()
    small.home.store.close()
    shutil.copytree(small.home.settings.home, tmp_path / "backup-home")
    shutil.copy(tmp_path / "loop.db", tmp_path / "backup.db")
    shutil.copytree(small.folder, tmp_path / "backup-site")
    for _ in range(3):
        small.now += HOUR
        last = small.publish()
    sync(small, tmp_path / "phone", root)
    small.home.store.close()
    if lost != "folder":
        for name in ("loop.db-wal", "loop.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "backup.db", tmp_path / "loop.db")
    if lost != "store":
        shutil.rmtree(small.folder)
        shutil.copytree(tmp_path / "backup-site", small.folder)
    small.now += HOUR
    assert small.publish().sequence > last.sequence
    sync(small, tmp_path / "phone", root)


@pytest.mark.parametrize("floor", ["store", "folder"])
def test_the_sequence_rises_with_a_clock_in_the_past(small: Office, floor: str, tmp_path: Path) -> None:
    """With a clock far in the past the sequence continues from the store or from the folder."""
    small.create()
    first = small.publish()
    past = NOW - timedelta(days=20)
    to = small.folder if floor == "folder" else tmp_path / "new"
    if floor == "folder":
        with small.home.store.engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER feed_entries_no_delete")
            connection.exec_driver_sql("DELETE FROM feed_entries")
    assert small.publish(past, to).sequence == first.sequence + 1


def test_a_forgotten_rotation_is_found_in_the_folder(small: Office, tmp_path: Path) -> None:
    """A store from before a rotation takes the newer root from the folder, because the old root certifies it."""
    small.create()
    small.publish()
    small.home.store.close()
    shutil.copy(tmp_path / "loop.db", tmp_path / "backup.db")
    small.rotate()
    small.publish()
    small.home.store.close()
    for name in ("loop.db-wal", "loop.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", tmp_path / "loop.db")
    assert authority.trusted(small.home).root.version == 1
    assert small.publish().root == 2
    assert authority.trusted(small.home).root.version == 2


def test_a_lost_store_adopts_the_folder(small: Office, tmp_path: Path) -> None:
    """After the store was lost but not the keys, the published chain is adopted and devices continue."""
    root = small.create()
    small.rotate()
    last = small.publish()
    sync(small, tmp_path / "phone", root)
    store = Store(f"sqlite:///{tmp_path / 'new.db'}")
    schema.migrate(store)
    settings = small.home.settings
    small.home = Home(settings, store, Artifacts(settings.home / "artifacts"))
    small.register()
    with pytest.raises(NotPublishable, match="--create"):
        small.publish()
    assert publish.adopt(small.home, small.folder, WHY, NOW).root.version == 2
    assert small.publish().sequence > last.sequence
    sync(small, tmp_path / "phone", root)


def test_a_model_that_no_device_would_accept_is_not_published(small: Office) -> None:
    """A champion that fails its golden vectors (promoted with --override) is not published; the folder is unchanged."""
    small.create()
    small.publish()
    before = (small.folder / "feed.json").read_bytes()
    small.register(wrong=True)
    with pytest.raises(NotPublishable, match="no device would accept it"):
        small.publish()
    assert (small.folder / "feed.json").read_bytes() == before


def test_the_folder_of_another_publisher(small: Office) -> None:
    """A folder with another publisher's root or feed is refused and not changed."""
    small.create()
    other = Publisher()
    (small.folder / "root").mkdir(parents=True)
    (small.folder / "root" / "1.json").write_bytes(other.app_root)
    with pytest.raises(NotPublishable, match="expected this store's root"):
        small.publish()
    (small.folder / "root" / "1.json").unlink()
    (small.folder / "feed.json").write_bytes(other.publish(1, sequence=canonical.MAX_INTEGER))
    with pytest.raises(NotPublishable, match="not signed by our keys"):
        small.publish()
    assert not list(small.folder.glob("models/*"))


def test_the_last_sequence(small: Office) -> None:
    """Beyond 2^53 - 1 nothing is signed, and the message names the command that restarts sequences."""
    root = small.create()
    feed = small.publish()
    signers = keys.load_many(authority.signing_keys(small.home, authority.trusted(small.home), NOW), no_passphrase)
    last = publish.document.feed_bytes(replace(feed, sequence=canonical.MAX_INTEGER))
    (small.folder / "feed.json").write_bytes(envelope.seal(last, signers.values()))
    with pytest.raises(NotPublishable, match="--recover"):
        small.publish()
    small.rotate(recover=True)
    assert small.publish().epoch == 2
    with client.at(str(small.folder)) as source:
        verify.verify(source, root, NOW)


def test_verify_sees_what_a_device_would(small: Office) -> None:
    """``verify`` finds expired keys and changed files without a device."""
    root = small.create()
    release = small.publish().channels[CHANNEL]
    with client.at(str(small.folder)) as source:
        with pytest.raises(KeyExpired):
            verify.verify(source, root, NOW + timedelta(days=400))
        path = small.folder / "models" / f"{release.digest}.mlmodel"
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        with pytest.raises(FeedRefused):
            verify.verify(source, root, NOW)


def test_two_publishers_at_once(office: Office) -> None:
    """Two publications into one folder wait for each other, and each sequence is used once."""
    root = office.create()
    with ThreadPoolExecutor(4) as pool:
        given = sorted(feed.sequence for feed in pool.map(lambda _: office.publish(), range(8)))
    with office.home.store.read() as tx:
        stored = [entry.sequence for entry in feeds.entries(tx)]
    assert stored == sorted(set(given), reverse=True)
    assert len(stored) == 8
    with client.at(str(office.folder)) as source:
        assert verify.verify(source, root, NOW).feed.sequence == max(given)


@pytest.mark.slow
def test_killed_while_publishing(small: Office) -> None:
    """After SIGKILL at any file operation devices see the old or the new feed, and the next publication succeeds."""
    root = small.create()
    small.publish()
    kills = 0
    for point in range(1, 100, 2):
        small.register()
        with small.home.store.read() as tx:
            last = feeds.last_sequence(tx, 1)
        small.home.store.close()
        child = os.fork()
        if child == 0:
            die_at(point, small.folder)
            small.publish()
            os._exit(0)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break
        kills += 1
        with client.at(str(small.folder)) as source:
            seen = verify.verify(source, root, NOW).feed
        assert seen.sequence in {last, last + 1}
        assert small.publish().sequence > last
    assert kills >= 8


def test_settings_rule_the_feed(small: Office) -> None:
    """The feed's expiry and confirmation rate are those of the settings."""
    small.home = replace(
        small.home, settings=Settings(home=small.home.settings.home, feed_expires_hours=5, confirm_rate=0.25)
    )
    small.create()
    feed = small.publish()
    assert feed.expires - feed.issued == 5 * HOUR
    assert feed.confirm_ppm == 250_000


def test_a_folder_that_cannot_be_written(small: Office) -> None:
    """If a folder cannot be written, no feed is published, and the message names the path."""
    small.create()
    small.publish()
    before = (small.folder / "feed.json").read_bytes()
    small.register()
    shutil.rmtree(small.folder / "golden")
    (small.folder / "golden").write_text("in the way")
    with pytest.raises((DiskFull, OSError)):
        small.publish()
    assert (small.folder / "feed.json").read_bytes() == before
