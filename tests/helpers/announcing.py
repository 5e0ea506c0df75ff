"""Feeds in a store, signed as a publication signs them, without models or files."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loop.feed import document, envelope
from loop.feed.document import Feed, Release
from loop.store import Store, values
from loop.store.phones import feeds

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def announce(store: Store, sequence: int, rate: float, issued: datetime, versions: Iterable[int] = (1,)) -> None:
    """Sign and store a feed with this confirmation rate that names these versions."""
    channels = {
        f"{'abcdefgh'[place]}.mlmodel": Release(number, f"{number:064x}", 1, f"{number:064x}", 1, "13.0")
        for place, number in enumerate(versions)
    }
    feed = Feed(1, sequence, 1, issued, issued + timedelta(days=7), round(rate * 1e6), channels)
    data = envelope.seal(document.feed_bytes(feed), [KEY])
    with store.exclusive() as tx:
        feeds.add_entry(tx, values.FeedEntry(1, sequence, data, "tests", issued))
