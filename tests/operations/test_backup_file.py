"""A backup's file is complete or absent, readable by its owner only, of one moment, and restores the same rows."""

import gzip
import os
import stat
import threading
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from loop.errors import ArtifactCorrupt, BadBackup, BadKey, DiskFull
from loop.feed import authority
from loop.home import Home
from loop.operations import archive, backup, restore
from loop.store import Store, schema, tables, values
from loop.store.backup import dump, replacement
from tests.feed.client.test_killed import die_at
from tests.operations.conftest import COST, Site
from tests.operations.test_backup import REPLACE, WORDS, empty, sound

__all__ = ["empty"]  # the fixture


@pytest.mark.slow
def test_private_keys_only_when_asked_for_and_sealed(site: Site, empty: Home, tmp_path: Path) -> None:
    """Private keys are only in a backup with a passphrase, need that passphrase, and overwrite no other key."""
    secret = b"".join(path.read_bytes().split(b"\n")[1] for path in authority.folder(site.home).glob("*.pem"))
    bare = backup.backup(site.home, tmp_path / "bare.tar.gz", site.now)
    assert "keys.sealed" not in bare.manifest.members
    made = backup.backup(site.home, tmp_path / "b.tar.gz", site.now, WORDS)
    assert secret not in gzip.decompress(made.path.read_bytes())
    with pytest.raises(BadKey, match="wrong passphrase"):
        restore.restore(empty, made.path, restore.Options(passphrase=WORDS + "!"), site.now)
    assert schema.current(empty.store) is None, "a wrong passphrase must be found before anything changes"
    restore.restore(empty, made.path, restore.Options(passphrase=WORDS), site.now)
    files = {path.name: path.read_bytes() for path in authority.folder(empty).iterdir()}
    assert files == {path.name: path.read_bytes() for path in authority.folder(site.home).iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in authority.folder(empty).iterdir()} == {0o600}
    next(authority.folder(empty).glob("feed-*")).write_bytes(b"another")
    with pytest.raises(BadKey, match="differs from the backup's"):
        restore.restore(empty, made.path, restore.Options(True, WORDS), site.now)
    with pytest.raises(BadKey, match="12 characters"):
        backup.backup(site.home, tmp_path / "c.tar.gz", site.now, "short")


def test_guessing_a_passphrase_is_expensive() -> None:
    """Each guess takes 128 MiB, as OWASP recommends for scrypt."""
    assert 128 * COST["n"] * COST["r"] == 128 << 20


@pytest.mark.slow
def test_while_uploads_run(site: Site, tmp_path: Path) -> None:
    """Each backup made during uploads is of one moment, and verifies without findings after a restore."""
    stop = threading.Event()

    def feed() -> None:
        first = 100
        while not stop.is_set():
            site.upload(people=2, each=3, first=first)
            first += 2

    writer = threading.Thread(target=feed)
    writer.start()
    made = [backup.backup(site.home, tmp_path / f"{n}.tar.gz", site.now) for n in range(4)]
    stop.set()
    writer.join()
    counts = [each.manifest.tables["corrections"] for each in made]
    assert all(count % 6 == 0 for count in counts), "half a transaction"
    assert counts[-1] > counts[0], "nothing was uploaded in the meantime, so the test tests nothing"
    for each in made:
        restore.restore(site.home, each.path, REPLACE, site.now)
        sound(site.home, site.now)


def test_not_over_another_file_and_not_half(small: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing file is not overwritten, and a failed backup (a damaged artifact, no space) leaves no file."""
    path = tmp_path / "out" / "b.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(BadBackup, match="already exists"):
        backup.backup(small.home, path, small.now)
    path.unlink()
    monkeypatch.setattr(archive.Writer, "close", lambda *rest: Path("/dev/full").write_bytes(b"x"))
    with pytest.raises(DiskFull, match="no space for the backup"):
        backup.backup(small.home, path, small.now)
    monkeypatch.undo()
    next(small.home.artifacts.root.glob("??/*.npz")).write_bytes(b"rotten")
    with pytest.raises(ArtifactCorrupt):
        backup.backup(small.home, path, small.now)
    assert list(path.parent.iterdir()) == []


@pytest.mark.slow
def test_a_backup_killed_anywhere(small: Site, tmp_path: Path) -> None:
    """After SIGKILL at any file operation the backup's file is absent or complete."""
    path, point = tmp_path / "out" / "b.tar.gz", 0
    path.parent.mkdir()
    status = -1
    while status != 0:
        point, child = point + 1, os.fork()
        if child == 0:
            home = Home(small.home.settings, Store(small.url), small.home.artifacts)
            die_at(point, path.parent)
            backup.backup(home, path, small.now)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if path.exists():
            with path.open("rb") as file:
                archive.check(file, lambda n: None)
            path.unlink()
    assert point > 4


TEXT = st.text('aé\n\r\u2028"\\')
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
MOMENTS = st.datetimes(values.datetime(1970, 1, 1), values.datetime(9000, 1, 1), timezones=st.just(UTC))


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.tuples(st.dictionaries(st.text("k"), JSON, max_size=3), MOMENTS), max_size=5))
def test_rows_survive_a_dump_and_a_load(store: Store, bodies: list[tuple[dict[str, object], values.datetime]]) -> None:
    """A row with any text, numbers and times is restored from its line unchanged."""
    with store.exclusive() as tx, replacement.unlocked(tx):
        replacement.clear(tx)
        tx.add_all(tables.Event(kind="webhook.test", body=body, happened_at=moment) for body, moment in bodies)
        tx.flush()
        lines = list(dump.parts(tx, "events"))
        replacement.clear(tx)
        assert sum(dump.load(tx, "events", part) for part in lines) == len(bodies)
        assert list(dump.parts(tx, "events")) == lines
        found = tx.execute(select(tables.Event.body, tables.Event.happened_at).order_by(tables.Event.id)).all()
        assert [tuple(row) for row in found] == bodies
