"""From a release in a trusted feed to a model that this device has run: download, verify, load, self-test.

A file that passes ``feed.checks`` gets a name among the installed models, by a rename; before that it has none.
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
class Wanted:
    """A file to have: where it comes from, what it must be, where it belongs."""

    path: str
    digest: str
    length: int
    place: Path


def install(source: Source, folder: Path, channel: str, release: Release, patience: Timeouts) -> Held:
    """Fetch what is missing, try it, and put it among the installed models. Raises ``FeedRefused``, ``DiskFull``."""
    held = Held(release.version, release.digest, release.golden_digest)
    model = Wanted(layout.model_path(held.digest), held.digest, release.length, states.model_file(folder, held.digest))
    golden = Wanted(
        layout.golden_path(held.golden_digest),
        held.golden_digest,
        release.golden_length,
        states.golden_file(folder, held.golden_digest),
    )
    files = checks.Files(channel, release, *(_obtain(source, folder, each, patience) for each in (model, golden)))
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


def _obtain(source: Source, folder: Path, wanted: Wanted, patience: Timeouts) -> bytes:
    """A file's bytes: those that are installed, as after a rollback, else those that come; not yet believed."""
    if wanted.place.is_file() and artifacts.digest(data := wanted.place.read_bytes()) == wanted.digest:
        return data
    partial = states.partial_file(folder, wanted.digest)
    download(source, wanted.path, wanted.length, partial, patience)
    return partial.read_bytes()


def download(source: Source, path: str, length: int, partial: Path, patience: Timeouts) -> None:
    """Bring a file to ``length`` bytes in ``partial``, going on where an earlier download ended.

    Raises ``TooLong`` at the first byte too many (nothing is kept), ``Truncated`` when the source ends early and
    ``Unavailable`` or ``TooSlow`` when it fails (what came is kept).
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
        for piece in patience.timed(_at_most(pieces, length - start, path, partial)):
            file.write(piece)
        durable.sync_file(file)
        came = file.tell()
    if came < length:
        raise refusals.Truncated(f"{path}: expected {length:,} bytes, got {came:,}; the next sync goes on from there")


def _at_most(pieces: Iterator[bytes], room: int, path: str, partial: Path) -> Iterator[bytes]:
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            partial.unlink()
            raise refusals.TooLong(f"{path}: expected {-room:,} bytes less than came so far")
        yield piece
