"""A disk that fills up during uploads, and gets free space again, under both databases."""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from loop.errors import DiskFull
from loop.intake import Receipt
from loop.intake.group_commit import GroupCommit
from loop.store import Store, schema, tables
from tests.intake.test_group_commit import each, home_of, stored, upload, writing


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of this many MiB, accessible to the database's user."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if not mount or not unmount or os.geteuid() != 0:
        pytest.skip("a full disk needs the right to mount a small one (root)")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "disk"
        folder.mkdir()
        Path(made).chmod(0o755)
        command = [mount, "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here ({done.stderr.strip()})")
        yield folder
        subprocess.run([unmount, "-l", str(folder)], check=True)


def fill(commits: GroupCommit, acknowledged: list[int]) -> None:
    """Upload in tens until the disk is full; the acknowledged ids."""
    for start in range(0, 20_000, 10):
        answers = asyncio.run(each(commits, [upload(i) for i in range(start, start + 10)]))
        acknowledged += [answer.id for answer in answers if isinstance(answer, Receipt)]


def filled_and_emptied(store: Store, ballast: Path, folder: Path) -> None:
    """On a full disk callers get an error and acknowledged uploads stay; with free space again a retry is stored."""
    acknowledged: list[int] = []
    with writing(home_of(store, folder)) as commits:
        with pytest.raises(DiskFull, match="free some space"):
            fill(commits, acknowledged)
        assert len(acknowledged) > 50
        with pytest.raises(DiskFull):
            asyncio.run(commits.submit([upload(len(acknowledged) + i) for i in range(100)]))
        assert stored(store) == len(acknowledged)
        ballast.unlink()
        answers = asyncio.run(each(commits, [upload(i) for i in range(len(acknowledged) + 40)]))
    again = [answer.replayed for answer in answers if isinstance(answer, Receipt)]
    assert again == [True] * len(acknowledged) + [False] * 40
    with store.read() as tx:
        assert set(acknowledged) <= set(tx.scalars(select(tables.Correction.id)))


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [3, 6], indirect=True)  # full while the WAL grows; and while it is copied back
def test_sqlite(small_disk: Path, tmp_path: Path) -> None:
    """SQLite: the whole database is on the disk that fills up."""
    store = Store(f"sqlite:///{small_disk / 'loop.db'}")
    schema.migrate(store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900_000))
    filled_and_emptied(store, ballast, tmp_path)
    with store.read() as tx:
        assert tx.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    store.close()


@pytest.mark.parametrize("small_disk", [3], indirect=True)
def test_postgresql(small_disk: Path, postgres: str, tmp_path: Path) -> None:
    """PostgreSQL: the uploads are in a tablespace on the disk that fills up."""
    store, space = Store(postgres), f"loop_small_{secrets.token_hex(4)}"
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        data = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar()))
        if not data.is_dir():
            pytest.skip("PostgreSQL runs elsewhere: its disk cannot be filled from here")
        shutil.chown(small_disk, data.stat().st_uid, data.stat().st_gid)
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        connection.exec_driver_sql(f"CREATE TABLESPACE {space} LOCATION '{small_disk}'")
        try:
            schema.migrate(store)
            connection.exec_driver_sql(f"ALTER TABLE corrections SET TABLESPACE {space}")
            ballast = small_disk / "ballast"
            ballast.write_bytes(bytes(900_000))
            filled_and_emptied(store, ballast, tmp_path)
        finally:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            connection.exec_driver_sql(f"DROP TABLESPACE {space}")
    store.close()
