"""Install a release of a trusted feed: download it, verify it, load it and run its self-test.

A file becomes an installed model by a rename, after it has passed ``feed.checks``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loop import durable
from loop.errors import FeedRefused
from loop.feed import checks, layout, refusals
from loop.feed.client import state as states
from loop.feed.client.source import Source, Timeouts
from loop.feed.client.state import Held
from loop.feed.document import Release
from loop.home import artifacts


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download: its path at the source, its digest and length, and its final place."""

    path: str
    digest: str
    length: int
    place: Path


def install(source: Source, folder: Path, channel: str, release: Release, timeouts: Timeouts) -> Held:
    """Download missing files, check them and install them. Raises ``FeedRefused``, ``DiskFull``."""
    held = Held(release.version, release.digest, release.golden_digest)
    model = Download(
        layout.model_path(held.digest), held.digest, release.length, states.model_file(folder, held.digest)
    )
    golden = Download(
        layout.golden_path(held.golden_digest),
        held.golden_digest,
        release.golden_length,
        states.golden_file(folder, held.golden_digest),
    )
    files = checks.Files(channel, release, *(_fetch(source, folder, each, timeouts) for each in (model, golden)))
    partials = [(states.partial_file(folder, each.digest), each.place) for each in (golden, model)]
    try:
        checks.check(files)
    except FeedRefused:
        for partial, _ in partials:
            partial.unlink(missing_ok=True)
        raise
    for partial, place in partials:
        if partial.exists():
            durable.rename(partial, place)
    return held


def _fetch(source: Source, folder: Path, file: Download, timeouts: Timeouts) -> bytes:
    """A file's bytes, not yet checked: the installed file if there is one, as after a rollback, else a download."""
    if file.place.is_file() and artifacts.digest(data := file.place.read_bytes()) == file.digest:
        return data
    partial = states.partial_file(folder, file.digest)
    download(source, file.path, file.length, partial, timeouts)
    return partial.read_bytes()


def download(source: Source, path: str, length: int, partial: Path, timeouts: Timeouts) -> None:
    """Download a file of ``length`` bytes to ``partial``, resuming an earlier download.

    Raises ``TooLong`` at the first byte too many (nothing is kept), ``Truncated`` if the source ends early, and
    ``Unavailable`` or ``TooSlow`` if it fails (received bytes are kept).
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    if have > length:
        partial.unlink()
        have = 0
    if have == length:
        return
    with source.open(path, have) as (start, pieces), partial.open("r+b" if have else "wb") as file:
        file.seek(start)
        file.truncate()
        for piece in timeouts.timed(_at_most(pieces, length - start, path, partial)):
            file.write(piece)
        durable.sync_file(file)
        received = file.tell()
    if received < length:
        raise refusals.Truncated(f"{path}: expected {length:,} bytes, got {received:,}; the next sync resumes there")


def _at_most(pieces: Iterator[bytes], room: int, path: str, partial: Path) -> Iterator[bytes]:
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            partial.unlink()
            raise refusals.TooLong(f"{path}: got at least {-room:,} bytes more than expected")
        yield piece
