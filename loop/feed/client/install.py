"""From a release in a trusted feed to a model that this device has run: download, verify, load, self-test.

Rules, each a function in ``CHECKS`` with one ``if``: the bytes have the digest that the feed names; the file loads; it
says that it is of the feed's family and version; it answers its golden vectors. Only then does it get a name among the
installed models, by a rename.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loop.errors import BadModel, FeedRefused
from loop.evaluation import digit_classifier, export_check
from loop.feed import canonical, refusals
from loop.feed.client import source as sources
from loop.feed.client import state as states
from loop.feed.client.source import Source, Timeouts
from loop.feed.client.state import Held
from loop.feed.document import Release
from loop.home import artifacts

GOLDEN_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Files:
    """What came for a release, before anything is believed."""

    channel: str
    release: Release
    model: bytes
    golden: bytes


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
    model = Wanted(sources.model_path(held.digest), held.digest, release.length, states.model_file(folder, held.digest))
    golden = Wanted(
        sources.golden_path(held.golden_digest),
        held.golden_digest,
        release.golden_length,
        states.golden_file(folder, held.golden_digest),
    )
    files = Files(channel, release, *(_obtain(source, folder, each, patience) for each in (model, golden)))
    partials = [(states.partial_file(folder, each.digest), each.place) for each in (golden, model)]
    try:
        for check in CHECKS:
            check(files)
    except FeedRefused:
        for partial, _ in partials:
            partial.unlink(missing_ok=True)
        raise
    for partial, place in partials:
        if partial.exists():
            _name(partial, place)
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
        file.flush()
        os.fsync(file.fileno())
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


def has_the_digest(files: Files) -> None:
    """The bytes are those that the feed names."""
    found = artifacts.digest(files.model)
    if found != files.release.digest:
        raise refusals.WrongDigest(f"model: expected {files.release.digest:.12}…, got {found:.12}…")


def golden_has_the_digest(files: Files) -> None:
    """So are the golden vectors'."""
    found = artifacts.digest(files.golden)
    if found != files.release.golden_digest:
        raise refusals.WrongDigest(f"golden vectors: expected {files.release.golden_digest:.12}…, got {found:.12}…")


def golden_is_shallow(files: Files) -> None:
    """No parser will drown in them."""
    canonical.require_shallow(files.golden, GOLDEN_DEPTH)


def loads(files: Files) -> None:
    """The runtime takes it, as a classifier of the ten digits."""
    try:
        digit_classifier.classifier(digit_classifier.load(files.model))
    except BadModel as error:
        raise refusals.DoesNotLoad(f"model: expected one that loads ({error})") from None


def is_what_the_feed_says(files: Files) -> None:
    """Family and version in the file's own description are those of the channel."""
    says = digit_classifier.load(files.model).metadata
    expected = (files.channel.partition(".")[0], str(files.release.version))
    found = (says.get("loop.family", "none"), says.get("loop.version", "none"))
    if found != expected:
        raise refusals.WrongModel(
            f"model: expected family {expected[0]}, version {expected[1]}; it says {found[0]:.20}, {found[1]:.20}"
        )


def answers_its_golden_vectors(files: Files) -> None:
    """It answers here as it answered where it was judged."""
    wrong = export_check.check_golden(files.model, files.golden)
    if wrong:
        raise refusals.SelfTestFailed(f"model: {wrong[0]}" + (f" ({len(wrong)} such)" if len(wrong) > 1 else ""))


CHECKS: tuple[Callable[[Files], None], ...] = (
    has_the_digest,
    golden_has_the_digest,
    golden_is_shallow,
    loads,
    is_what_the_feed_says,
    answers_its_golden_vectors,
)


def _name(partial: Path, path: Path) -> None:
    """Give a verified file its place; whole on disk before the state names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
