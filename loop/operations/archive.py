"""The format of a backup: a gzipped tar of plain files. The last file, the manifest, lists the others with SHA-256.

A backup may come from anywhere, so reading follows these rules. Only plain files with names that we write are accepted,
each once and within the limit of its kind, so that no content becomes a path or exhausts memory. No content is used
before the whole file was read and compared with its manifest. Headers are read one block at a time, because
``tarfile`` would first read an extended header of any length into memory. A backup is not signed, so its origin cannot
be verified: keep it where only trusted users can write.
"""

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import IO, Any

from loop.errors import BadBackup, one_line
from loop.home.artifacts import SUFFIXES

FORMAT = 2  # 1 had no digest of the manifest itself
MANIFEST, KEYS = "manifest.json", "keys.sealed"
MIB = 1 << 20
BLOCK_BYTES, CHUNK_BYTES = tarfile.BLOCKSIZE, MIB
KINDS = {
    re.compile(r"tables/[a-z_]{1,40}/\d{8}\.jsonl"): 64 * MIB,
    re.compile(rf"artifacts/[0-9a-f]{{64}}({'|'.join(map(re.escape, sorted(SUFFIXES)))})"): 1024 * MIB,
    re.compile(re.escape(KEYS)): MIB,
    re.compile(re.escape(MANIFEST)): 256 * MIB,
}
"""The names of files that a backup may contain, with their largest size in bytes."""
MAX_MEMBERS = 1_000_000
MAX_RATIO, EXTRA_BYTES = 300, 256 * MIB
"""The unpacked size may be the file's size times the ratio, plus the extra bytes; our backups stay below 60."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the manifest: one file in the archive."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of the archive. ``tables`` counts rows; ``sequences`` are the last allocated ids, by table."""

    made_at: datetime
    schema: str
    database: str
    tables: Mapping[str, int]
    sequences: Mapping[str, int]
    members: Mapping[str, Member]


class Writer:
    """Adds files one after the other; ``close`` writes the manifest. The archive is unreadable before that."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=5, mtime=0)
        self._tar = tarfile.TarFile(fileobj=self._packed, mode="w", format=tarfile.USTAR_FORMAT)
        self.members: dict[str, Member] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add a file. Raises ``BadBackup`` if it is too large."""
        if len(data) > _max_bytes(name):
            raise BadBackup(f"{name}: expected at most {_max_bytes(name):,} bytes in a backup, got {len(data):,}")
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._tar.addfile(info, BytesIO(data))
        self.members[name] = Member(len(data), hashlib.sha256(data).hexdigest())

    def close(
        self, made_at: datetime, schema: str, database: str, tables: Mapping[str, int], sequences: Mapping[str, int]
    ) -> Manifest:
        """Write the manifest and close the file."""
        manifest = Manifest(made_at, schema, database, tables, sequences, dict(self.members))
        document = {
            "type": "digit-loop backup",
            "format": FORMAT,
            "made_at": made_at.isoformat(),
            "schema": schema,
            "database": database,
            "tables": dict(tables),
            "sequences": dict(sequences),
            "members": {name: [each.bytes, each.sha256] for name, each in self.members.items()},
        }
        self.add(MANIFEST, _text(document | {"sha256": _digest(document)}))
        self._tar.close()
        self._packed.close()
        return manifest


def check(file: IO[bytes], report: Callable[[int], None]) -> Manifest:
    """Read the archive and compare it with its manifest; ``report`` gets the bytes read. Raises ``BadBackup``."""
    members: dict[str, Member] = {}
    document = b""
    for name, pieces in _members(file):
        hashed, length = hashlib.sha256(), 0
        for piece in pieces:
            hashed.update(piece)
            length += len(piece)
            document += piece if name == MANIFEST else b""
        if MANIFEST in members:
            raise BadBackup(f"{name}: expected no file after {MANIFEST}; use another backup")
        members[name] = Member(length, hashed.hexdigest())
        report(file.tell())
    if members.pop(MANIFEST, None) is None:
        raise BadBackup(f"expected {MANIFEST} at the end: the backup is truncated, or is not ours; use another")
    manifest = _manifest(document)
    names = sorted(members.keys() | manifest.members)
    if wrong := [name for name in names if members.get(name) != manifest.members.get(name)]:
        raise BadBackup(f"{wrong[0]}: differs from the manifest ({len(wrong)} files do); use another backup")
    return manifest


def read(file: IO[bytes], manifest: Manifest, prefix: str) -> Iterator[tuple[str, bytes]]:
    """The files with this prefix, in their order, each compared with the manifest again."""
    for name, pieces in _members(file):
        if name.startswith(prefix) and name != MANIFEST:
            data = b"".join(pieces)
            if manifest.members.get(name) != Member(len(data), hashlib.sha256(data).hexdigest()):
                raise BadBackup(f"{name}: the backup changed while it was being restored; nothing was restored")
            yield name, data


def _members(file: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and bytes of every file; bytes that a caller leaves unread are skipped."""
    packed_bytes = file.seek(0, 2)
    file.seek(0)
    stream = _Bounded(gzip.GzipFile(fileobj=file, mode="rb"), packed_bytes * MAX_RATIO + EXTRA_BYTES)
    seen: set[str] = set()
    while (header := stream.take(BLOCK_BYTES)).strip(b"\0"):
        name, size = _header(header)
        if name in seen or len(seen) == MAX_MEMBERS:
            raise BadBackup(f"{name}: expected each file once, and at most {MAX_MEMBERS:,}; use another backup")
        seen.add(name)
        pieces = stream.pieces(size)
        yield name, pieces
        for _ in pieces:
            pass
        stream.take(-size % BLOCK_BYTES)


class _Bounded:
    """A stream with a limit on its unpacked length. Raises ``BadBackup``."""

    def __init__(self, stream: gzip.GzipFile, max_bytes: int) -> None:
        self._stream, self._left = stream, max_bytes

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        self._left -= size
        if self._left < 0:
            raise BadBackup("the backup unpacks to more than any of ours; use another")
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise BadBackup(f"the backup cannot be unpacked ({one_line(error)}); use another") from None
        if len(data) != size:
            raise BadBackup("the backup is truncated; use another")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """``size`` bytes, in pieces."""
        while size:
            piece = self.take(min(size, CHUNK_BYTES))
            size -= len(piece)
            yield piece


def _header(block: bytes) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise BadBackup(f"expected one of our tar files ({one_line(error)}); use another backup") from None
    if info.type != tarfile.REGTYPE:
        raise BadBackup(f"{info.name[:80]!r}: expected a plain file; nothing was restored")
    max_bytes = _max_bytes(info.name)
    if not 0 <= info.size <= max_bytes:
        raise BadBackup(f"{info.name}: expected at most {max_bytes:,} bytes, got {info.size:,}; use another backup")
    return info.name, info.size


def _max_bytes(name: str) -> int:
    for pattern, max_bytes in KINDS.items():
        if pattern.fullmatch(name):
            return max_bytes
    raise BadBackup(f"{name[:80]!r}: this name does not occur in our backups; nothing was restored")


def _manifest(document: bytes) -> Manifest:
    try:
        plain = json.loads(document)
        sha256 = plain.pop("sha256", None)
        if (plain["type"], plain["format"]) != ("digit-loop backup", FORMAT):
            raise ValueError(f"expected format {FORMAT}")
        manifest = Manifest(
            made_at=_aware(plain["made_at"]),
            schema=_typed(str, plain["schema"]),
            database=_typed(str, plain["database"]),
            tables={name: _typed(int, n) for name, n in plain["tables"].items()},
            sequences={name: _typed(int, n) for name, n in plain["sequences"].items()},
            members={
                name: Member(_typed(int, n), _typed(str, sha256)) for name, (n, sha256) in plain["members"].items()
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadBackup(f"{MANIFEST}: expected one of our manifests ({one_line(error)}); use another backup") from None
    if sha256 != _digest(plain):
        raise BadBackup(f"{MANIFEST}: differs from its own digest; use another backup")
    return manifest


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(document)).hexdigest()


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("expected a time with a time zone")
    return moment


def _typed(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
