"""Empty the outbox: take due deliveries, send them, record the results. At least once, never knowingly twice.

No transaction is open during a call. If a process is killed between the answer and the record, the delivery is sent
again with the same ``webhook-id``. Events arrive in order at an address that answers; a retried event arrives after
later ones.
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
"""The delay after each failed attempt: eight attempts in 28 hours. The first delay is longer than a call may take."""
JITTER = 0.2
"""Each delay is longer or shorter by up to this share, so that many hooks of one dead server spread their retries."""

PASS_SECONDS = 30.0
"""A pass starts no attempt after this time, because its caller has other tasks and may have to stop."""


def deliver_due(home: Home, clock: Clock = utc_now, limit: int = 100) -> int:
    """Send due deliveries, oldest event first, up to ``limit`` attempts; returns the number of accepted ones.

    An address that fails is skipped for the rest of the pass, so a dead one costs one timeout
    (``sending.TIMEOUT_SECONDS``). Any number of processes may do this at once.
    """
    delivered, dead, end = 0, set[int](), time.monotonic() + PASS_SECONDS
    for _ in range(limit):
        if time.monotonic() > end:
            break
        with home.store.write() as tx:
            taken = hooks.take(tx, clock(), _retry_at(clock), dead)
        if taken is None:
            break
        if _send(home, taken, clock):
            delivered += 1
        else:
            dead.add(taken.hook.id)
    return delivered


def deliver(home: Home, event: int, clock: Clock = utc_now) -> None:
    """Send one event now to every hook that still waits for it, unless another process is sending it."""
    tried = set[int]()
    while True:
        with home.store.write() as tx:
            taken = hooks.take(tx, clock(), _retry_at(clock), tried, event)
        if taken is None:
            return
        tried.add(taken.hook.id)
        _send(home, taken, clock)


def _send(home: Home, taken: Delivery, clock: Clock) -> bool:
    """Make one attempt and record its result; returns whether it was accepted."""
    answer = _attempt(home, taken, clock())
    last = taken.attempts > len(RETRY_DELAYS_SECONDS) or taken.hook.removed_at is not None
    status = Status.DELIVERED if answer.accepted else Status.GIVEN_UP if last else Status.WAITING
    with home.store.write() as tx:
        written = hooks.settle(tx, taken, status, answer.text, clock())
    fields = {"delivery": taken.id, "hook": taken.hook.id, "kind": taken.event.kind, "attempt": taken.attempts}
    fields |= {"answer": answer.text, "status": status if written else "settled by another"}
    log.log(logging.INFO if answer.accepted else logging.WARNING, "webhook", extra=fields)
    return answer.accepted


def _attempt(home: Home, taken: Delivery, now: datetime) -> sending.Answer:
    if taken.hook.removed_at is not None:
        return sending.Answer(False, "the webhook was removed")
    return sending.post(
        addresses.parse(taken.hook.url),
        signing.headers(taken.hook.secret, taken.event, now),
        signing.body(taken.event),
        private=home.settings.webhooks_private,
    )


def _retry_at(clock: Clock) -> Callable[[int], datetime]:
    def at(attempts: int) -> datetime:
        delay = RETRY_DELAYS_SECONDS[min(attempts, len(RETRY_DELAYS_SECONDS)) - 1]
        return clock() + timedelta(seconds=delay * secrets.SystemRandom().uniform(1 - JITTER, 1 + JITTER))

    return at
