"""What a scheduler does beside nights: keep the feed true, warn before it expires, tell whoever wants to be
told, and see to it that what was erased is gone from the disk too.
"""

from loop import erasure, webhooks
from loop.feed import expiry, upkeep
from loop.home import Home
from loop.lease import Clock, utc_now
from loop.registry import Order
from loop.schedule import Chore

FEED_SECONDS, HOOK_SECONDS, SCRUB_SECONDS = 60.0, 5.0, 60.0


def of(home: Home, clock: Clock = utc_now) -> list[Chore]:
    """The chores of one home; any number of schedulers may do them."""
    order = Order(home.actor, "upkeep")
    return [
        Chore("feed upkeep", FEED_SECONDS, lambda: upkeep.follow(home, order, clock())),
        Chore("feed expiry", FEED_SECONDS, lambda: expiry.warn(home, clock())),
        Chore("webhooks", HOOK_SECONDS, lambda: webhooks.deliver_due(home, clock)),
        Chore("scrub", SCRUB_SECONDS, lambda: erasure.scrub(home)),
    ]
