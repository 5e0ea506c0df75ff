"""What this process did: requests, uploads, commits; counted as it goes, about a microsecond each."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # series that say only when this process first saw another

OTHER_LABEL = "other"
MAX_SERIES = 256
"""Operations that are told apart; a caller who makes up methods gets no label of his own past that."""
DURATION_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Requests:
    """Counters of one process. Everything here may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "loop_http_requests", "Requests answered.", ["operation", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "loop_http_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            ["operation"],
            buckets=DURATION_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._acknowledged = Counter(
            "loop_uploads_acknowledged",
            "Uploads answered with a 2xx, stored for the first time or known already.",
            ["kind", "known"],
            registry=self.registry,
        )
        self._refused = Counter(
            "loop_uploads_refused", "Uploads refused, by the name of the error.", ["reason"], registry=self.registry
        )
        self._batches = Histogram(
            "loop_commit_uploads",
            "Uploads that shared a transaction.",
            buckets=BATCH_SIZE_BUCKETS,
            registry=self.registry,
        )
        self._commits = Histogram(
            "loop_commit_duration_seconds",
            "From a transaction's begin until the disk has it.",
            buckets=DURATION_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """One answered request: its route (never its path), status code, and duration."""
        found = self._known.get((operation, status // 100))
        if found is None:
            found = self._meet(operation, status // 100)
        found[0].inc()
        found[1].observe(seconds)

    def acknowledged(self, kind: str, *, known: bool = False) -> None:
        """One upload answered with a 2xx; ``known``: it was stored before, under this key or another."""
        self._acknowledged.labels(kind, "yes" if known else "no").inc()

    def refused(self, error: Exception) -> None:
        """One upload refused, by a limit, a quota, or for what it holds."""
        self._refused.labels(type(error).__name__).inc()

    def committed(self, uploads: int, seconds: float) -> None:
        """One transaction of uploads."""
        self._batches.observe(uploads)
        self._commits.observe(seconds)

    def _meet(self, operation: str, hundreds: int) -> tuple[Counter, Histogram]:
        if len(self._known) >= MAX_SERIES:
            operation = OTHER_LABEL
        status = f"{hundreds}xx" if 1 <= hundreds <= 5 else OTHER_LABEL
        made = self._requests.labels(operation, status), self._seconds.labels(operation)
        if len(self._known) < MAX_SERIES:
            self._known[operation, hundreds] = made
        return made
