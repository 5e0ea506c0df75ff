"""Metrics of the store, the feed and the disk, queried at a scrape and cached for a while.

A slow query runs less often: no query takes more than a hundredth of the time, for a store of any size, and a scrape
does not wait for it. So any scrape rate is safe, even if an attacker floods the route.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from loop.errors import LoopError
from loop.feed import upkeep
from loop.home import Home
from loop.schedule import slots
from loop.store import values
from loop.store.feedback import live_accuracy, weighing
from loop.store.feedback import live_scores as scored
from loop.store.nights import slots as stored
from loop.store.service import health, hooks, metric_counts
from loop.store.service.hooks import Status
from loop.store.values import RunStatus

log = logging.getLogger(__name__)
T = TypeVar("T")
QUERY_TIME_SHARE = 0.01
SCRAPE_WAIT_SECONDS = 1.5
"""Prometheus allows a scrape ten seconds by default, and a scrape makes five queries."""
CACHE_SECONDS, SLOW_CACHE_SECONDS = 15.0, 60.0
RUN_ENDS = (RunStatus.FINISHED, RunStatus.SKIPPED, RunStatus.FAILED)
MAX_VERSIONS = 20
"""Only the newest versions get a label."""
MAX_COUNTED = 10_000
"""Uploads that no night has used yet are counted up to this."""


class Unanswered(LoopError):
    """The query is still running; a later scrape gets its result."""


@dataclass(slots=True)
class Cached(Generic[T]):
    """A query with a result that is cached for ``seconds``, or longer if the query is slow.

    It runs in its own thread. A caller waits up to ``SCRAPE_WAIT_SECONDS``, then gets the last result.
    """

    query: Callable[[], T]
    seconds: float
    _outcome: T | Exception = field(default_factory=lambda: Unanswered("the first query is still running"))
    _due: float = 0.0
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self) -> T:
        """The result. Raises the query's exception, or ``Unanswered``."""
        with self._lock:
            if self._thread is None and time.monotonic() >= self._due:
                self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                self._thread.start()
            thread = self._thread
        if thread is not None:
            thread.join(SCRAPE_WAIT_SECONDS)
        outcome = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._outcome = self.query()
        except Exception as error:  # noqa: BLE001 (get() raises it in the caller's thread)
            self._outcome = error
        ended = time.monotonic()
        rest = 0.0 if isinstance(self._outcome, Exception) else max(self.seconds, (ended - begun) / QUERY_TIME_SHARE)
        with self._lock:
            self._due, self._thread = ended + rest, None


class StoreMetrics:
    """The metrics of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._queries = {
            "store": Cached(self._store, CACHE_SECONDS),
            "uploads": Cached(self._uploads, CACHE_SECONDS),
            "feed": Cached(self._feed, CACHE_SECONDS),
            "disk": Cached(self._disk, SLOW_CACHE_SECONDS),
            "accuracy": Cached(self._accuracy, SLOW_CACHE_SECONDS),
        }

    def at(self, now: datetime) -> CollectorRegistry:
        """A registry of every available metric."""
        metrics: list[Metric] = [_gauge("loop_scrape_timestamp_seconds", "This process's clock.", now.timestamp())]
        up = GaugeMetricFamily("loop_facts_up", "1 if the query succeeded; 0: see the log.", labels=["about"])
        for about, query in self._queries.items():
            try:
                metrics += query.get()
            except LoopError as error:
                log.warning("metrics about the %s are missing: %s", about, error)
                up.add_metric([about], 0)
            else:
                up.add_metric([about], 1)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*metrics, up]))
        return registry

    def _store(self) -> list[Metric]:
        family, paused = self._home.settings.schedule.family, slots.paused(self._home) is not None
        with self._home.store.read() as tx:
            metrics = [
                *_nights(family, metric_counts.nights(tx)),
                _verdicts(metric_counts.verdicts(tx)),
                *_champions(metric_counts.champions(tx)),
            ]
            queued, oldest = hooks.queue(tx)
            running = len(health.running(tx))
            backlog, fresh = scored.backlog(tx), stored.fresh(tx, family, MAX_COUNTED)
            beats = {beat.what: beat.beat_at.timestamp() for beat in reversed(health.beats(tx))}
        metrics += [
            _gauge("loop_runs_running", "Runs under way.", running),
            _gauge("loop_paused", "1 while the loop is paused.", paused),
            _gauge("loop_arrivals_waiting", "Uploads that the champion has not scored yet.", backlog),
            _gauge("loop_uploads_untaught", f"Accepted since the last snapshot; counted to {MAX_COUNTED}.", fresh),
            _each("loop_webhook_deliveries", "Deliveries by status.", "status", _all(Status, queued)),
            _each("loop_beat_timestamp_seconds", "Last heartbeat, by process.", "what", beats.items()),
        ]
        if oldest is not None:
            waits = oldest.timestamp()
            metrics.append(_gauge("loop_webhook_oldest_timestamp_seconds", "The oldest event that waits.", waits))
        return metrics

    def _uploads(self) -> list[Metric]:
        with self._home.store.read() as tx:
            counts = _all(values.Status, metric_counts.uploads(tx))
        return [_each("loop_uploads", "Stored uploads by status.", "status", counts)]

    def _feed(self) -> list[Metric]:
        feed = upkeep.published(self._home)
        if feed is None:
            return []
        return [
            _gauge("loop_feed_sequence", "The published feed's sequence.", feed.sequence),
            _gauge("loop_feed_issued_timestamp_seconds", "When the feed was signed.", feed.issued.timestamp()),
            _gauge("loop_feed_expires_timestamp_seconds", "When the feed expires.", feed.expires.timestamp()),
            _gauge("loop_feed_withdrawn", "Models that no device may run.", len(feed.withdrawn)),
        ]

    def _disk(self) -> list[Metric]:
        home = self._home.settings.home
        try:
            free, size = shutil.disk_usage(home).free, sum(_sizes(self._home.artifacts.root))
        except OSError as error:
            raise LoopError(f"{home}: expected a folder that can be read ({error.strerror})") from None
        return [
            _gauge("loop_artifacts_bytes", "Size of models, weights and reports.", size),
            _gauge("loop_disk_free_bytes", "Free space on the disk of LOOP_HOME.", free),
        ]

    def _accuracy(self) -> list[Metric]:
        with self._home.store.read() as tx:
            least_rate = weighing.least_announced(tx, self._home.settings.confirm_rate)
            estimates = live_accuracy.live(tx, least_rate)[: 2 * MAX_VERSIONS]
            aside = weighing.counts(tx, least_rate)
        labels = ["version", "how"]
        accuracy = GaugeMetricFamily(
            "loop_live_accuracy_ratio", "Accuracy for users; each upload weighs 1/rate.", labels=labels
        )
        low = GaugeMetricFamily("loop_live_accuracy_low_ratio", "Lower end of its 95 % interval.", labels=labels)
        uploads = GaugeMetricFamily("loop_live_accuracy_uploads", "Uploads in the estimate.", labels=labels)
        sources = GaugeMetricFamily("loop_live_accuracy_sources", "Sources in the estimate.", labels=labels)
        for one in estimates:
            for metric, value in ((accuracy, one.accuracy), (low, one.low), (uploads, one.n), (sources, one.sources)):
                metric.add_metric([str(one.version), one.how], value)
        set_aside = _each("loop_uploads_set_aside", "Accepted uploads that are never weighed.", "reason", aside.items())
        return [accuracy, low, uploads, sources, set_aside]


@dataclass(frozen=True, slots=True, eq=False)
class _Collected(Collector):
    """A collector of existing metrics."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        """Every metric."""
        return self.metrics


def _nights(scheduled: str, counts: list[metric_counts.Nights]) -> list[Metric]:
    labels = ["family", "status"]
    count = CounterMetricFamily("loop_nights", "Nights that ended, by status.", labels=labels)
    ended = GaugeMetricFamily("loop_night_ended_timestamp_seconds", "End of the last such night.", labels=labels)
    took = GaugeMetricFamily("loop_night_duration_seconds", "Duration of the last such night.", labels=labels)
    known = {(nights.family, nights.status) for nights in counts}
    for status in RUN_ENDS:
        if (scheduled, status) not in known:
            count.add_metric([scheduled, status], 0)
    for nights in counts:
        which = [nights.family, nights.status]
        count.add_metric(which, nights.count)
        ended.add_metric(which, nights.ended.timestamp())
        took.add_metric(which, (nights.ended - nights.began).total_seconds())
    return [count, ended, took]


def _verdicts(counts: dict[tuple[str, str, str], int]) -> Metric:
    metric = CounterMetricFamily("loop_verdicts", "Verdicts by outcome.", labels=["family", "question", "outcome"])
    for key, count in counts.items():
        metric.add_metric([*key], count)
    return metric


def _champions(champions: list[metric_counts.Champion]) -> list[Metric]:
    version = GaugeMetricFamily("loop_champion_version", "The version that phones should run.", labels=["family"])
    since = GaugeMetricFamily("loop_champion_since_timestamp_seconds", "When it became champion.", labels=["family"])
    for champion in champions:
        version.add_metric([champion.family], champion.version)
        since.add_metric([champion.family], champion.since.timestamp())
    return [version, since]


def _all(kinds: type[StrEnum], counts: Mapping[Any, int]) -> list[tuple[str, float]]:
    """A count for each kind, 0 if it never occurred: an absent series would hide the first increase."""
    return [(kind, counts.get(kind, 0)) for kind in kinds]


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _each(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    metric = GaugeMetricFamily(name, about, labels=[label])
    for which, value in values:
        metric.add_metric([which], value)
    return metric


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of each file below a folder; a file that is removed in the meantime is skipped."""
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (Path(root) / name).stat().st_size
