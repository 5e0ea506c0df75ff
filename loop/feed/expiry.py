"""Warn once that the published feed is about to expire: its upkeep has failed for a quarter of the feed's life."""

from datetime import datetime

from loop.feed import upkeep
from loop.home import Home
from loop.store.service import messages, outbox

REMAINING_LIFE_WARNING = 1 / 4
"""The remaining share of a feed's life at which the warning is sent; ``upkeep`` renews at a half."""


def warn(home: Home, now: datetime) -> bool:
    """Record ``feed.near_expiry`` once for a feed near its end; True if recorded now. Raises ``NotPublishable``."""
    feed = upkeep.published(home)
    if feed is None or now < feed.expires - (feed.expires - feed.issued) * REMAINING_LIFE_WARNING:
        return False
    body = messages.near_expiry(feed.epoch, feed.sequence, feed.expires)
    with home.store.exclusive() as tx:
        if any(message.body == body for message in outbox.recent(tx, messages.Kind.NEAR_EXPIRY, 1)):
            return False
        outbox.record(tx, messages.Kind.NEAR_EXPIRY, body, now)
    return True
