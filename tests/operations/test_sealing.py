"""The sealing key is rotated, lost, backed up and checked; a machine that has it restores every secret."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from loop import home as homes
from loop.errors import BadKey
from loop.home import Home
from loop.home.sealing_key import KeyFile
from loop.operations import backup, doctor, restore, sealing, verify
from loop.operations.finding import Finding, Severity
from loop.store import Store
from loop.store.feedback import split
from loop.store.service import hooks, secrets_at_rest
from tests.operations.conftest import Site, give_key
from tests.operations.test_backup import WORDS


def salt(home: Home) -> str:
    """The salt, read by a process of its own."""
    store = homes.opened(home.settings, create=False).store
    with store.read() as tx:
        found = split.set_salt(tx)
    store.close()
    return found


def elsewhere(site: Site, folder: Path) -> Home:
    """A new machine: another home and an empty database."""
    changes = {"home": folder / "elsewhere", "database_url": None}
    return homes.at(site.home.settings.model_copy(update=changes), migrated=False)


def wrong(site: Site) -> list[Finding]:
    """What doctor and verify find wrong with the secrets; they agree."""
    home = doctor.opened(site.home.settings)
    found = [each for each in verify.verify(home, site.now).findings if each.check == "secrets"]
    assert [each for each in doctor.quick(home, site.now) if each.check == "secrets" and each.severity > 1] == found
    return found


def test_a_rotation_is_followed_by_running_processes(small: Site) -> None:
    """A process that has the earlier key reads and seals with the new one; earlier keys stay, or are forgotten."""
    running = small.home.store
    with running.read() as tx:
        assert split.set_salt(tx) == "salt"
    first = sealing.rotate(small.home)
    second = sealing.rotate(small.home)
    assert (first.secrets, first.earlier, second.earlier) == (2, 1, 2)
    with running.exclusive() as tx:
        assert split.set_salt(tx) == "salt"
        assert {kept.key for kept in secrets_at_rest.every(tx)} == {second.key}
    assert sealing.rotate(small.home, forget=True).earlier == 0
    assert len(KeyFile(small.home.settings.sealing_key_file).read()) == 1
    assert salt(small.home) == "salt"
    assert wrong(small) == []


def test_a_rotation_that_stops_leaves_everything_open(small: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop between the key file and the commit, the file opens every secret."""

    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(secrets_at_rest, "seal_anew", stop)
    with pytest.raises(KeyboardInterrupt):
        sealing.rotate(small.home)
    monkeypatch.undo()
    assert salt(small.home) == "salt"
    assert wrong(small) == []


def test_a_backup_alone_reveals_no_secret_and_restores_where_the_key_is(small: Site, tmp_path: Path) -> None:
    """Without the key a restore changes nothing and says what to do; with a copy of the file it has every secret."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    assert b'"holdout salt","value":"salt"' not in gzip.decompress(made.path.read_bytes())
    assert b'"holdout salt","value":"sealed:1:' in gzip.decompress(made.path.read_bytes())
    home = elsewhere(small, tmp_path)
    with pytest.raises(BadKey, match=r"copy the file from .*; nothing was restored"):
        restore.restore(home, made.path, restore.Options(), small.now)
    with home.store.read() as tx:
        assert secrets_at_rest.every(tx) == []
    give_key(small.home, home)
    restore.restore(home, made.path, restore.Options(), small.now)
    assert salt(home) == "salt"


def test_a_backup_with_keys_restores_on_a_new_machine(small: Site, tmp_path: Path) -> None:
    """The passphrase is enough, also where another key was made before and after a rotation at home."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now, WORDS)
    key = KeyFile(small.home.settings.sealing_key_file).read()[0]
    assert key.secret not in gzip.decompress(made.path.read_bytes())
    home = elsewhere(small, tmp_path)
    own = KeyFile(home.settings.sealing_key_file).create()
    restore.restore(home, made.path, restore.Options(passphrase=WORDS), small.now)
    assert salt(home) == "salt"
    assert KeyFile(home.settings.sealing_key_file).read() == (own, key)
    sealing.rotate(small.home, forget=True)
    restore.restore(small.home, made.path, restore.Options(replace=True, passphrase=WORDS), small.now)
    assert salt(small.home) == "salt"


def test_a_lost_key_is_not_the_end(small: Site, tmp_path: Path) -> None:
    """`loop secrets reset` and `loop restore --forget-secrets` make a new salt and remove webhooks, and no more."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    with pytest.raises(BadKey, match="every secret of the database opens"):
        sealing.reset(small.home, small.now)
    small.home.settings.sealing_key_file.unlink()
    small.home = replace(small.home, store=homes.opened(small.home.settings, create=True).store)
    assert [each.severity for each in wrong(small)] == [Severity.BROKEN]
    assert sealing.reset(small.home, small.now) == ["holdout salt", "secret of webhook 1"]
    new = elsewhere(small, tmp_path)
    restore.restore(new, made.path, restore.Options(forget_secrets=True), small.now)
    for home in (small.home, new):
        with home.store.write() as tx:
            assert len(split.set_salt(tx)) == 32
            assert hooks.live(tx) == []
        assert home.settings.sealing_key_file.is_file()
    assert wrong(small) == []


def test_a_key_file_that_can_be_repaired_is_not_lost(small: Site) -> None:
    """`reset` forgets nothing while the file is only readable by others."""
    small.home.settings.sealing_key_file.chmod(0o644)
    with pytest.raises(BadKey, match="chmod 600"):
        sealing.reset(small.home, small.now)
    assert [each.fix[:9] for each in wrong(small)] == ["chmod 600"]
    small.home.settings.sealing_key_file.chmod(0o600)
    assert salt(small.home) == "salt"


def test_secrets_that_are_not_sealed_are_named(small: Site) -> None:
    """A warning with the command that seals them."""
    store = Store(small.url)
    with store.exclusive() as tx:
        hooks.add(tx, "https://example.com", "whsec_plain", ["version.promoted"], "ops", small.now)  # type: ignore[list-item]  # a kind
    store.close()
    assert [(each.severity, each.fix) for each in wrong(small)] == [(Severity.WARNING, "loop migrate")]
    assert homes.migrate(small.home) == 1
    assert wrong(small) == []
