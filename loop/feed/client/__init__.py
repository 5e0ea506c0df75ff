"""The device's half of the feed, in Python: a reference for other clients, and a target for attack tests.

``source`` (where files come from) → ``loop.feed.trust`` (what to trust) → ``install`` (what may run) →
``state`` (what is kept), composed in ``syncing``. ``clients/swift`` is the same client in Swift.
"""

from loop.feed.client.source import Folder, Missing, Server, Source, Timeouts, at
from loop.feed.client.state import Held, State
from loop.feed.client.syncing import Synced, sync

__all__ = ["Folder", "Held", "Missing", "Server", "Source", "State", "Synced", "Timeouts", "at", "sync"]
