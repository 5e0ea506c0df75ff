"""First keys, rotation, recovery, withdrawal, and private keys that stay private."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from loop import registry
from loop.errors import BadKey, NotPublishable, StoreUnavailable
from loop.feed import authority, envelope, keys, publish, roots
from loop.feed.refusals import FeedRefused
from tests.feed.conftest import WHY, Office, no_passphrase, sync
from tests.feed.simulator import NOW, Publisher, id_of, key

HOUR = timedelta(hours=1)


def test_rotation_revokes_at_once(small: Office, tmp_path: Path) -> None:
    """After a rotation devices accept the new key's feed and refuse the old key's."""
    root = small.create()
    small.publish()
    old = keys.load_many(authority.signing_keys(small.home, authority.trusted(small.home), NOW), no_passphrase)
    sync(small, tmp_path / "phone", root)
    small.rotate(recover=True)
    feed = small.publish()
    assert sync(small, tmp_path / "phone", root).epoch == 2
    forged = replace(feed, sequence=feed.sequence + 1)
    (small.folder / "feed.json").write_bytes(envelope.seal(publish.document.feed_bytes(forged), old.values()))
    with pytest.raises(FeedRefused):
        sync(small, tmp_path / "phone", root)


def test_a_recovery_survives_a_lost_root_key(small: Office, tmp_path: Path) -> None:
    """If one of three root keys is lost, the other two sign the next root, which replaces it."""
    root = small.create()
    small.publish()
    lost = next(path for path in authority.folder(small.home).glob("root-*.pem"))
    lost.unlink()
    small.rotate(replace=(lost.stem[-12:],))
    small.publish()
    done = sync(small, tmp_path / "phone", root)
    assert done.root == 2
    names = authority.trusted(small.home).root.root_keys
    assert not [id_ for id_ in names if id_.startswith(lost.stem[-12:])]
    small.rotate()  # the new set can sign too


def test_too_few_root_keys(small: Office) -> None:
    """With one of three root keys left, nothing is signed and nothing is written."""
    small.create()
    for path in list(authority.folder(small.home).glob("root-*.pem")):
        path.unlink()
    before = sorted(authority.folder(small.home).iterdir())
    with pytest.raises(NotPublishable, match="--keys"):
        small.rotate()
    assert sorted(authority.folder(small.home).iterdir()) == before
    assert authority.trusted(small.home).root.version == 1


def test_withdrawal(small: Office, tmp_path: Path) -> None:
    """A former champion can be withdrawn once: the feed names it, its file is removed, and devices drop it."""
    root = small.create()
    small.publish()
    small.register()
    small.publish()
    assert sync(small, tmp_path / "phone", root).current.version == 2
    with pytest.raises(NotPublishable, match="rollback"):
        authority.withdraw(small.home, 2, WHY, NOW)
    registry.rollback(small.home, "cnn", None, WHY, NOW)
    digest = authority.withdraw(small.home, 2, WHY, NOW).artifact_digest
    with pytest.raises(NotPublishable, match="already"):
        authority.withdraw(small.home, 2, WHY, NOW)
    feed = small.publish()
    assert feed.withdrawn == (digest,)
    assert not (small.folder / "models" / f"{digest}.mlmodel").exists()
    done = sync(small, tmp_path / "phone", root)
    assert (done.current.version, done.previous) == (1, None)
    registry.promote(small.home, 2, WHY, NOW)
    with pytest.raises(NotPublishable, match="withdrawn"):
        small.publish()


def test_an_expired_feed_key(small: Office) -> None:
    """An expired feed key does not sign, and the message states what to do."""
    small.create()
    with pytest.raises(NotPublishable, match="loop feed rotate"):
        small.publish(NOW + timedelta(days=366))


def test_private_keys_are_private(small: Office) -> None:
    """Key files have mode 0600 in a folder of mode 0700, and a file that others may read is refused."""
    small.create()
    folder = authority.folder(small.home)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 4
    next(folder.glob("feed-*.pem")).chmod(0o644)
    with pytest.raises(BadKey, match="chmod 600"):
        small.publish()


def test_encrypted_keys(small: Office) -> None:
    """Encrypted files contain no plain key, and a wrong passphrase opens none and is not printed."""
    small.create("geheim")
    path = next(authority.folder(small.home).glob("feed-*.pem"))
    assert b"ENCRYPTED" in path.read_bytes()
    keys.load(path, lambda path: "geheim")
    for wrong in ("falsch", None):
        with pytest.raises(BadKey) as caught:
            keys.load(path, lambda path, wrong=wrong: wrong)  # type: ignore[misc]  # bound in each iteration
        assert "falsch" not in str(caught.value)


def test_a_key_file_with_a_wrong_name(small: Office, tmp_path: Path) -> None:
    """A file that is named after a key that it does not contain is refused."""
    small.create()
    path = next(authority.folder(small.home).glob("feed-*.pem"))
    keys.save(tmp_path / "other", "feed", key("mallory"), None)
    shutil.copy(next((tmp_path / "other").iterdir()), path)
    path.chmod(0o600)
    with pytest.raises(BadKey, match="expected key"):
        small.publish()


def test_no_second_first_keys(small: Office) -> None:
    """Root 1 is created once, and never with a threshold that the keys cannot reach."""
    with pytest.raises(NotPublishable, match="threshold"):
        authority.create(small.home, 2, 3, 365, None, WHY, NOW)
    small.create()
    with pytest.raises(NotPublishable, match="rotate"):
        small.create()


@pytest.mark.parametrize("table", ["feed_roots", "feed_entries", "withdrawals"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}"])
def test_append_only_in_the_database(office: Office, table: str, verb: str) -> None:
    """Raw SQL can neither change nor delete the feed's roots, entries and withdrawals."""
    office.create()
    office.publish()
    office.register()
    authority.withdraw(office.home, 1, WHY, NOW)
    with pytest.raises((DBAPIError, StoreUnavailable), match="append-only"), office.home.store.write() as tx:
        tx.execute(text(verb.format(table)))


def test_roots_that_no_device_would_follow_are_not_written() -> None:
    """Writing a root applies the devices' own rules."""
    p = Publisher()
    with pytest.raises(NotPublishable, match="2 valid signatures"):
        roots.next_root(p.trusted, p.change(), {id_of(p.root_keys[0]): p.root_keys[0]}, NOW)
