"""Check the published feed against the store and as a device would: every root, every signed feed, every file."""

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
from loop.operations import ledger_check
from loop.operations.finding import Finding, broken
from loop.store import values
from loop.store.nights import ledger_chain, versions
from loop.store.phones import feeds
from models.family import Progress, no_progress

ALL_ROOTS = 1_000_000_000
PUBLISH_ADVICE = "loop feed publish --to {folder}"


@dataclass(frozen=True, slots=True)
class Examined:
    """The numbers of roots and signed feeds in the store, and the findings."""

    roots: int
    entries: int
    findings: tuple[Finding, ...]


def examine(home: Home, lines: list[ledger_chain.Line], now: datetime, progress: Progress = no_progress) -> Examined:
    """Check the feed. Without roots and without a published feed, it finds nothing."""
    with home.store.read() as tx:
        rows, entries = feeds.roots(tx), feeds.entries(tx, ALL_ROOTS)
        digests = {version.number: version.artifact_digest for version in versions.every(tx)}
    findings = []
    trusted = None
    if rows:
        try:
            trusted = roots.chain([row.document for row in rows])
        except FeedRefused as error:
            findings.append(broken("feed", "a chain of roots that devices follow", str(error), ledger_check.ADVICE))
    if trusted is not None:
        findings += _stored(rows, entries, progress)
        champions = {f"{name}.mlmodel": digests.get(n, "") for name, n in ledger_check.champions(lines).items()}
        findings += _published(home, trusted, rows, entries, champions, now)
    return Examined(len(rows), len(entries), tuple(findings))


def _stored(rows: list[values.FeedRoot], entries: list[values.FeedEntry], progress: Progress) -> Iterator[Finding]:
    """Each feed in the store is signed by one of our keys and has the epoch and sequence of its row."""
    publics = _publics(rows)
    for done, entry in enumerate(entries, 1):
        try:
            signed = envelope.unseal(entry.document)
            feed = document.parse_feed(signed.body)
            if not envelope.signers(signed, publics):
                raise refusals.TooFewSignatures("not signed by our keys")
            if (feed.epoch, feed.sequence) != (entry.epoch, entry.sequence):
                raise refusals.Equivocated(f"the signed document has epoch {feed.epoch}, sequence {feed.sequence}")
        except FeedRefused as error:
            actual = f"feed {entry.sequence} of epoch {entry.epoch}: {error}"
            yield broken("feed", "signed feeds that match their rows", actual, ledger_check.ADVICE)
        progress("signed feeds", done, len(entries))


def _publics(rows: list[values.FeedRoot]) -> dict[str, str]:
    """Every key that any root certified for feeds, by id."""
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
            elsewhere = f"{fix}, or set LOOP_FEED_FOLDER to the published folder"
            yield broken("feed", "the last signed feed", f"{folder / FEED_FILE}: missing", elsewhere)
        return
    for row in rows:
        if _bytes(folder / root_path(row.version)) != row.document:
            path = folder / root_path(row.version)
            yield broken("feed", "the store's roots", f"{path}: missing or different", fix)
    try:
        feed = document.parse_feed(envelope.unseal(data).body)
    except FeedRefused as error:
        yield broken("feed", "a feed", f"{folder / FEED_FILE}: {error}", fix)
        return
    yield from _refused(trusted, data, feed, now, fix)
    last = max((entry.sequence for entry in entries if entry.epoch == trusted.root.epoch), default=0)
    if feed.epoch == trusted.root.epoch and feed.sequence != last:
        actual = f"{folder / FEED_FILE} has {feed.sequence:,}"
        yield broken("feed", f"sequence {last:,}, the last that the store signed", actual, fix)
    named = {name: release.digest for name, release in feed.channels.items()}
    for channel in sorted(named.keys() | champions.keys()):
        if named.get(channel) != champions.get(channel):
            actual = f"the feed names {named.get(channel, 'none'):.12}…"
            yield broken("feed", f"{channel}: the champion {champions.get(channel, 'none'):.12}…", actual, fix)
    for release in feed.channels.values():
        yield from _files(folder, release, fix)


def _refused(trusted: Trusted, data: bytes, feed: Feed, now: datetime, fix: str) -> Iterator[Finding]:
    """Why a device refuses the feed now, and, if it has only expired, why a device refused it when it was issued."""
    for moment in (now, feed.issued):
        try:
            trust.accept(trusted, data, moment)
        except FeedRefused as error:
            yield broken("feed", "a feed that devices accept", str(error), fix)
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
            actual = f"{path}: {'missing' if data is None else 'other bytes'}"
            yield broken("feed", f"the file of version {release.version}", actual, fix)


def _bytes(path: Path, max_bytes: int | None = document.MAX_BYTES + 1) -> bytes | None:
    """The file, up to ``max_bytes``; None if it does not exist or cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read() if max_bytes is None else file.read(max_bytes)
    except OSError:
        return None
