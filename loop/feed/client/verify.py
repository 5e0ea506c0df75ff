"""Check a published folder or server as a new device would, without installing: every root, the feed, every file."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loop.feed import document, trust
from loop.feed.client import install
from loop.feed.client import source as sources
from loop.feed.client.source import Missing, Source, Timeouts
from loop.feed.document import Feed
from loop.feed.layout import FEED_FILE, root_path
from loop.feed.trust import Trusted


@dataclass(frozen=True, slots=True)
class Verified:
    """What a new device would trust. Every channel's model was loaded and reproduced its golden vectors."""

    trusted: Trusted
    feed: Feed


def verify(source: Source, root: bytes, now: datetime, timeouts: Timeouts | None = None) -> Verified:
    """Run every check of a device, on every channel. Raises ``FeedRefused``."""
    timeouts = timeouts or Timeouts()
    trusted = follow(source, trust.begin(root), timeouts)
    data = sources.read(source, FEED_FILE, document.MAX_BYTES, timeouts)
    trusted, feed = trust.accept(trusted, data, now)
    with tempfile.TemporaryDirectory(prefix="loop-verify-") as folder:
        for channel, release in feed.channels.items():
            install.install(source, Path(folder), channel, release, timeouts)
    return Verified(trusted, feed)


def follow(source: Source, trusted: Trusted, timeouts: Timeouts) -> Trusted:
    """Follow every root of the source after the trusted one."""
    while True:
        try:
            data = sources.read(source, root_path(trusted.root.version + 1), document.MAX_BYTES, timeouts)
        except Missing:
            return trusted
        trusted = trust.follow(trusted, data)
