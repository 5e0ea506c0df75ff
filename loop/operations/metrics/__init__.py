"""``/metrics``: counters of this process (``requests``), and values from the store, feed and disk (``store_metrics``).

Names and units follow Prometheus: ``loop_…``, ``_total`` for counters, ``_seconds`` and ``_bytes``. A time is a
``_timestamp_seconds``, not an age, so that a scraped value stays correct. Labels are families, versions, kinds,
outcomes and routes; never a source, a key, a path or an address. docs/operations.md states for each metric when to act.
"""

from datetime import datetime

from prometheus_client import generate_latest

from loop.home import Home
from loop.operations.metrics.requests import Requests
from loop.operations.metrics.store_metrics import StoreMetrics


class Metrics(Requests):
    """The metrics of one process and its home, in their own registry."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._store_metrics = StoreMetrics(home)

    def exposition(self, now: datetime) -> bytes:
        """All metrics as Prometheus text; without the store, its metrics are missing and ``loop_facts_up`` is 0."""
        return generate_latest(self.registry) + generate_latest(self._store_metrics.at(now))
