"""Look at a published folder or server as a new device would, without installing: every root, the feed, every file."""

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
    """What a new device would believe; every channel's model was loaded and answered its golden vectors."""

    trusted: Trusted
    feed: Feed


def verify(source: Source, root: bytes, now: datetime, patience: Timeouts | None = None) -> Verified:
    """Everything that a device checks, on every channel. Raises ``FeedRefused``."""
    patience = patience or Timeouts()
    trusted = follow(source, trust.begin(root), patience)
    data = sources.read(source, FEED_FILE, document.MAX_BYTES, patience)
    trusted, feed = trust.accept(trusted, data, now)
    with tempfile.TemporaryDirectory(prefix="loop-verify-") as folder:
        for channel, release in feed.channels.items():
            install.install(source, Path(folder), channel, release, patience)
    return Verified(trusted, feed)


def follow(source: Source, trusted: Trusted, patience: Timeouts) -> Trusted:
    """Every root that the source shows after the trusted one."""
    while True:
        try:
            data = sources.read(source, root_path(trusted.root.version + 1), document.MAX_BYTES, patience)
        except Missing:
            return trusted
        trusted = trust.follow(trusted, data)
