"""``/metrics``: what this process did (``requests``), and what the store, the feed and the disk say (``facts``).

Names and units follow Prometheus: ``loop_…``, ``_total`` for counters, ``_seconds`` and ``_bytes``; a moment is a
``_timestamp_seconds``, so that a scrape never goes stale by itself. Labels are families, versions, kinds, outcomes and
routes; never a source, a key, a path or an address. docs/operations.md says of each metric when to worry.
"""

from datetime import datetime

from prometheus_client import generate_latest

from loop.home import Home
from loop.operations.metrics.requests import Requests
from loop.operations.metrics.store_metrics import StoreMetrics


class Metrics(Requests):
    """The metrics of one process and its home; a registry of its own, so that two do not share one."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._facts = StoreMetrics(home)

    def exposition(self, now: datetime) -> bytes:
        """All of it as Prometheus's text. A store that does not answer costs its facts; ``loop_facts_up`` says so."""
        return generate_latest(self.registry) + generate_latest(self._facts.at(now))
