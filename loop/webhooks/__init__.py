"""Deliver events as signed HTTP calls, following the Standard Webhooks convention (standardwebhooks.com).

``addresses`` decides which addresses may be called, ``signing`` builds messages, ``sending`` makes one call,
``delivery`` empties the outbox, and operators change ``hooks``. Rules: an event is sent at least once and never
knowingly twice. A retry keeps its ``webhook-id``. Of an answer only the status counts.
"""

from loop.webhooks.delivery import deliver_due

__all__ = ["deliver_due"]
