"""Empty the outbox: take what is due, send it, write down what came of it. At least once, never knowingly twice.

No transaction is open while a message is on its way. A process killed between the answer and the writing leaves its
delivery to be sent again under the same ``webhook-id``. Events come in order to an address that answers; what was
tried in vain comes later than what was not.
"""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from loop.clock import Clock, utc_now
from loop.home import Home
from loop.store.service import hooks
from loop.store.service.hooks import Delivery, Status
from loop.webhooks import addresses, sending, signing

log = logging.getLogger(__name__)

MINUTE, HOUR = 60, 3600
RETRY_DELAYS_SECONDS = (30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 8 * HOUR, 16 * HOUR)
"""Seconds after each try in vain; eight tries in 28 hours. The first is longer than a try may last."""
JITTER = 0.2
"""Each pause is this share longer or shorter, so that many hooks of one dead server do not come back together."""

PASS_SECONDS = 30.0
"""No try of a pass is begun later: whoever calls has other things to do, and may be asked to stop."""


def deliver_due(home: Home, clock: Clock = utc_now, limit: int = 100) -> int:
    """Send what is due, oldest event first, ``limit`` tries at most; how many were taken by their address.

    An address that failed is left alone for the rest of the pass, so that a dead one costs one time limit
    (``sending.SECONDS``) and no more. Any number of processes may do this at once.
    """
    delivered, dead, end = 0, set[int](), time.monotonic() + PASS_SECONDS
    for _ in range(limit):
        if time.monotonic() > end:
            break
        with home.store.write() as tx:
            taken = hooks.take(tx, clock(), _again_at(clock), dead)
        if taken is None:
            break
        if _send(home, taken, clock):
            delivered += 1
        else:
            dead.add(taken.hook.id)
    return delivered


def deliver(home: Home, event: int, clock: Clock = utc_now) -> None:
    """Send one event now to whom it still waits for, unless another process is at it."""
    tried = set[int]()
    while True:
        with home.store.write() as tx:
            taken = hooks.take(tx, clock(), _again_at(clock), tried, event)
        if taken is None:
            return
        tried.add(taken.hook.id)
        _send(home, taken, clock)


def _send(home: Home, taken: Delivery, clock: Clock) -> bool:
    """One try, and what came of it, written down."""
    answer = _try(home, taken, clock())
    last = taken.attempts > len(RETRY_DELAYS_SECONDS) or taken.hook.removed_at is not None
    status = Status.DELIVERED if answer.taken else Status.GIVEN_UP if last else Status.WAITING
    with home.store.write() as tx:
        written = hooks.settle(tx, taken, status, answer.said, clock())
    said = {"delivery": taken.id, "hook": taken.hook.id, "kind": taken.event.kind, "attempt": taken.attempts}
    said |= {"answer": answer.said, "status": status if written else "settled by another"}
    log.log(logging.INFO if answer.taken else logging.WARNING, "webhook", extra=said)
    return answer.taken


def _try(home: Home, taken: Delivery, now: datetime) -> sending.Answer:
    if taken.hook.removed_at is not None:
        return sending.Answer(False, "the webhook was removed")
    return sending.post(
        addresses.parse(taken.hook.url),
        signing.headers(taken.hook.secret, taken.event, now),
        signing.body(taken.event),
        private=home.settings.webhooks_private,
    )


def _again_at(clock: Clock) -> Callable[[int], datetime]:
    def at(attempts: int) -> datetime:
        pause = RETRY_DELAYS_SECONDS[min(attempts, len(RETRY_DELAYS_SECONDS)) - 1]
        return clock() + timedelta(seconds=pause * secrets.SystemRandom().uniform(1 - JITTER, 1 + JITTER))

    return at
