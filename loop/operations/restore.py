"""Restore a home from a backup: check the backup completely, then replace the home atomically.

Rules: nothing changes before every byte was compared with the backup's manifest. Artifacts are written first (they
change nothing by themselves), then the keys, then all rows in one transaction: a kill at any point leaves the old home
or the new one. A restore also works between SQLite and PostgreSQL. What must never be undone
(``store.backup.carried_over``) is copied from the replaced store. Ids continue above all that were allocated;
if the old store is lost, above a margin.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from loop.errors import BadBackup, BadKey, FeedRefused, OpsError
from loop.feed import authority, document, envelope, trust
from loop.feed.layout import FEED_FILE, root_path
from loop.home import Home, sealing_key
from loop.home.sealing_key import KeyFile
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
from loop.store.sealing import Key
from loop.store.service import health, key_values, secrets_at_rest
from models.family import Progress, no_progress

ACTIVITY_WINDOW = timedelta(minutes=2)
"""A process with a heartbeat in this window counts as running, and must be stopped first."""
SEQUENCE_MARGIN = {"corrections": 1_000_000, "events": 1_000_000}
"""Added to ids that clients have received, if the ids allocated after the backup are unknown."""


@dataclass(frozen=True, slots=True)
class Options:
    """``replace``: allow a store that is not empty. ``passphrase`` decrypts the backup's keys; None skips the keys.

    ``forget_secrets``: the key that opens the backup's secrets is lost; forget them, as ``sealing.reset`` does.
    """

    replace: bool = False
    passphrase: str | None = None
    forget_secrets: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The result. ``erased`` counts uploads in the backup that had been erased since, and were erased again."""

    made_at: datetime
    rows: Mapping[str, int]
    artifacts: int
    keys: int
    erased: int


def restore(home: Home, path: Path, options: Options, now: datetime, progress: Progress = no_progress) -> Restored:
    """Restore the home from a backup. ``home`` may have no schema yet (``homes.at(migrated=False)``).

    Raises ``BadBackup``, ``BadKey``, ``DiskFull``, and ``OpsError`` if a process is running or the store is not empty.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadBackup(f"{path}: expected a backup ({error.strerror})") from None
    with file, exclusive(home):
        size = path.stat().st_size
        manifest = archive.check(file, lambda read: progress("check", read, size))
        _fits(manifest)
        keys = _keys(file, manifest, options.passphrase)
        if schema.current(home.store) is None:
            schema.migrate(home.store)
        schema.require_head(home.store)
        with home.store.read() as tx:
            _ready(tx, options, now)
        copied = _artifacts(home, file, manifest, progress)
        pems = {name: data for name, data in keys.items() if name != key_encryption.SEALING_KEY}
        key_encryption.write(authority.folder(home), pems)
        sealing_keys = _sealing_keys(keys)
        rows, erased = _rows(home, file, manifest, options, sealing_keys, now, progress)
    erasure.scrub(home)
    return Restored(manifest.made_at, rows, copied, len(keys), erased)


def _fits(manifest: Manifest) -> None:
    if manifest.schema != schema.head():
        raise BadBackup(
            f"expected a backup of revision {schema.head()}, got {manifest.schema}; restore it with the "
            "release that made it, then upgrade and `loop migrate`"
        )
    if manifest.tables.keys() != dump.tables().keys():
        raise BadBackup("the backup has other tables than this release; use the release that made it")


def _ready(tx: Session, options: Options, now: datetime) -> None:
    """Require that no process is running here, and that the store is empty or may be replaced."""
    if not options.replace and not replacement.empty(tx):
        raise OpsError("this store is not empty; restore into an empty home, or use --replace")
    active = [f"{each.what} {each.holder}" for each in health.beats(tx) if is_active(each, now)]
    active += [f"run {run.id}" for run in health.running(tx) if runs.alive(tx, run.id, now)]
    if active:
        raise OpsError(
            f"{active[0]} is running here; stop every `loop up`, `loop serve` and `loop schedule`, then try again (a "
            f"process on another machine counts until {ACTIVITY_WINDOW.seconds // 60} minutes after its last heartbeat)"
        )


def is_active(beat: health.Beat, now: datetime) -> bool:
    """Whether the process has a recent heartbeat and is not known to have exited."""
    return now - beat.beat_at < ACTIVITY_WINDOW and not runs.has_exited(beat.holder)


def _keys(file: IO[bytes], manifest: Manifest, passphrase: str | None) -> dict[str, bytes]:
    if passphrase is None:
        return {}
    if archive.KEYS not in manifest.members:
        raise BadBackup("the backup contains no private keys; restore it without --keys")
    [(_, sealed)] = archive.read(file, manifest, archive.KEYS)
    return key_encryption.unseal(sealed, passphrase)


def _sealing_keys(keys: Mapping[str, bytes]) -> tuple[Key, ...]:
    data = keys.get(key_encryption.SEALING_KEY)
    return () if data is None else sealing_key.parse(data.decode("ascii"), "the backup's sealing key")


def _artifacts(home: Home, file: IO[bytes], manifest: Manifest, progress: Progress) -> int:
    total = sum(name.startswith("artifacts/") for name in manifest.members)
    done = 0
    for name, data in archive.read(file, manifest, "artifacts/"):
        path = Path(name)
        if home.artifacts.put(data, path.suffix) != path.stem:
            raise BadBackup(f"{name}: its content has another digest; use another backup")
        done += 1
        progress("artifacts", done, total)
    return done


def _rows(
    home: Home,
    file: IO[bytes],
    manifest: Manifest,
    options: Options,
    sealing_keys: Sequence[Key],
    now: datetime,
    progress: Progress,
) -> tuple[dict[str, int], int]:
    """Replace all rows in one transaction; returns the rows of each table, and the uploads that were erased again."""
    reason = f"restored from the backup of {manifest.made_at:%Y-%m-%d %H:%M} UTC"
    with home.store.exclusive() as tx:
        with replacement.unlocked(tx):
            _ready(tx, options, now)
            lost = replacement.empty(tx)
            old = carried_over.read(tx)
            replacement.clear(tx)
            rows = _load(tx, file, manifest, progress)
            margin = SEQUENCE_MARGIN if lost else {}
            sequences.raise_to(tx, {name: n + margin.get(name, 0) for name, n in manifest.sequences.items()})
            sequences.raise_to(tx, dict(old.last))
            carried_over.give_back(tx, old)
        if sealing_keys:
            KeyFile(home.settings.sealing_key_file).add(sealing_keys)
        _open_secrets(tx, options, now)
        erased = erasures.reapply(tx)
        key_values.put(tx, erasures.UNSCRUBBED_KEY, reason)  # replaced rows must not stay in SQLite's log
        _complete(tx, manifest)
        replacement.settle(tx, reason, runs.me(), max(old.number, _seen_by_phones(home, tx)), now)
    return rows, erased


def _open_secrets(tx: Session, options: Options, now: datetime) -> None:
    """Raises ``BadKey`` if this machine cannot open a secret of the backup; then nothing is restored."""
    if options.forget_secrets:
        secrets_at_rest.give_up(tx, now)
    try:
        secrets_at_rest.require_open(tx)
        secrets_at_rest.seal_all(tx)
    except BadKey as error:
        raise BadKey(f"{error}, or loop restore --forget-secrets; nothing was restored") from None


def _load(tx: Session, file: IO[bytes], manifest: Manifest, progress: Progress) -> dict[str, int]:
    rows = dict.fromkeys(dump.tables(), 0)
    report = adding("rows", sum(manifest.tables.values()), progress)
    for member, part in archive.read(file, manifest, "tables/"):
        name = Path(member).parts[1]
        if name not in rows:
            raise BadBackup(f"{member}: this release has no such table; use the release that made the backup")
        loaded = dump.load(tx, name, part)
        rows[name] += loaded
        report(loaded)
    if wrong := [name for name, n in rows.items() if n != manifest.tables[name]]:
        raise BadBackup(f"{wrong[0]}: expected {manifest.tables[wrong[0]]:,} rows, got {rows[wrong[0]]:,}")
    return rows


def _complete(tx: Session, manifest: Manifest) -> None:
    for name, numbers in files.named(versions.every(tx)).items():
        if name.member not in manifest.members:
            raise BadBackup(f"the backup lacks {name.digest:.12}…{name.suffix}, which version {numbers[0]} names")


def _seen_by_phones(home: Home, tx: Session) -> int:
    """The highest version number in our published feed: phones have seen it, the restored store may not have it."""
    folder = home.settings.published
    try:
        signed = envelope.unseal(_document(folder / FEED_FILE))
        feed = document.parse_feed(signed.body)
    except (OSError, FeedRefused):
        return 0  # no phone would accept this feed
    if not envelope.signers(signed, _publics(folder, [row.document for row in feeds.roots(tx)])):
        return 0
    return max((release.version for release in feed.channels.values()), default=0)


def _publics(folder: Path, chain: list[bytes]) -> dict[str, str]:
    """Every feed key of our roots, and of newer roots in the folder, because the backup may be older."""
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
