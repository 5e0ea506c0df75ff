"""What operators change: add an address, take it away, ask for a test."""

from collections.abc import Sequence
from datetime import datetime

from loop import events
from loop.errors import BadHook
from loop.events import Kind
from loop.home import Home
from loop.lease import Clock, utc_now
from loop.store import events as outbox
from loop.store import hooks
from loop.store.hooks import Delivery, Hook
from loop.webhooks import addresses, delivery, signing

CHOICE = tuple(kind for kind in Kind if kind is not Kind.TEST)
MOST = 50
"""Hooks at a time: every event is written once more for each."""


def add(home: Home, url: str, kinds: Sequence[str], actor: str, now: datetime) -> Hook:
    """Tell an address of these kinds of event (none given: of all). The answer holds the secret, to be shown this once.

    Raises ``BadHook`` for an address that may not be called or does not resolve.
    """
    unknown = sorted(set(kinds) - set(CHOICE))
    if unknown:
        raise BadHook(f"expected kinds among {', '.join(CHOICE)}; got {unknown[0][:40]!r}")
    addresses.permitted(addresses.parse(url), private=home.settings.webhooks_private)
    wanted = [kind for kind in CHOICE if kind in kinds or not kinds]
    with home.store.exclusive() as tx:
        if len(hooks.live(tx)) >= MOST:
            raise BadHook(f"expected at most {MOST} webhooks; `loop webhooks remove` one first")
        return hooks.add(tx, url, signing.secret(), wanted, actor, now)


def remove(home: Home, hook: int, now: datetime) -> None:
    """Tell it nothing more. Raises ``BadHook``."""
    with home.store.write() as tx:
        hooks.remove(tx, hook, now)


def ping(home: Home, hook: int, actor: str, clock: Clock = utc_now) -> Delivery:
    """Send a ``webhook.test`` to one hook now, on the way that every event takes. Raises ``BadHook``."""
    with home.store.write() as tx:
        found = hooks.get(tx, hook)
        event = outbox.record_for(tx, Kind.TEST, events.test(actor), [found.id], clock())
    delivery.deliver(home, event.id, clock)
    with home.store.read() as tx:
        return next(each for each in hooks.deliveries(tx, found.id) if each.event.id == event.id)
