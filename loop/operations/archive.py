"""The file of a backup: a gzipped tar of plain files, the last of which lists all others with length and SHA-256.

Rules for reading, for the file may come from anywhere: only plain files of the names that we write, each once and no
longer than its kind may be, so that nothing in it becomes a path or fills the memory; nothing is used before the whole
file was read and compared with its list. Headers are read one block at a time (``tarfile`` would first collect what an
extended header promises). Whether the backup is ours nobody can tell: it is not signed, keep it where nobody writes.
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

FORMAT = 1
MANIFEST, KEYS = "manifest.json", "keys.sealed"
MIB = 1 << 20
BLOCK, CHUNK = tarfile.BLOCKSIZE, MIB
KINDS = {
    re.compile(r"tables/[a-z_]{1,40}/\d{8}\.jsonl"): 64 * MIB,
    re.compile(rf"artifacts/[0-9a-f]{{64}}({'|'.join(map(re.escape, sorted(SUFFIXES)))})"): 1024 * MIB,
    re.compile(re.escape(KEYS)): MIB,
    re.compile(re.escape(MANIFEST)): 256 * MIB,
}
"""What may be in a backup, and how long it may be."""
MAX_MEMBERS = 1_000_000
"""Files."""
RATIO, FREE = 300, 256 * MIB
"""What is unpacked may be so many times as long as the file, and so much more; what we write stays below 60 times."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive, as the manifest lists it."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the archive holds. ``tables`` counts rows; ``sequences`` are the last ids given, by table."""

    made_at: datetime
    schema: str
    database: str
    tables: Mapping[str, int]
    sequences: Mapping[str, int]
    members: Mapping[str, Member]


class Writer:
    """Adds files one after the other; ``close`` writes the manifest. Nothing is readable before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=5, mtime=0)
        self._tar = tarfile.TarFile(fileobj=self._packed, mode="w", format=tarfile.USTAR_FORMAT)
        self.members: dict[str, Member] = {}

    def add(self, name: str, data: bytes) -> None:
        """One more file."""
        if len(data) > _most(name):
            raise BadBackup(f"{name}: {len(data):,} bytes, a backup takes at most {_most(name):,}")
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._tar.addfile(info, BytesIO(data))
        self.members[name] = Member(len(data), hashlib.sha256(data).hexdigest())

    def close(
        self, made_at: datetime, schema: str, database: str, tables: Mapping[str, int], sequences: Mapping[str, int]
    ) -> Manifest:
        """Write the list and end the file."""
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
        self.add(MANIFEST, json.dumps(document, indent=1, sort_keys=True).encode())
        self._tar.close()
        self._packed.close()
        return manifest


def check(file: IO[bytes], report: Callable[[int], None]) -> Manifest:
    """Read the whole archive and compare it with its list; ``report`` hears the bytes read. Raises ``BadBackup``."""
    found: dict[str, Member] = {}
    document = b""
    for name, pieces in _members(file):
        hashed, length = hashlib.sha256(), 0
        for piece in pieces:
            hashed.update(piece)
            length += len(piece)
            document += piece if name == MANIFEST else b""
        if MANIFEST in found:
            raise BadBackup(f"{name}: comes after the list of what the backup holds; use another backup")
        found[name] = Member(length, hashed.hexdigest())
        report(file.tell())
    if found.pop(MANIFEST, None) is None:
        raise BadBackup(f"no {MANIFEST} at its end: the backup is cut off, or none of ours; use another")
    manifest = _manifest(document)
    names = sorted(found.keys() | manifest.members)
    if wrong := [name for name in names if found.get(name) != manifest.members.get(name)]:
        raise BadBackup(f"{wrong[0]}: not as the backup's list says ({len(wrong)} such files); use another backup")
    return manifest


def read(file: IO[bytes], manifest: Manifest, prefix: str) -> Iterator[tuple[str, bytes]]:
    """The files whose names begin so, in their order, each compared with the list once more."""
    for name, pieces in _members(file):
        if name.startswith(prefix) and name != MANIFEST:
            data = b"".join(pieces)
            if manifest.members.get(name) != Member(len(data), hashlib.sha256(data).hexdigest()):
                raise BadBackup(f"{name}: changed while it was being restored; nothing was kept of it")
            yield name, data


def _members(file: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and bytes of every file; what a caller leaves unread is skipped."""
    packed = file.seek(0, 2)
    file.seek(0)
    stream = _Bounded(gzip.GzipFile(fileobj=file, mode="rb"), packed * RATIO + FREE)
    seen: set[str] = set()
    while (header := stream.take(BLOCK)).strip(b"\0"):
        name, size = _header(header)
        if name in seen or len(seen) == MAX_MEMBERS:
            raise BadBackup(f"{name}: a second time, or one file too many; use another backup")
        seen.add(name)
        pieces = stream.pieces(size)
        yield name, pieces
        for _ in pieces:
            pass
        stream.take(-size % BLOCK)


class _Bounded:
    """A stream that ends where it would have to, not where it likes. Raises ``BadBackup``."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream, self._left = stream, most

    def take(self, size: int) -> bytes:
        """Just so many bytes."""
        self._left -= size
        if self._left < 0:
            raise BadBackup("the backup unpacks to more than any that we write; use another")
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise BadBackup(f"the backup cannot be unpacked ({one_line(error)}); use another") from None
        if len(data) != size:
            raise BadBackup("the backup is cut off; use another")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """So many bytes, in pieces."""
        while size:
            piece = self.take(min(size, CHUNK))
            size -= len(piece)
            yield piece


def _header(block: bytes) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise BadBackup(f"not a tar file of ours ({one_line(error)}); use another backup") from None
    if info.type != tarfile.REGTYPE:
        raise BadBackup(f"{info.name[:80]!r}: not a plain file; nothing of this backup was used")
    if not 0 <= info.size <= _most(info.name):
        raise BadBackup(f"{info.name}: {info.size:,} bytes, expected at most {_most(info.name):,}; use another backup")
    return info.name, info.size


def _most(name: str) -> int:
    for pattern, most in KINDS.items():
        if pattern.fullmatch(name):
            return most
    raise BadBackup(f"{name[:80]!r}: not a name that we write into a backup; nothing of it was used")


def _manifest(document: bytes) -> Manifest:
    try:
        found = json.loads(document)
        if (found["type"], found["format"]) != ("digit-loop backup", FORMAT):
            raise ValueError(f"expected format {FORMAT}")
        return Manifest(
            made_at=_aware(found["made_at"]),
            schema=_is(str, found["schema"]),
            database=_is(str, found["database"]),
            tables={name: _is(int, n) for name, n in found["tables"].items()},
            sequences={name: _is(int, n) for name, n in found["sequences"].items()},
            members={name: Member(_is(int, n), _is(str, sha256)) for name, (n, sha256) in found["members"].items()},
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadBackup(f"{MANIFEST}: not a list of ours ({one_line(error)}); use another backup") from None


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _is(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
