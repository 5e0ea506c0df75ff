"""The published feed, through the eyes of the store and of a device: every root, every signed feed, every file."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loop.errors import FeedRefused
from loop.feed import document, envelope, refusals, roots, trust
from loop.feed.document import Feed, Release
from loop.feed.layout import FEED_FILE, golden_path, model_path, root_path
from loop.feed.trust import Trusted
from loop.home import Home
from loop.operations import ledgercheck
from loop.operations.finding import Finding, broken
from loop.store import values
from loop.store.nights import ledger_chain, versions
from loop.store.phones import feeds
from models.family import Progress, no_progress

ALL_ROOTS = 1_000_000_000
PUBLISH_ADVICE = "loop feed publish --to {folder}"


@dataclass(frozen=True, slots=True)
class Examined:
    """How many roots and signed feeds the store remembers, and what is wrong."""

    roots: int
    entries: int
    findings: tuple[Finding, ...]


def examine(home: Home, lines: list[ledger_chain.Line], now: datetime, progress: Progress = no_progress) -> Examined:
    """Everything about the feed; nothing where there are no roots and nothing was published."""
    with home.store.read() as tx:
        rows, entries = feeds.roots(tx), feeds.entries(tx, ALL_ROOTS)
        digests = {version.number: version.artifact_digest for version in versions.every(tx)}
    found = []
    trusted = None
    if rows:
        try:
            trusted = roots.chain([row.document for row in rows])
        except FeedRefused as error:
            found.append(broken("feed", "a chain of roots that devices follow", str(error), ledgercheck.ADVICE))
    if trusted is not None:
        found += _remembered(rows, entries, progress)
        champions = {f"{name}.mlmodel": digests.get(n, "") for name, n in ledgercheck.champions(lines).items()}
        found += _published(home, trusted, rows, entries, champions, now)
    return Examined(len(rows), len(entries), tuple(found))


def _remembered(rows: list[values.FeedRoot], entries: list[values.FeedEntry], progress: Progress) -> Iterator[Finding]:
    """What the store says was signed was signed, by a key of ours, as what it is remembered as."""
    publics = _publics(rows)
    for done, entry in enumerate(entries, 1):
        try:
            signed = envelope.unseal(entry.document)
            feed = document.parse_feed(signed.body)
            if not envelope.signers(signed, publics):
                raise refusals.TooFewSignatures("signed by none of our keys")
            if (feed.epoch, feed.sequence) != (entry.epoch, entry.sequence):
                raise refusals.Equivocated(f"it says epoch {feed.epoch}, sequence {feed.sequence}")
        except FeedRefused as error:
            came = f"feed {entry.sequence} of epoch {entry.epoch}: {error}"
            yield broken("feed", "signed feeds as they were signed", came, ledgercheck.ADVICE)
        progress("signed feeds", done, len(entries))


def _publics(rows: list[values.FeedRoot]) -> dict[str, str]:
    """Every key that ever could sign feeds, by id."""
    every = [trust.begin(row.document).root for row in rows]
    return {id_: key.public for root in every for id_, key in root.feed_keys.items()}


def _published(
    home: Home,
    trusted: Trusted,
    rows: list[values.FeedRoot],
    entries: list[values.FeedEntry],
    champions: Mapping[str, str],
    now: datetime,
) -> Iterator[Finding]:
    folder = home.settings.published
    fix = PUBLISH_ADVICE.format(folder=folder)
    data = _bytes(folder / FEED_FILE)
    if data is None:
        if entries:
            elsewhere = f"{fix}, or say where it is published: LOOP_FEED_FOLDER"
            yield broken("feed", "the feed that was signed last", f"{folder / FEED_FILE}: missing", elsewhere)
        return
    for row in rows:
        if _bytes(folder / root_path(row.version)) != row.document:
            path = folder / root_path(row.version)
            yield broken("feed", "the store's roots", f"{path}: missing, or another root", fix)
    try:
        feed = document.parse_feed(envelope.unseal(data).body)
    except FeedRefused as error:
        yield broken("feed", "a feed", f"{folder / FEED_FILE}: {error}", fix)
        return
    yield from _refused(trusted, data, feed, now, fix)
    last = max((entry.sequence for entry in entries if entry.epoch == trusted.root.epoch), default=0)
    if feed.epoch == trusted.root.epoch and feed.sequence != last:
        came = f"{folder / FEED_FILE} has {feed.sequence:,}"
        yield broken("feed", f"sequence {last:,}, the last that the store signed", came, fix)
    named = {name: release.digest for name, release in feed.channels.items()}
    for channel in sorted(named.keys() | champions.keys()):
        if named.get(channel) != champions.get(channel):
            came = f"the feed names {named.get(channel, 'none'):.12}…"
            yield broken("feed", f"{channel}: the champion {champions.get(channel, 'none'):.12}…", came, fix)
    for release in feed.channels.values():
        yield from _files(folder, release, fix)


def _refused(trusted: Trusted, data: bytes, feed: Feed, now: datetime, fix: str) -> Iterator[Finding]:
    """What a device would say, now; and, if that is only that the time has passed, what it would have said before."""
    for moment in (now, feed.issued):
        try:
            trust.accept(trusted, data, moment)
        except FeedRefused as error:
            yield broken("feed", "a feed that devices take", str(error), fix)
            if not isinstance(error, refusals.Expired | refusals.KeyExpired):
                return
        else:
            return


def _files(folder: Path, release: Release, fix: str) -> Iterator[Finding]:
    for path, digest in (
        (folder / model_path(release.digest), release.digest),
        (folder / golden_path(release.golden_digest), release.golden_digest),
    ):
        data = _bytes(path, None)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            came = f"{path}: {'missing' if data is None else 'other bytes'}"
            yield broken("feed", f"the file that version {release.version} is", came, fix)


def _bytes(path: Path, most: int | None = document.MAX_BYTES + 1) -> bytes | None:
    """The file, or no more of it than a document may have; None if it is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read() if most is None else file.read(most)
    except OSError:
        return None
