"""Add, remove and test webhooks, for operators."""

from collections.abc import Sequence
from datetime import datetime

from loop.clock import Clock, utc_now
from loop.errors import BadHook
from loop.home import Home
from loop.store.service import hooks, messages, outbox
from loop.store.service.hooks import Delivery, Hook
from loop.store.service.messages import Kind
from loop.webhooks import addresses, delivery, signing

SUBSCRIBABLE_KINDS = tuple(kind for kind in Kind if kind is not Kind.TEST)
MAX_HOOKS = 50
"""The limit of webhooks: each adds one row per event."""


def add(home: Home, url: str, kinds: Sequence[str], actor: str, now: datetime) -> Hook:
    """Send events of these kinds (default: all) to an address. The result contains the secret, to be shown only once.

    Raises ``BadHook`` for an address that may not be called or does not resolve.
    """
    unknown = sorted(set(kinds) - set(SUBSCRIBABLE_KINDS))
    if unknown:
        raise BadHook(f"expected kinds among {', '.join(SUBSCRIBABLE_KINDS)}; got {unknown[0][:40]!r}")
    addresses.permitted(addresses.parse(url), private=home.settings.webhooks_private)
    subscribed = [kind for kind in SUBSCRIBABLE_KINDS if kind in kinds or not kinds]
    with home.store.exclusive() as tx:
        if len(hooks.live(tx)) >= MAX_HOOKS:
            raise BadHook(f"expected at most {MAX_HOOKS} webhooks; run `loop webhooks remove` first")
        return hooks.add(tx, url, signing.secret(), subscribed, actor, now)


def remove(home: Home, hook: int, now: datetime) -> None:
    """Send no more events to a hook. Raises ``BadHook``."""
    with home.store.write() as tx:
        hooks.remove(tx, hook, now)


def ping(home: Home, hook: int, actor: str, clock: Clock = utc_now) -> Delivery:
    """Send a ``webhook.test`` to one hook now, through the same code as every event. Raises ``BadHook``."""
    with home.store.write() as tx:
        target = hooks.get(tx, hook)
        event = outbox.record_for(tx, Kind.TEST, messages.test(actor), [target.id], clock())
    delivery.deliver(home, event.id, clock)
    with home.store.read() as tx:
        return next(each for each in hooks.deliveries(tx, target.id) if each.event.id == event.id)
