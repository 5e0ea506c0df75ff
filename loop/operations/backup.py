"""Write a backup, one file from which the home can be restored, while everything else continues.

Rules: all rows are of one moment. Artifacts are copied after that moment, because a row never changes the file that it
names and a named file is never deleted. The finished file is read again and then renamed, so it appears complete or not
at all, and only its owner may read it. Secrets stay sealed in it. The feed's private keys and the key that opens the
secrets are included only on request, and are then encrypted. The published folder is not included: ``loop feed
publish`` writes it again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from loop import durable
from loop.errors import BadBackup, BadKey
from loop.feed import authority
from loop.home import Home, sealing_key
from loop.home.sealing_key import KeyFile
from loop.operations import archive, files, key_encryption
from loop.operations.archive import Manifest, Writer
from loop.store import schema
from loop.store.backup import dump, sequences
from loop.store.nights import versions
from models.family import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Made:
    """A finished backup."""

    path: Path
    bytes: int
    manifest: Manifest


def backup(
    home: Home, to: Path, now: datetime, passphrase: str | None = None, progress: Progress = no_progress
) -> Made:
    """Write the file; with a ``passphrase``, include the feed's private keys and the sealing key.

    Raises ``BadBackup`` if the file exists, ``BadKey``, ``ArtifactCorrupt``, ``DiskFull``.
    """
    if to.exists():
        raise BadBackup(f"{to}: already exists, and a backup is never overwritten; use another name")
    sealed = None if passphrase is None else _keys(home, passphrase)
    with durable.whole(to, 0o600, "the backup") as file:
        writer = Writer(file)
        with home.store.frozen() as tx:
            last, every = sequences.last(tx), versions.every(tx)
            counts = dump.counts(tx)
            report = adding("rows", sum(counts.values()), progress)
            rows = {name: _table(writer, tx, name, report) for name in counts}
        _artifacts(home, writer, files.named(every), progress)
        if sealed is not None:
            writer.add(archive.KEYS, sealed)
        manifest = writer.close(now, schema.head(), home.store.engine.dialect.name, rows, last)
        size = file.tell()
        archive.check(file, lambda read: progress("read again", read, size))
    return Made(to, size, manifest)


def _table(writer: Writer, tx: Session, name: str, report: Callable[[int], None]) -> int:
    count = 0
    for number, part in enumerate(dump.parts(tx, name), 1):
        writer.add(f"tables/{name}/{number:08d}.jsonl", part)
        count += (rows := part.count(b"\n"))
        report(rows)
    return count


def adding(what: str, total: int, progress: Progress) -> Callable[[int], None]:
    """A callback that reports the running sum of its arguments."""
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        progress(what, done, total)

    return report


def _artifacts(home: Home, writer: Writer, named: Mapping[files.Name, object], progress: Progress) -> None:
    for done, name in enumerate(sorted(named), 1):
        writer.add(name.member, home.artifacts.get(name.digest, name.suffix))
        progress("artifacts", done, len(named))


def _keys(home: Home, passphrase: str) -> bytes:
    key_files = key_encryption.gather(authority.folder(home))
    sealing_keys = KeyFile(home.settings.sealing_key_file).read()
    if sealing_keys:
        key_files[key_encryption.SEALING_KEY] = sealing_key.written(sealing_keys)
    if not key_files:
        raise BadKey(f"{authority.folder(home)}: no private keys here; run the backup without --keys")
    return key_encryption.seal(key_files, passphrase)
