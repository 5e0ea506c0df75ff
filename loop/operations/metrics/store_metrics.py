"""What the store, the feed and the disk say, asked at a scrape and remembered for a while.

A question that takes long is asked more rarely: none takes more than a hundredth of the time, however large the store
grows; and a scrape does not wait for it. So Prometheus may scrape as often as it likes, and so may somebody who hammers
on the route.
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
from loop.intake import live_accuracy
from loop.schedule import slots
from loop.store import values
from loop.store.feedback import live_scores as scored
from loop.store.nights import slots as stored
from loop.store.service import health, hooks, metric_counts
from loop.store.service.hooks import Status
from loop.store.values import RunStatus

log = logging.getLogger(__name__)
T = TypeVar("T")
QUERY_TIME_SHARE = 0.01
SCRAPE_WAIT_SECONDS = 1.5
"""Prometheus gives a scrape ten seconds by default, and there are five questions."""
SOON, LATER = 15.0, 60.0
RUN_ENDS = (RunStatus.FINISHED, RunStatus.SKIPPED, RunStatus.FAILED)
MAX_VERSIONS = 20
"""Versions that get a label of their own, the newest."""
MAX_COUNTED = 10_000
"""Untaught uploads are not counted past this."""


class Unanswered(LoopError):
    """The answer is being found out; it will be there at a later scrape."""


@dataclass(slots=True)
class Cached(Generic[T]):
    """A question whose answer is kept for ``seconds``, and for longer where asking takes long.

    It is asked in a thread of its own: whoever wants the answer waits ``PATIENCE`` seconds, then takes the last one.
    """

    ask: Callable[[], T]
    seconds: float
    _outcome: T | Exception = field(default_factory=lambda: Unanswered("not found out yet"))
    _due: float = 0.0
    _asking: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self) -> T:
        """The answer. Raises what asking raised, or ``Unanswered``."""
        with self._lock:
            if self._asking is None and time.monotonic() >= self._due:
                self._asking = threading.Thread(target=self._find_out, name="metrics", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking is not None:
            asking.join(SCRAPE_WAIT_SECONDS)
        outcome = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _find_out(self) -> None:
        begun = time.monotonic()
        try:
            self._outcome = self.ask()
        except Exception as error:  # noqa: BLE001 (ours: raised in whoever asks)
            self._outcome = error
        ended = time.monotonic()
        rest = 0.0 if isinstance(self._outcome, Exception) else max(self.seconds, (ended - begun) / QUERY_TIME_SHARE)
        with self._lock:
            self._due, self._asking = ended + rest, None


class StoreMetrics:
    """Asks one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._questions = {
            "store": Cached(self._store, SOON),
            "uploads": Cached(self._uploads, SOON),
            "feed": Cached(self._feed, SOON),
            "disk": Cached(self._disk, LATER),
            "accuracy": Cached(self._accuracy, LATER),
        }

    def at(self, now: datetime) -> CollectorRegistry:
        """Everything that could be found out, as a registry to be printed."""
        found: list[Metric] = [_gauge("loop_scrape_timestamp_seconds", "This process's clock.", now.timestamp())]
        failed = GaugeMetricFamily("loop_facts_up", "Could this be found out? 0: see the log.", labels=["about"])
        for about, question in self._questions.items():
            try:
                found += question.get()
            except LoopError as error:
                log.warning("metrics about the %s are missing: %s", about, error)
                failed.add_metric([about], 0)
            else:
                failed.add_metric([about], 1)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*found, failed]))
        return registry

    def _store(self) -> list[Metric]:
        family, paused = self._home.settings.schedule.family, slots.paused(self._home) is not None
        with self._home.store.read() as tx:
            found = [
                *_nights(family, metric_counts.nights(tx)),
                _verdicts(metric_counts.verdicts(tx)),
                *_champions(metric_counts.champions(tx)),
            ]
            queued, oldest = hooks.queue(tx)
            running = len(health.running(tx))
            backlog, fresh = scored.backlog(tx), stored.fresh(tx, family, MAX_COUNTED)
            beats = {beat.what: beat.beat_at.timestamp() for beat in reversed(health.beats(tx))}
        found += [
            _gauge("loop_runs_running", "Runs under way.", running),
            _gauge("loop_paused", "1 while `loop pause` holds.", paused),
            _gauge("loop_arrivals_waiting", "Uploads that the champion has not read yet.", backlog),
            _gauge("loop_uploads_untaught", f"Accepted, newer than the last lesson; counted to {MAX_COUNTED}.", fresh),
            _each("loop_webhook_deliveries", "Messages by what became of them.", "status", _all(Status, queued)),
            _each("loop_beat_timestamp_seconds", "Last sign of life, by what lives.", "what", beats.items()),
        ]
        if oldest is not None:
            waits = oldest.timestamp()
            found.append(_gauge("loop_webhook_oldest_timestamp_seconds", "The event that waits longest.", waits))
        return found

    def _uploads(self) -> list[Metric]:
        with self._home.store.read() as tx:
            counts = _all(values.Status, metric_counts.uploads(tx))
        return [_each("loop_uploads", "Stored uploads by status.", "status", counts)]

    def _feed(self) -> list[Metric]:
        feed = upkeep.published(self._home)
        if feed is None:
            return []
        return [
            _gauge("loop_feed_sequence", "Of the published feed.", feed.sequence),
            _gauge("loop_feed_issued_timestamp_seconds", "When it was signed.", feed.issued.timestamp()),
            _gauge("loop_feed_expires_timestamp_seconds", "Devices refuse it afterwards.", feed.expires.timestamp()),
            _gauge("loop_feed_withdrawn", "Models that no device may run.", len(feed.withdrawn)),
        ]

    def _disk(self) -> list[Metric]:
        home = self._home.settings.home
        try:
            free, size = shutil.disk_usage(home).free, sum(_sizes(self._home.artifacts.root))
        except OSError as error:
            raise LoopError(f"{home}: expected a folder that can be read ({error.strerror})") from None
        return [
            _gauge("loop_artifacts_bytes", "Models, weights and reports.", size),
            _gauge("loop_disk_free_bytes", "Where LOOP_HOME lies.", free),
        ]

    def _accuracy(self) -> list[Metric]:
        with self._home.store.read() as tx:
            found = live_accuracy.live(tx)[: 2 * MAX_VERSIONS]
        labels = ["version", "how"]
        accuracy = GaugeMetricFamily(
            "loop_live_accuracy_ratio", "In users' hands, each upload weighing 1/rate.", labels=labels
        )
        low = GaugeMetricFamily("loop_live_accuracy_low_ratio", "Lower end of its 95 % interval.", labels=labels)
        uploads = GaugeMetricFamily("loop_live_accuracy_uploads", "Uploads that it rests on.", labels=labels)
        for one in found:
            for metric, value in ((accuracy, one.accuracy), (low, one.low), (uploads, one.n)):
                metric.add_metric([str(one.version), one.how], value)
        return [accuracy, low, uploads]


@dataclass(frozen=True, slots=True, eq=False)
class _Collected(Collector):
    """A collector of what was found out already."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self.metrics


def _nights(scheduled: str, found: list[metric_counts.Nights]) -> list[Metric]:
    labels = ["family", "status"]
    count = CounterMetricFamily("loop_nights", "Nights that ended, by how.", labels=labels)
    ended = GaugeMetricFamily("loop_night_ended_timestamp_seconds", "The last such night's end.", labels=labels)
    took = GaugeMetricFamily("loop_night_duration_seconds", "How long the last such night took.", labels=labels)
    known = {(nights.family, nights.status) for nights in found}
    for status in RUN_ENDS:
        if (scheduled, status) not in known:
            count.add_metric([scheduled, status], 0)
    for nights in found:
        which = [nights.family, nights.status]
        count.add_metric(which, nights.count)
        ended.add_metric(which, nights.ended.timestamp())
        took.add_metric(which, (nights.ended - nights.began).total_seconds())
    return [count, ended, took]


def _verdicts(found: dict[tuple[str, str, str], int]) -> Metric:
    made = CounterMetricFamily("loop_verdicts", "What judges said.", labels=["family", "question", "outcome"])
    for key, count in found.items():
        made.add_metric([*key], count)
    return made


def _champions(found: list[metric_counts.Champion]) -> list[Metric]:
    version = GaugeMetricFamily("loop_champion_version", "The version that phones shall run.", labels=["family"])
    since = GaugeMetricFamily("loop_champion_since_timestamp_seconds", "Since when.", labels=["family"])
    for champion in found:
        version.add_metric([champion.family], champion.version)
        since.add_metric([champion.family], champion.since.timestamp())
    return [version, since]


def _all(kinds: type[StrEnum], counts: Mapping[Any, int]) -> list[tuple[str, float]]:
    """A count for each kind: what never happened is 0, not absent, or the first time would not be seen as a change."""
    return [(kind, counts.get(kind, 0)) for kind in kinds]


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _each(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    made = GaugeMetricFamily(name, about, labels=[label])
    for which, value in values:
        made.add_metric([which], value)
    return made


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of each file below a folder; one that goes away meanwhile counts nothing."""
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (Path(root) / name).stat().st_size
