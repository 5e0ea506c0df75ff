"""Remove expired rows and unused files: ``loop gc``.

Rules: a file that a version names is never removed. A night writes its files before the row that names them, and does
not write a file that already exists, so age alone would not protect such a file. Therefore files are removed a few at a
time, inside an ``exclusive`` transaction that has checked that no run is alive: no night can start before it ends, and
a run that has ended cannot register anything. Runs with a dead process are ended first, as the next night would do. The
deletions are independent, so a kill at any point leaves the rest intact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from loop.errors import NotPublishable
from loop.feed import authority, upkeep
from loop.feed.document import Feed
from loop.feed.layout import golden_path, model_path
from loop.home import Home
from loop.home.artifacts import DIGEST
from loop.night import answers
from loop.operations import files
from loop.operations.exclusive import exclusive
from loop.store import values
from loop.store.nights import runs, versions
from loop.store.phones import feeds
from loop.store.service import expired_rows, health
from models.family import Progress, no_progress

FILES_PER_TRANSACTION = 100
"""Removing so many files takes milliseconds, during which other writers wait."""
UNFINISHED_GRACE = timedelta(hours=1)
"""An unfinished file of this age has no writer any more."""
MINIMUM_AGES = {"replays": timedelta(days=30)}
"""The minimum age of removed rows, for any options: the API promises to remember idempotency keys this long."""


@dataclass(frozen=True, slots=True)
class Options:
    """``days``: age of removed rows and logs. ``grace_hours``: age of removed artifacts. ``dry_run``: only count."""

    days: float = 30
    grace_hours: float = 24
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed of one kind (or would be), and ``why`` the rest remains. Rows have no bytes."""

    what: str
    count: int
    bytes: int | None = None
    why: str = ""


def sweep(home: Home, options: Options, now: datetime, progress: Progress = no_progress) -> list[Swept]:
    """Remove what may go. Raises ``OpsError`` while another ``gc`` or ``restore`` runs, and ``StoreUnavailable``."""
    before = now - timedelta(days=options.days)
    with exclusive(home):
        swept = [
            _files("unfinished files", _unfinished(home, now - UNFINISHED_GRACE), options),
            _artifacts(home, options, now, progress),
            _published(home, options),
            _files("answers of versions that no night compares with", _unasked(home), options),
            _files("logs of old runs", _older((home.settings.home / "logs").glob("*.log"), before), options),
        ]
        swept += [
            _rows(home, what, min(before, now - MINIMUM_AGES.get(what, timedelta())), options, progress)
            for what in expired_rows.EXPIRED
        ]
    return swept


def _unfinished(home: Home, before: datetime) -> list[Path]:
    places = {home.settings.home, home.settings.published, authority.folder(home)}
    return _older({path for place in places for path in files.unfinished(place)}, before)


def _artifacts(home: Home, options: Options, now: datetime, progress: Progress) -> Swept:
    """Artifacts that no version names."""
    what, before = "artifacts that no version names", now - timedelta(hours=options.grace_hours)
    if not options.dry_run:
        with home.store.exclusive() as tx:  # committed before a file is removed: a reaped run cannot publish
            runs.reap(tx, now)
    paths = dict(files.stored(home.artifacts))
    old = set(_older(paths.values(), before))
    candidates = sorted(name for name, path in paths.items() if path in old)
    count = size = 0
    for begin in range(0, len(candidates), FILES_PER_TRANSACTION):
        with home.store.read() if options.dry_run else home.store.exclusive() as tx:
            if (running := _running(tx, options, now)) is not None:
                return Swept(what, count, size, f"run {running.id} is under way; the rest is left for the next time")
            named = files.named(versions.every(tx))
            unnamed = [paths[name] for name in candidates[begin : begin + FILES_PER_TRANSACTION] if name not in named]
            done = _files(what, unnamed, options)
        count, size = count + done.count, size + (done.bytes or 0)
        progress(what, min(begin + FILES_PER_TRANSACTION, len(candidates)), len(candidates))
    return Swept(what, count, size)


def _running(tx: Session, options: Options, now: datetime) -> health.Running | None:
    """The run that has not ended; a dry run ignores runs with a dead process."""
    unfinished = health.running(tx)
    return next((run for run in unfinished if not options.dry_run or runs.alive(tx, run.id, now)), None)


def _published(home: Home, options: Options) -> Swept:
    what = "published files of withdrawn models"
    try:
        return _files(what, _withdrawn(home, upkeep.published(home)), options)
    except NotPublishable as error:  # the files that such a feed names are unknown
        return Swept(what, 0, 0, str(error))


def _unasked(home: Home) -> list[Path]:
    """Kept answers of versions that are neither their family's champion nor its base."""
    with home.store.read() as tx:
        families = {version.family for version in versions.every(tx)}
        asked = [version for family in families for version in versions.champion_and_base(tx, family)]
    kept = {version.artifact_digest for version in asked if version is not None}
    return sorted(
        path for path in answers.folder(home).glob("*") if DIGEST.fullmatch(path.name) and path.name not in kept
    )


def _withdrawn(home: Home, feed: Feed | None) -> Iterator[Path]:
    """Files of withdrawn models, apart from those that the feed or another version names."""
    with home.store.read() as tx:
        withdrawn = {each.version for each in feeds.withdrawn(tx)}
        every = versions.every(tx)
    kept = {path for version in every if version.number not in withdrawn for path in _paths(version)}
    if feed is not None:
        for release in feed.channels.values():
            kept |= {model_path(release.digest), golden_path(release.golden_digest)}
    unwanted = {path for version in every if version.number in withdrawn for path in _paths(version)}
    for path in sorted(unwanted - kept):
        yield home.settings.published / path


def _paths(version: values.Version) -> set[str]:
    return {model_path(version.artifact_digest), golden_path(version.golden_digest)}


def _rows(home: Home, what: str, before: datetime, options: Options, progress: Progress) -> Swept:
    with home.store.read() as tx:
        total = expired_rows.count(tx, what, before)
    count = 0
    while not options.dry_run:
        with home.store.write() as tx:
            done = expired_rows.drop(tx, what, before)
        if done == 0:
            break
        count += done
        progress(what, count, max(count, total))
    return Swept(what, total if options.dry_run else count)


def _files(what: str, paths: Iterable[Path], options: Options) -> Swept:
    count = size = 0
    for path in paths:
        try:
            length = path.stat().st_size
            if not options.dry_run:
                path.unlink()
        except FileNotFoundError:  # never published, or removed in the meantime
            continue
        count, size = count + 1, size + length
    return Swept(what, count, size)


def _older(paths: Iterable[Path], before: datetime) -> list[Path]:
    """The files that were last written before this time."""
    return sorted(path for path in paths if _written(path) < before.timestamp())


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
