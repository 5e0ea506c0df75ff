"""A malicious backup is refused before anything changes."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loop.clock import utc_now
from loop.errors import BadBackup, LoopError
from loop.home.artifacts import digest
from loop.operations import archive, backup, restore
from tests.operations.conftest import Site
from tests.operations.test_backup import REPLACE, rows

Members = list[tuple[tarfile.TarInfo, bytes]]


def members(data: bytes) -> Members:
    """The files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return [(info, tar.extractfile(info).read()) for info in tar.getmembers()]  # type: ignore[union-attr]  # files


def packed(files: Members, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=form) as tar:
        for info, data in files:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return file.getvalue()


def listed(files: Members) -> Members:
    """The same files with a matching manifest, because an attacker can write one."""
    document = json.loads(files[-1][1])
    document["members"] = {info.name: [len(data), digest(data)] for info, data in files[:-1]}
    return [*files[:-1], plain("manifest.json", json.dumps(document).encode())]


def plain(name: str, data: bytes = b"x", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    """One file for an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data


def with_(*extra: tuple[tarfile.TarInfo, bytes]) -> Callable[[Members], bytes]:
    """The archive with additional files."""
    return lambda files: packed(listed([*extra, *files]))


def changed(prefix: str, change: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    """The archive with the first file of this prefix changed, and a matching manifest."""

    def made(files: Members) -> bytes:
        at = next(i for i, (info, _) in enumerate(files) if info.name.startswith(prefix))
        files[at] = plain(files[at][0].name, change(files[at][1]))
        return packed(listed(files))

    return made


def manifest(change: Callable[[dict[str, object]], object]) -> Callable[[Members], bytes]:
    """The archive with a changed manifest."""

    def made(files: Members) -> bytes:
        document = json.loads(files[-1][1])
        change(document)
        return packed([*files[:-1], plain("manifest.json", json.dumps(document).encode())])

    return made


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
NAME = f"artifacts/{'a' * 64}.npz"
ATTACKS: dict[str, Callable[[Members], bytes]] = {
    "a path upwards": with_(plain("../../etc/cron.d/x")),
    "a path upwards among the artifacts": with_(plain(f"artifacts/../{'a' * 64}.npz")),
    "an absolute path": with_(plain("/etc/cron.d/x")),
    "a symbolic link": with_(plain(NAME, b"", **LINK)),
    "a hard link": with_(plain(NAME, b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "a device": with_(plain(NAME, b"", type=tarfile.CHRTYPE, devmajor=1, devminor=8)),
    "a pipe": with_(plain(NAME, b"", type=tarfile.FIFOTYPE)),
    "a folder": with_(plain("tables", b"", type=tarfile.DIRTYPE)),
    "a long name that tarfile would read into memory": lambda files: packed(
        [plain("tables/" + "x" * 300), *files], tarfile.GNU_FORMAT
    ),
    "an extended header": lambda files: packed([plain("é" * 80), *files], tarfile.PAX_FORMAT),
    "a file that we do not write": with_(plain("loop.toml", b"home = '/'")),
    "an unknown table": with_(plain("tables/sqlite_master/00000001.jsonl", b"{}\n")),
    "the same file twice": lambda files: packed(listed([files[0], *files])),
    "a wrong digest": lambda files: packed([plain(files[0][0].name, b"other"), *files[1:]]),
    "an artifact under another's name": with_(plain(NAME, b"other content")),
    "a file that the manifest lacks": lambda files: packed([plain(NAME), *files]),
    "a missing file": lambda files: packed(files[1:]),
    "a file after the manifest": lambda files: packed([*files, plain(NAME)]),
    "no list": lambda files: packed(files[:-1]),
    "a missing artifact that a row names": lambda files: packed(
        listed([each for each in files if not each[0].name.endswith(".mlmodel")])
    ),
    "a row too many": changed("tables/facts", lambda data: data + b'{"key":"x","value":"y"}\n'),
    "a row with a column too many": changed("tables/facts", lambda data: data.replace(b'"value"', b'"x":1,"value"')),
    "a row of another type": changed("tables/sources", lambda data: data.replace(b'"id":1', b'"id":"1"')),
    "a row that breaks the schema": changed("tables/sources", lambda data: data.replace(b'"train"', b'"judge"')),
    "a row that refers to a missing row": changed("tables/corrections", lambda d: d.replace(b'_id":1', b'_id":77')),
    "noise instead of rows": changed("tables/versions", lambda data: b"\xff\x00{" * 10),
    "deeply nested rows": changed("tables/versions", lambda data: b"[" * 100_000 + b"\n"),
    "another schema": manifest(lambda found: found.update(schema="0002")),
    "another format": manifest(lambda found: found.update(format=3)),
    "a manifest of the wrong type": manifest(lambda found: found.update(members=[])),
    "a time without a zone": manifest(lambda found: found.update(made_at="2026-01-01T00:00:00")),
    "rows that are not numbers": manifest(lambda found: found.update(tables={"facts": "1"})),
    "cut off": lambda files: packed(files)[:-200],
    "not gzip": lambda files: b"PK" + packed(files),
    "not tar": lambda files: gzip.compress(b"hello" * 1000),
    "empty": lambda files: b"",
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_refused(small: Site, tmp_path: Path, attack: str) -> None:
    """The attack is refused in one line; no row changes, and no file appears outside the artifacts."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    before = rows(small.home)
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(ATTACKS[attack](members(made.path.read_bytes())))
    there = {path for path in tmp_path.rglob("*") if "artifacts" not in path.parts}
    with pytest.raises(BadBackup) as caught:
        restore.restore(small.home, bad, REPLACE, small.now)
    assert "\n" not in str(caught.value)
    assert rows(small.home) == before
    new = {path for path in tmp_path.rglob("*") if "artifacts" not in path.parts} - there
    assert {path.name for path in new} <= {".operations.lock"}


def test_the_control(small: Site, tmp_path: Path) -> None:
    """Control: an archive that is unpacked and packed again without an attack is accepted."""
    made = backup.backup(small.home, tmp_path / "b.tar.gz", small.now)
    again = tmp_path / "again.tar.gz"
    again.write_bytes(packed(listed(members(made.path.read_bytes()))))
    assert restore.restore(small.home, again, REPLACE, small.now).rows["versions"] == 2


@pytest.mark.slow
def test_false_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header with a size of terabytes, and zeros that unpack without end, are refused within megabytes."""
    info = tarfile.TarInfo("tables/facts/00000001.jsonl")
    info.size = 1 << 40
    header = info.tobuf(tarfile.GNU_FORMAT)
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb") as file:
        file.write(header)
    with bomb.open("rb") as read, pytest.raises(BadBackup, match="expected at most"):
        archive.check(read, lambda n: None)
    monkeypatch.setattr(archive, "EXTRA_BYTES", 1 << 20)
    info.name, info.size = NAME, 900 << 20
    with gzip.open(bomb, "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(40):
            file.write(bytes(1 << 20))
    with bomb.open("rb") as read, pytest.raises(BadBackup, match="unpacks to more"):
        archive.check(read, lambda n: None)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup's bytes."""
    folder = tmp_path_factory.mktemp("sample")
    site = Site(f"sqlite:///{folder / 'loop.db'}", folder, utc_now())
    site.live()
    return backup.backup(site.home, folder / "b.tar.gz", site.now).path.read_bytes()


@pytest.mark.slow
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), where=st.sampled_from(["packed", "inside"]))
def test_any_change_is_found(sample: bytes, tmp_path: Path, seed: int, where: str) -> None:
    """A backup with one changed byte, packed or unpacked, or with a truncated end is never accepted as different."""
    chance = random.Random(seed)  # noqa: S311 (a test: no secret)
    data = bytearray(sample if where == "packed" else gzip.decompress(sample))
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    else:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(bytes(data) if where == "packed" else gzip.compress(bytes(data), 1))
    with (tmp_path / "x.tar.gz").open("rb") as file:
        try:
            manifest = archive.check(file, lambda n: None)
        except LoopError:
            return
    with io.BytesIO(sample) as original:
        assert manifest == archive.check(original, lambda n: None)  # padding, a header's own checksum-free field
