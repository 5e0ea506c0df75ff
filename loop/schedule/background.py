"""What a scheduler does beside nights: keep the feed true, warn before it expires, tell whoever wants to be
told, and see to it that what was erased is gone from the disk too.
"""

from loop import webhooks
from loop.clock import Clock, utc_now
from loop.feed import expiry, upkeep
from loop.home import Home
from loop.intake import erasure
from loop.schedule.scheduler import BackgroundTask
from loop.store.values import Attribution

FEED_INTERVAL_SECONDS, WEBHOOK_INTERVAL_SECONDS, SCRUB_INTERVAL_SECONDS = 60.0, 5.0, 60.0


def tasks(home: Home, clock: Clock = utc_now) -> list[BackgroundTask]:
    """The chores of one home; any number of schedulers may do them."""
    order = Attribution(home.actor, "upkeep")
    return [
        BackgroundTask("feed upkeep", FEED_INTERVAL_SECONDS, lambda: upkeep.follow(home, order, clock())),
        BackgroundTask("feed expiry", FEED_INTERVAL_SECONDS, lambda: expiry.warn(home, clock())),
        BackgroundTask("webhooks", WEBHOOK_INTERVAL_SECONDS, lambda: webhooks.deliver_due(home, clock)),
        BackgroundTask("scrub", SCRUB_INTERVAL_SECONDS, lambda: erasure.scrub(home)),
    ]
