"""Events → signed HTTP calls, as the Standard Webhooks convention (standardwebhooks.com) has them.

``addresses`` says who may be called, ``signing`` what a message is, ``sending`` makes one call, ``delivery`` empties
the outbox, ``hooks`` is what operators change. Rules: at least once and never knowingly twice; whatever is tried again
keeps its ``webhook-id``; nothing of an answer counts but its status.
"""

from loop.webhooks.delivery import deliver_due

__all__ = ["deliver_due"]
