"""The scheduler's background tasks.

They keep the feed up to date, warn before it expires, deliver webhooks, remove erased data from the disk, refill the
queue of questions, and measure now and then what asking is worth.
"""

from loop import webhooks
from loop.clock import Clock, utc_now
from loop.feed import expiry, upkeep
from loop.home import Home
from loop.intake import erasure
from loop.schedule.scheduler import BackgroundTask
from loop.schedule.worth_process import WorthProcess
from loop.store.values import Attribution

FEED_INTERVAL_SECONDS, WEBHOOK_INTERVAL_SECONDS, SCRUB_INTERVAL_SECONDS = 60.0, 5.0, 60.0
QUESTIONS_INTERVAL_SECONDS, WORTH_INTERVAL_SECONDS = 600.0, 600.0


def tasks(home: Home, clock: Clock = utc_now) -> list[BackgroundTask]:
    """The background tasks of one home; any number of schedulers may run them."""
    attribution = Attribution(home.actor, "upkeep")
    worth = WorthProcess(home)
    return [
        BackgroundTask("feed upkeep", FEED_INTERVAL_SECONDS, lambda: upkeep.follow(home, attribution, clock())),
        BackgroundTask("feed expiry", FEED_INTERVAL_SECONDS, lambda: expiry.warn(home, clock())),
        BackgroundTask("webhooks", WEBHOOK_INTERVAL_SECONDS, lambda: webhooks.deliver_due(home, clock)),
        BackgroundTask("scrub", SCRUB_INTERVAL_SECONDS, lambda: erasure.scrub(home)),
        BackgroundTask("questions", QUESTIONS_INTERVAL_SECONDS, lambda: _questions(home, clock)),
        BackgroundTask("worth of asking", WORTH_INTERVAL_SECONDS, lambda: worth.follow(clock())),
    ]


def _questions(home: Home, clock: Clock) -> None:
    from loop.asking import upkeep as asking  # here, because it loads NumPy and the Core ML runtime

    asking.refill(home, home.settings.schedule.family, clock())
