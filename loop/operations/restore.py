"""A backup becomes the home: checked whole first, then put in place at one stroke.

Rules: nothing is touched before every byte was compared with the backup's list. Artifacts come first (they harm
nobody), then the keys, then all rows in one transaction: a restoration killed anywhere leaves the old home or the new
one. It works between the databases, too. What must never be taken back (``store.kept``) is taken over from the store
that is replaced. Numbers go on past all that were given; where the old store is lost, past a leap.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from loop.errors import BadBackup, FeedRefused, OpsError
from loop.feed import authority, document, envelope, trust
from loop.feed.layout import FEED_FILE, root_path
from loop.home import Home
from loop.intake import erasure
from loop.operations import archive, files, key_encryption
from loop.operations.archive import Manifest
from loop.operations.backup import adding
from loop.operations.exclusive import exclusive
from loop.store import schema
from loop.store.backup import carried_over, dump, replacement, sequences
from loop.store.feedback import erasures
from loop.store.nights import runs, versions
from loop.store.phones import feeds
from loop.store.service import health, key_values
from models.family import Progress, no_progress

ACTIVITY_WINDOW = timedelta(minutes=2)
"""Whoever gave a sign of life so lately is asked to stop first."""
SEQUENCE_MARGIN = {"corrections": 1_000_000, "events": 1_000_000}
"""Added to the ids that others have been told, where nobody knows which were given after the backup."""


@dataclass(frozen=True, slots=True)
class Options:
    """``replace`` a store that holds something; ``passphrase`` opens the keys in the backup, None leaves them there."""

    replace: bool = False
    passphrase: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it. ``erased`` uploads were in the backup and had been erased since."""

    made_at: datetime
    rows: Mapping[str, int]
    artifacts: int
    keys: int
    erased: int


def restore(home: Home, path: Path, wish: Options, now: datetime, progress: Progress = no_progress) -> Restored:
    """Make the home what the backup says. ``home`` may be at no revision yet (``homes.at(migrated=False)``).

    Raises ``BadBackup``, ``BadKey``, ``OpsError`` where somebody is at work or the store holds something, ``DiskFull``.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadBackup(f"{path}: expected a backup ({error.strerror})") from None
    with file, exclusive(home):
        size = path.stat().st_size
        manifest = archive.check(file, lambda read: progress("check", read, size))
        _fits(manifest)
        keys = _keys(file, manifest, wish.passphrase)
        if schema.current(home.store) is None:
            schema.migrate(home.store)
        schema.require_head(home.store)
        with home.store.read() as tx:
            _ready(tx, wish, now)
        copied = _artifacts(home, file, manifest, progress)
        key_encryption.write(authority.folder(home), keys)
        rows, erased = _rows(home, file, manifest, wish, now, progress)
    erasure.scrub(home)
    return Restored(manifest.made_at, rows, copied, len(keys), erased)


def _fits(manifest: Manifest) -> None:
    if manifest.schema != schema.head():
        raise BadBackup(
            f"the backup is of revision {manifest.schema}, this code is at {schema.head()}; restore it with the "
            "release that made it, then upgrade and `loop migrate`"
        )
    if manifest.tables.keys() != dump.tables().keys():
        raise BadBackup("the backup holds other tables than this code knows; use the release that made it")


def _ready(tx: Session, wish: Options, now: datetime) -> None:
    """Nobody works here, and nothing is there that was not meant to go."""
    if not wish.replace and not replacement.empty(tx):
        raise OpsError("this store holds something; restore into an empty home, or say --replace")
    working = [f"{each.what} {each.holder}" for each in health.beats(tx) if lives(each, now)]
    working += [f"run {run.id}" for run in health.running(tx) if runs.alive(tx, run.id, now)]
    if working:
        raise OpsError(
            f"{working[0]} is at work here; stop every `loop up`, `loop serve` and `loop schedule`, then again (one on "
            f"another machine counts until {ACTIVITY_WINDOW.seconds // 60} minutes after its last sign of life)"
        )


def lives(beat: health.Beat, now: datetime) -> bool:
    """Did the process give a sign of life lately, and is it not known to be gone?"""
    return now - beat.beat_at < ACTIVITY_WINDOW and not runs.gone(beat.holder)


def _keys(file: IO[bytes], manifest: Manifest, passphrase: str | None) -> dict[str, bytes]:
    if passphrase is None:
        return {}
    if archive.KEYS not in manifest.members:
        raise BadBackup("the backup holds no private keys; restore it without --keys")
    [(_, sealed)] = archive.read(file, manifest, archive.KEYS)
    return key_encryption.unseal(sealed, passphrase)


def _artifacts(home: Home, file: IO[bytes], manifest: Manifest, progress: Progress) -> int:
    total = sum(name.startswith("artifacts/") for name in manifest.members)
    done = 0
    for name, data in archive.read(file, manifest, "artifacts/"):
        path = Path(name)
        if home.artifacts.put(data, path.suffix) != path.stem:
            raise BadBackup(f"{name}: its bytes have another digest; use another backup")
        done += 1
        progress("artifacts", done, total)
    return done


def _rows(
    home: Home, file: IO[bytes], manifest: Manifest, wish: Options, now: datetime, progress: Progress
) -> tuple[dict[str, int], int]:
    """Everything in one transaction; rows of each table, and uploads erased anew."""
    reason = f"restored from the backup of {manifest.made_at:%Y-%m-%d %H:%M} UTC"
    with home.store.exclusive() as tx:
        with replacement.unlocked(tx):
            _ready(tx, wish, now)
            lost = replacement.empty(tx)
            old = carried_over.read(tx)
            replacement.clear(tx)
            rows = _load(tx, file, manifest, progress)
            leap = SEQUENCE_MARGIN if lost else {}
            sequences.raise_to(tx, {name: n + leap.get(name, 0) for name, n in manifest.sequences.items()})
            sequences.raise_to(tx, dict(old.last))
            carried_over.give_back(tx, old)
        erased = erasures.reapply(tx)
        key_values.put(tx, erasures.UNSCRUBBED_KEY, reason)  # what was replaced may not stay readable in SQLite's log
        _complete(tx, manifest)
        replacement.settle(tx, reason, runs.me(), max(old.number, _seen_by_phones(home, tx)), now)
    return rows, erased


def _load(tx: Session, file: IO[bytes], manifest: Manifest, progress: Progress) -> dict[str, int]:
    rows = dict.fromkeys(dump.tables(), 0)
    report = adding("rows", sum(manifest.tables.values()), progress)
    for member, part in archive.read(file, manifest, "tables/"):
        name = Path(member).parts[1]
        if name not in rows:
            raise BadBackup(f"{member}: no table of this code; use the release that made the backup")
        loaded = dump.load(tx, name, part)
        rows[name] += loaded
        report(loaded)
    if wrong := [name for name, n in rows.items() if n != manifest.tables[name]]:
        raise BadBackup(f"{wrong[0]}: expected {manifest.tables[wrong[0]]:,} rows, got {rows[wrong[0]]:,}")
    return rows


def _complete(tx: Session, manifest: Manifest) -> None:
    for name, numbers in files.named(versions.every(tx)).items():
        if name.member not in manifest.members:
            raise BadBackup(f"version {numbers[0]} names {name.digest:.12}…{name.suffix}, the backup does not hold it")


def _seen_by_phones(home: Home, tx: Session) -> int:
    """The highest version number in the published feed, if it is one of ours: phones know it, the store may not."""
    folder = home.settings.published
    try:
        signed = envelope.unseal(_document(folder / FEED_FILE))
        feed = document.parse_feed(signed.body)
    except (OSError, FeedRefused):
        return 0  # nothing there that a phone would take
    if not envelope.signers(signed, _publics(folder, [row.document for row in feeds.roots(tx)])):
        return 0
    return max((release.version for release in feed.channels.values()), default=0)


def _publics(folder: Path, chain: list[bytes]) -> dict[str, str]:
    """Every feed key of our roots, and of those in the folder that follow them: the backup may be older."""
    if not chain:
        return {}
    publics: dict[str, str] = {}
    trusted = trust.begin(chain[0])
    with suppress(OSError, FeedRefused):
        for version in count(2):
            publics |= {id_: key.public for id_, key in trusted.root.feed_keys.items()}
            known = version <= len(chain)
            trusted = trust.follow(trusted, chain[version - 1] if known else _document(folder / root_path(version)))
    return publics


def _document(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(document.MAX_BYTES + 1)
