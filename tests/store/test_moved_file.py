"""SQLite's file is private, and nothing is acknowledged once it is no longer the file at its path."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from loop import access
from loop import home as homes
from loop.clock import utc_now
from loop.errors import StoreUnavailable
from loop.feed import authority
from loop.home.settings import Settings
from loop.operations import backup
from loop.operations.checks import Installation, machine
from loop.store import Store, schema, tables
from loop.store.feedback import split
from loop.store.service import key_values
from loop.store.service.keys import Role
from loop.store.values import Attribution
from tests.api.conftest import opened, serving

READ_ALL = """
import os, sys
from pathlib import Path
os.setuid(65534)
opened = []
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            Path(folder, name).open("rb").close()
            opened.append(name)
        except OSError:
            pass
for path in sys.argv[2:]:
    try:
        Path(path).open("rb").close()
        opened.append(path)
    except OSError:
        pass
print(opened)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A migrated SQLite store in a file."""
    store = Store(f"sqlite:///{tmp_path / 'home' / 'loop.db'}")
    schema.migrate(store)
    return store


def put(store: Store, text: str) -> None:
    """Write one row."""
    with store.write() as tx:
        key_values.put(tx, "test", text)


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_commit_into_a_file_that_is_gone_is_refused(store: Store, tmp_path: Path, how: str) -> None:
    """The error states what happened; after the file is back at its path, writes are accepted again."""
    put(store, "before")
    file, aside = tmp_path / "home" / "loop.db", tmp_path / "aside.db"
    file.rename(aside)
    if how == "replaced":
        file.write_bytes(aside.read_bytes())
    if how == "removed":
        aside.rename(tmp_path / "deleted")
    with pytest.raises(StoreUnavailable, match="moved, removed or replaced"):
        put(store, "lost")
    (aside if aside.exists() else tmp_path / "deleted").rename(file)
    put(store, "after")
    with store.read() as tx:
        assert key_values.get(tx, "test") == "after"


@pytest.mark.slow
def test_a_server_acknowledges_nothing_without_its_home(tmp_path: Path) -> None:
    """503 for every upload and for ``/readyz``, and no row more, after the folder with the database was moved."""
    home = opened(f"sqlite:///{tmp_path / 'data' / 'loop.db'}", tmp_path / "home")
    with serving(home) as server:
        phone = server.phone()
        assert server.send(phone, 1).status_code == 201
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        answers = [server.send(phone, seed).status_code for seed in range(2, 12)]
        assert set(answers) == {503}
        (tmp_path / "elsewhere").rename(tmp_path / "data")
        assert server.send(phone, 99).status_code == 201
    with home.store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(tables.Correction)) == 2


def test_readiness_is_a_write(tmp_path: Path) -> None:
    """``/readyz`` answers 503 while the store cannot be written to, and 200 again afterwards."""
    home = opened(f"sqlite:///{tmp_path / 'data' / 'loop.db'}", tmp_path / "home")
    with serving(home) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("loop.api.heartbeat.PROOF_SECONDS", 0.0)
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        (tmp_path / "elsewhere").rename(tmp_path / "data")
        assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.slow
def test_another_user_opens_no_file(tmp_path: Path) -> None:
    """Of a fresh home and its backup nothing can be read by another local user, whatever the umask."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.owner() == "root" and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    before = os.umask(0)
    try:
        settings = Settings(home=tmp_path / "home")
        home = homes.at(settings, migrated=False)
        homes.migrate(home)
        with home.store.write() as tx:
            split.set_salt(tx)  # which makes the sealing key, as `loop init` does
        authority.create(home, 3, 2, 365, None, Attribution("ops", "a reason"), utc_now())
        access.create(home, "the app", Role.APP, actor="ops", now=utc_now())
        home.artifacts.put(b"model", ".mlmodel")
        backup.backup(home, tmp_path / "loop.backup", utc_now())
    finally:
        os.umask(before)
    secret = [settings.sealing_key_file, *authority.folder(home).glob("*.pem")]
    assert len(secret) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").glob("loop.db*")} == {0o600}
    assert list(machine.private(Installation(home, utc_now()))) == []
    named = [tmp_path / "home" / "loop.db", *secret]
    command = [sys.executable, "-c", READ_ALL, str(tmp_path), *map(str, named)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_doctor_names_a_home_that_others_can_read(tmp_path: Path) -> None:
    """A warning for each path, with the command that closes it."""
    home = homes.at(Settings(home=tmp_path / "home"), migrated=False)
    schema.migrate(home.store)
    (tmp_path / "home").chmod(0o755)
    (tmp_path / "home" / "loop.db").chmod(0o644)
    findings = list(machine.private(Installation(home, utc_now())))
    assert [finding.fix for finding in findings] == [
        f"chmod 700 {tmp_path / 'home'}",
        f"chmod 600 {tmp_path / 'home' / 'loop.db'}",
    ]
