"""The device's half of the feed, in Python: what an app does, for other clients to follow and for tests to attack.

``source`` (where files come from) → ``loop.feed.trust`` (what to believe) → ``install`` (what may run) →
``state`` (what is kept), composed in ``syncing``. The same in Swift stands in ``docs/ios/DigitLoop.swift``.
"""

from loop.device.source import Folder, Missing, Patience, Server, Source, at
from loop.device.state import Held, State
from loop.device.syncing import Synced, sync

__all__ = ["Folder", "Held", "Missing", "Patience", "Server", "Source", "State", "Synced", "at", "sync"]
