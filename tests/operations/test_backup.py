"""A restored home equals the old one, on either database, and undoes nothing that must stay."""

import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from loop import access, registry
from loop import home as homes
from loop.asking import nightly, rounds
from loop.errors import BadBackup, OpsError
from loop.feed import authority, publish
from loop.home import Home
from loop.home.settings import Settings
from loop.intake import erasure
from loop.operations import backup, restore, verify
from loop.operations.finding import Severity, worst
from loop.store import schema, tables, values
from loop.store.backup import carried_over, dump, sequences
from loop.store.feedback import corrections, erasures, own_uploads, uploads
from loop.store.nights import runs
from loop.store.phones import feeds
from loop.store.service import heartbeats, hooks
from loop.store.values import Role
from tests.asking.conftest import drawing, send
from tests.helpers import stores
from tests.operations.conftest import HOUR, WHY, Site, give_key, no_passphrase, numbers

WORDS = "a long passphrase"
REPLACE = restore.Options(replace=True)


def rows(home: Home) -> dict[str, bytes]:
    """Every row of every table in the form of a backup, without the records of restores."""
    with home.store.frozen() as tx:
        found = {name: b"".join(dump.parts(tx, name)) for name in dump.tables()}
    lines = found["runs"].splitlines(keepends=True)
    return found | {"runs": b"".join(line for line in lines if b"restored from the backup" not in line)}


def sound(home: Home, now: object) -> None:
    """Require that `loop verify` finds nothing wrong."""
    findings = verify.verify(home, now).findings  # type: ignore[arg-type]  # a moment
    assert worst(findings) < Severity.WARNING, findings


@pytest.fixture
def empty(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Home]:
    """An empty home, on the database that ``site`` does not use."""
    other = f"sqlite:///{tmp_path / 'other.db'}"
    if url.startswith("sqlite"):
        other = stores.emptied(request.getfixturevalue("postgres"))
    settings = Settings(home=tmp_path / "other", database_url=other, corpus="digits")
    home = homes.opened(settings, create=True)
    yield home
    home.store.close()


@pytest.mark.slow
def test_the_same_home_on_the_other_database(site: Site, empty: Home, tmp_path: Path) -> None:
    """Every row and every file is restored, from SQLite to PostgreSQL and from PostgreSQL to SQLite."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    give_key(site.home, empty)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    done = restore.restore(empty, made.path, restore.Options(), site.now)
    assert rows(empty) == rows(site.home)
    assert (done.rows["versions"], done.rows["corrections"], done.artifacts, done.keys) == (2, 12, 9, 0)
    empty_settings = empty.settings.model_copy(update={"feed_folder": site.home.settings.published})
    sound(replace(empty, settings=empty_settings), site.now)


@pytest.mark.slow
def test_into_the_same_home(site: Site, tmp_path: Path) -> None:
    """A restore with --replace removes later changes, and triggers protect the ledger again afterwards."""
    before = rows(site.home)
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    site.upload(first=10)
    site.register()
    with pytest.raises(OpsError, match="--replace"):
        restore.restore(site.home, made.path, restore.Options(), site.now)
    assert numbers(site.home) == {1, 2, 3}
    restore.restore(site.home, made.path, REPLACE, site.now)
    assert rows(site.home) == before
    sound(site.home, site.now)
    for statement in ("DELETE FROM moves", "UPDATE versions SET seed = 1", "DELETE FROM feed_entries"):
        with pytest.raises(Exception, match="append-only"), site.home.store.write() as tx:
            tx.execute(text(statement))


@pytest.mark.slow
def test_numbers_are_never_reused(site: Site, tmp_path: Path) -> None:
    """Numbers of versions, uploads, runs and events from after the backup are not reused after the restore."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    site.upload(first=10)
    assert site.register() == 3
    with site.home.store.read() as tx:
        given = sequences.last(tx)
    restore.restore(site.home, made.path, REPLACE, site.now)
    site.upload(first=20, people=1, each=1)
    assert site.register() == 4
    with site.home.store.read() as tx:
        for name in ("corrections", "sources", "runs", "snapshots", "moves", "verdicts", "events"):
            table = dump.tables()[name]
            rows = [line for part in dump.parts(tx, name) for line in part.splitlines()]
            assert int(rows[-1].split(b":")[1].split(b",")[0]) > given[name], table


@pytest.mark.slow
def test_a_lost_store_skips_numbers(site: Site, empty: Home, tmp_path: Path) -> None:
    """If later numbers are unknown, upload and event numbers skip a margin; version numbers are in the feed."""
    give_key(site.home, empty)
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    for _ in range(3):
        site.register()
    authority.rotate(
        site.home, authority.RotationOptions(), [authority.folder(site.home)], no_passphrase, None, WHY, site.now
    )
    site.publish()
    with site.home.store.read() as tx:
        given = sequences.last(tx)
    settings = empty.settings.model_copy(update={"feed_folder": site.home.settings.published})
    home = replace(empty, settings=settings)
    restore.restore(home, made.path, restore.Options(), site.now)
    with home.store.read() as tx:
        assert sequences.last(tx)["corrections"] > given["corrections"] + 900_000
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, site.now)
        assert runs.reserve(tx, run.id) == 6  # the feed has version 5


@pytest.mark.slow
def test_the_sequence_never_falls(site: Site, tmp_path: Path) -> None:
    """After a restore with rotated keys and a late clock, a device with the newest feed accepts the next one."""
    phone = tmp_path / "phone"
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    site.register()
    options, folders = authority.RotationOptions(), [authority.folder(site.home)]
    authority.rotate(site.home, options, folders, no_passphrase, None, WHY, site.now)
    site.now += timedelta(hours=1)
    newest = site.publish()
    assert site.sync(phone, site.root).current.version == 3  # type: ignore[union-attr]  # it has one
    restore.restore(site.home, made.path, REPLACE, site.now)
    site.now -= timedelta(hours=1)  # so that the clock does not hide a lower sequence
    assert site.publish() > newest
    done = site.sync(phone, site.root)
    assert done.current is not None
    assert (done.current.version, done.root) == (2, 2)


@pytest.mark.slow
def test_the_sequence_never_falls_after_a_lost_store(site: Site, empty: Home, tmp_path: Path) -> None:
    """After the store was lost, the sequence continues from the published folder, or else from the clock."""
    phone = tmp_path / "phone"
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now, WORDS)
    newest = [site.publish() for _ in range(3)][-1]
    site.sync(phone, site.root)
    settings = empty.settings.model_copy(update={"feed_folder": site.home.settings.published})
    home = replace(empty, settings=settings)
    restore.restore(home, made.path, restore.Options(passphrase=WORDS), site.now)
    feed = publish.publish(home, settings.published, publish.Options(), no_passphrase, WHY, site.now)
    assert feed.sequence == newest + 1
    site.sync(phone, site.root)


def test_what_was_revoked_or_withdrawn_stays_so(site: Site, tmp_path: Path) -> None:
    """A revoked key, a withdrawn version and a removed webhook stay so after a restore of an older backup."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    [key] = access.every(site.home)
    access.revoke(site.home, key.id, site.now)
    authority.withdraw(site.home, 1, WHY, site.now)
    with site.home.store.write() as tx:
        hooks.remove(tx, 1, site.now)
    restore.restore(site.home, made.path, REPLACE, site.now)
    assert [each.revoked_at for each in access.every(site.home)] == [site.now]
    with site.home.store.read() as tx:
        assert [each.version for each in feeds.withdrawn(tx)] == [1]
        assert hooks.live(tx) == []
        assert [(each.status, each.hook.secret) for each in hooks.deliveries(tx)] == [("given-up", "")]


@pytest.mark.slow
def test_what_was_erased_stays_erased(site: Site, tmp_path: Path) -> None:
    """Uploads that were erased after the backup are not restored; later uploads under the same name are kept."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    erasure.erase(site.home, "person-1", "ops", site.now + HOUR)
    site.now += 2 * HOUR
    done = restore.restore(site.home, made.path, REPLACE, site.now)
    assert done.erased == 4
    assert b"person-1" not in rows(site.home)["sources"]
    assert len(rows(site.home)["erasures"].splitlines()) == 1
    sound(site.home, site.now)
    again = backup.backup(site.home, tmp_path / "c.tar.gz", site.now)
    assert restore.restore(site.home, again.path, REPLACE, site.now).erased == 0


@pytest.mark.slow
def test_rounds_are_restored_without_what_was_erased(site: Site, tmp_path: Path) -> None:
    """A round is computed again from a restored store, and no longer names uploads that were erased since."""
    send(site.home.store, *(replace(drawing(f"ada {n % 3}", n), captured_at=None) for n in range(12)), at=site.now)
    assert nightly.ask(site.home, "cnn", site.now, 6).asked > 0
    before = rounds.recompute(site.home)
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    restore.restore(site.home, made.path, REPLACE, site.now)
    assert rounds.recompute(site.home) == before
    erasure.erase(site.home, "ada 1", "ops", site.now + HOUR)
    kept = rows(site.home)["rounds"]
    restore.restore(site.home, made.path, REPLACE, site.now + 2 * HOUR)
    assert rounds.recompute(site.home).erased == 4
    assert len(kept.splitlines()) == 1


def test_what_was_taken_back_stays_so(site: Site, tmp_path: Path) -> None:
    """Words that were withdrawn or superseded after the backup are not taught again once it is restored."""
    upload, source = tables.Correction, tables.Source
    with site.home.store.read() as tx:
        teaching = select(upload.id, source.name).join(source).where(source.role == "train").limit(2)
        (withdrawn, name), (superseded, _) = tx.execute(teaching).all()
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    with site.home.store.exclusive() as tx:
        own_uploads.withdraw(tx, name, withdrawn)
        uploads.supersede(tx, [superseded])
        tainted = erasures.tainted(tx)
        taught = len(corrections.pool(tx, Role.TRAIN))
    restore.restore(site.home, made.path, REPLACE, site.now)
    with site.home.store.read() as tx:
        found = [tx.get_one(upload, number).status for number in (withdrawn, superseded)]
        assert found == ["withdrawn", "superseded"]
        assert erasures.tainted(tx) == tainted != []
        assert len(corrections.pool(tx, Role.TRAIN)) == taught
    sound(site.home, site.now)


@pytest.mark.slow
def test_without_carrying_over_all_of_it_is_undone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a restore that only loads rows revives the key, loses the sequence and reuses numbers."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    [key] = access.every(site.home)
    access.revoke(site.home, key.id, site.now)
    site.register()
    newest = [site.publish() for _ in range(3)][-1]
    monkeypatch.setattr(carried_over, "read", lambda tx: carried_over.CarriedOver([], [], [], [], [], {}, [], 0, {}))
    monkeypatch.setattr(restore, "_seen_by_phones", lambda home, tx: 0)
    restore.restore(site.home, made.path, REPLACE, site.now)
    assert [each.revoked_at for each in access.every(site.home)] == [None]
    with site.home.store.read() as tx:
        assert feeds.last_sequence(tx, 1) < newest
    assert site.register() == 3


@pytest.mark.slow
def test_another_installation_is_refused(site: Site, empty: Home, tmp_path: Path) -> None:
    """A backup of a home with another feed is refused, because its phones trust other keys."""
    schema.migrate(empty.store)
    authority.create(empty, 3, 2, 365, None, WHY, site.now)
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    with pytest.raises(BadBackup, match="two installations"):
        restore.restore(empty, made.path, REPLACE, site.now)
    assert numbers(empty) == set()


def test_not_while_a_process_runs(site: Site, tmp_path: Path) -> None:
    """A restore is refused while a server or a night runs; a dead process does not block it."""
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    with site.home.store.exclusive() as tx:
        heartbeats.beat(tx, "elsewhere:x:1", "api", site.now)
    with pytest.raises(OpsError, match="api elsewhere:x:1 is running"):
        restore.restore(site.home, made.path, REPLACE, site.now)
    later = site.now + timedelta(minutes=3)
    with site.home.store.exclusive() as tx:
        runs.claim(tx, "cnn", "night", runs.me(), 600, later)
    with pytest.raises(OpsError, match="run 3 is running"):
        restore.restore(site.home, made.path, REPLACE, later)


def test_a_restored_run_does_not_continue(site: Site, tmp_path: Path) -> None:
    """A night that ran when the backup was made has ended in the restored store, and can write nothing."""
    with site.home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", "elsewhere:x:1", 60, site.now)
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now)
    restore.restore(site.home, made.path, REPLACE, site.now + timedelta(hours=1))
    with site.home.store.read() as tx:
        assert runs.get(tx, run.id).status is values.RunStatus.FAILED


def test_a_history_with_a_rollback_is_restored(small: Site, tmp_path: Path) -> None:
    """After a restore the ledger's chain continues from the backup's last line."""
    registry.rollback(small.home, "cnn", None, WHY, small.now)
    small.publish()
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    restore.restore(small.home, made.path, REPLACE, small.now)
    registry.promote(small.home, 2, WHY, small.now)
    small.publish()
    sound(small.home, small.now)
