"""The device's half of the feed, in Python: what an app does, for other clients to follow and for tests to attack.

``source`` (where files come from) → ``loop.feed.trust`` (what to believe) → ``install`` (what may run) →
``state`` (what is kept), composed in ``syncing``. The same in Swift stands in ``docs/ios/DigitLoop.swift``.
"""

from loop.feed.client.source import Folder, Missing, Server, Source, Timeouts, at
from loop.feed.client.state import Held, State
from loop.feed.client.syncing import Synced, sync

__all__ = ["Folder", "Held", "Missing", "Server", "Source", "State", "Synced", "Timeouts", "at", "sync"]
