"""What lies about and may go: ``loop gc``.

Rules: nothing that a version names is ever touched. A night writes its files before the row that names them, and a file
that is there already is not written again: age alone would not protect it. So files go only inside an ``exclusive``
transaction that has seen that no run lives, a few at a time: no night can begin before it ends, and one that was not
running can register nothing. Runs whose process is gone are ended first, as the next night would end them. Each
deletion stands for itself: killed anywhere, what is left is whole.
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
from loop.operations import files
from loop.operations.exclusive import exclusive
from loop.store import values
from loop.store.nights import runs, versions
from loop.store.phones import feeds
from loop.store.service import expired_rows, health
from models.family import Progress, no_progress

ROWS_LISTED = 100
"""Files a transaction: milliseconds, for which writers wait."""
UPLOAD_GRACE = timedelta(hours=1)
"""A file that was not written to for so long has no writer any more."""
MINIMUM_AGES = {"replays": timedelta(days=30)}
"""Rows that stay for so long whatever is wished: the API has promised to know a key again."""


@dataclass(frozen=True, slots=True)
class Options:
    """``days`` for rows and logs; ``grace_hours`` for artifacts; ``dry_run`` only counts."""

    days: float = 30
    grace_hours: float = 24
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """One kind of litter: how much of it went (or would go); ``why`` it was left, if it was. Rows have no bytes."""

    what: str
    count: int
    bytes: int | None = None
    why: str = ""


def sweep(home: Home, wish: Options, now: datetime, progress: Progress = no_progress) -> list[Swept]:
    """Tidy up. Raises ``OpsError`` while another is at it, ``StoreUnavailable``."""
    before = now - timedelta(days=wish.days)
    with exclusive(home):
        swept = [
            _files("unfinished files", _unfinished(home, now - UPLOAD_GRACE), wish),
            _artifacts(home, wish, now, progress),
            _published(home, wish),
            _files("logs of old runs", _older((home.settings.home / "logs").glob("*.log"), before), wish),
        ]
        swept += [
            _rows(home, what, min(before, now - MINIMUM_AGES.get(what, timedelta())), wish, progress)
            for what in expired_rows.EXPIRED
        ]
    return swept


def _unfinished(home: Home, before: datetime) -> list[Path]:
    places = {home.settings.home, home.settings.published, authority.folder(home)}
    return _older({path for place in places for path in files.unfinished(place)}, before)


def _artifacts(home: Home, wish: Options, now: datetime, progress: Progress) -> Swept:
    """Artifacts that no version names."""
    what, before = "artifacts that no version names", now - timedelta(hours=wish.grace_hours)
    if not wish.dry_run:
        with home.store.exclusive() as tx:  # for good, before a file goes: what was reaped can publish nothing
            runs.reap(tx, now)
    lying = dict(files.lying(home.artifacts))
    old = set(_older(lying.values(), before))
    candidates = sorted(name for name, path in lying.items() if path in old)
    count = size = 0
    for begin in range(0, len(candidates), ROWS_LISTED):
        with home.store.read() if wish.dry_run else home.store.exclusive() as tx:
            if (living := _living(tx, wish, now)) is not None:
                return Swept(what, count, size, f"run {living.id} is under way; the rest waits for the next time")
            named = files.named(versions.every(tx))
            nobodys = [lying[name] for name in candidates[begin : begin + ROWS_LISTED] if name not in named]
            done = _files(what, nobodys, wish)
        count, size = count + done.count, size + (done.bytes or 0)
        progress(what, min(begin + ROWS_LISTED, len(candidates)), len(candidates))
    return Swept(what, count, size)


def _living(tx: Session, wish: Options, now: datetime) -> health.Running | None:
    """The run that has not ended; whoever only counts passes over those whose process is gone."""
    running = health.running(tx)
    return next((run for run in running if not wish.dry_run or runs.alive(tx, run.id, now)), None)


def _published(home: Home, wish: Options) -> Swept:
    what = "published files of withdrawn models"
    try:
        return _files(what, _withdrawn(home, upkeep.published(home)), wish)
    except NotPublishable as error:  # who knows what such a feed names
        return Swept(what, 0, 0, str(error))


def _withdrawn(home: Home, feed: Feed | None) -> Iterator[Path]:
    """Models that may not run any longer, and their vectors; never a file that the feed or another version names."""
    with home.store.read() as tx:
        withdrawn = {each.version for each in feeds.withdrawn(tx)}
        every = versions.every(tx)
    kept = {path for version in every if version.number not in withdrawn for path in _paths(version)}
    if feed is not None:
        for release in feed.channels.values():
            kept |= {model_path(release.digest), golden_path(release.golden_digest)}
    gone = {path for version in every if version.number in withdrawn for path in _paths(version)}
    for path in sorted(gone - kept):
        yield home.settings.published / path


def _paths(version: values.Version) -> set[str]:
    return {model_path(version.artifact_digest), golden_path(version.golden_digest)}


def _rows(home: Home, what: str, before: datetime, wish: Options, progress: Progress) -> Swept:
    with home.store.read() as tx:
        total = expired_rows.count(tx, what, before)
    count = 0
    while not wish.dry_run:
        with home.store.write() as tx:
            done = expired_rows.drop(tx, what, before)
        if done == 0:
            break
        count += done
        progress(what, count, max(count, total))
    return Swept(what, total if wish.dry_run else count)


def _files(what: str, paths: Iterable[Path], wish: Options) -> Swept:
    count = size = 0
    for path in paths:
        try:
            length = path.stat().st_size
            if not wish.dry_run:
                path.unlink()
        except FileNotFoundError:  # never published, or gone meanwhile
            continue
        count, size = count + 1, size + length
    return Swept(what, count, size)


def _older(paths: Iterable[Path], before: datetime) -> list[Path]:
    """Those that were written last before then."""
    return sorted(path for path in paths if _written(path) < before.timestamp())


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
