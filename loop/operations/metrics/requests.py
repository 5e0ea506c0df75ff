"""Counters of this process: requests, uploads, commits. Counting takes about a microsecond."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # their series only give the time of another series' first sample

OTHER_LABEL = "other"
MAX_SERIES = 256
"""The limit of distinct operations; beyond it, invented methods are counted as ``other``."""
DURATION_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Requests:
    """Counters of one process. All methods are thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "loop_http_requests", "Requests answered.", ["operation", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "loop_http_request_duration_seconds",
            "Time from a request's first byte to its answer's last byte.",
            ["operation"],
            buckets=DURATION_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._acknowledged = Counter(
            "loop_uploads_acknowledged",
            "Uploads answered with a 2xx: newly stored, or already known.",
            ["kind", "known"],
            registry=self.registry,
        )
        self._refused = Counter(
            "loop_uploads_refused", "Refused uploads, by the name of the error.", ["reason"], registry=self.registry
        )
        self._batches = Histogram(
            "loop_commit_uploads",
            "Uploads per transaction.",
            buckets=BATCH_SIZE_BUCKETS,
            registry=self.registry,
        )
        self._commits = Histogram(
            "loop_commit_duration_seconds",
            "Time from a transaction's begin until it is on disk.",
            buckets=DURATION_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count an answered request: its route (never its path), status code, and duration."""
        series = self._known.get((operation, status // 100)) or self._series(operation, status // 100)
        series[0].inc()
        series[1].observe(seconds)

    def acknowledged(self, kind: str, *, known: bool = False) -> None:
        """Count an upload answered with a 2xx; ``known``: it was already stored, under this key or another."""
        self._acknowledged.labels(kind, "yes" if known else "no").inc()

    def refused(self, error: Exception) -> None:
        """Count an upload that was refused by a limit, by a quota, or because of its content."""
        self._refused.labels(type(error).__name__).inc()

    def committed(self, uploads: int, seconds: float) -> None:
        """Count a transaction of uploads."""
        self._batches.observe(uploads)
        self._commits.observe(seconds)

    def _series(self, operation: str, hundreds: int) -> tuple[Counter, Histogram]:
        if len(self._known) >= MAX_SERIES:
            operation = OTHER_LABEL
        status = f"{hundreds}xx" if 1 <= hundreds <= 5 else OTHER_LABEL
        series = self._requests.labels(operation, status), self._seconds.labels(operation)
        if len(self._known) < MAX_SERIES:
            self._known[operation, hundreds] = series
        return series
