"""The parts of a running server: one home, and everything that lives as long as the server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from loop.access import KeyRing
from loop.api import malloc
from loop.api.champion_model import ChampionModel
from loop.api.file_cache import FileCache
from loop.api.heartbeat import Heartbeat
from loop.clock import Clock, utc_now
from loop.errors import Busy
from loop.home import Home
from loop.home.sections import Serving
from loop.intake import attestation
from loop.intake.attestation.apple import Policy
from loop.intake.group_commit import GroupCommit
from loop.intake.live_accuracy import Scorer
from loop.intake.rate_limits import RateLimits
from loop.operations.metrics import Metrics

IMAGE_THREADS = 2
"""Threads that decode large images: one image takes 0.1 s and 100 MB, and other work needs the other threads."""
MAX_BATCHES = 8
"""Bodies of batches in memory at the same time, each of up to ``serve.max_batch`` bytes."""
BUSY_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class Service:
    """One for each server; ``start`` and ``close`` bracket its life."""

    home: Home
    clock: Clock = utc_now
    limits: Serving = field(init=False)
    keys: KeyRing = field(init=False)
    quotas: RateLimits = field(init=False)
    group_commit: GroupCommit = field(init=False)  # set by ``start``
    scorer: Scorer = field(init=False)
    heartbeat: Heartbeat = field(init=False)
    champion: ChampionModel = field(init=False)
    published: FileCache = field(init=False)
    metrics: Metrics = field(init=False)
    attestation: Policy | None = field(init=False)
    image_threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(IMAGE_THREADS, "image"))
    _batches: int = 0

    def __post_init__(self) -> None:
        """Build the parts; no thread runs yet. Raises ``BadSettings``."""
        settings = self.home.settings
        self.attestation = attestation.policy(self.home)
        self.limits = settings.serve
        self.keys = KeyRing(self.home.store)
        self.quotas = RateLimits(settings.serve)
        self.scorer = Scorer(self.home)
        self.heartbeat = Heartbeat(self.home, self.clock)
        self.champion = ChampionModel(self.home, settings.schedule.family)
        self.published = FileCache(settings.published)
        self.metrics = Metrics(self.home)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Reserve memory for the body of one batch. Only the event loop's thread may call this. Raises ``Busy``."""
        if self._batches == MAX_BATCHES:
            raise Busy(f"expected at most {MAX_BATCHES} batches at the same time, got another", BUSY_SECONDS)
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1

    def start(self) -> None:
        """Start the threads. Raises ``StoreUnavailable``."""
        malloc.release_large_blocks()
        self.keys.start()
        self.group_commit = GroupCommit(self.home, self.clock, self.metrics.committed)
        self.scorer.start()
        self.heartbeat.start()

    def close(self) -> None:
        """Store and answer the uploads that still wait, then stop the threads."""
        self.group_commit.close()
        self.scorer.close()
        self.heartbeat.close()
        self.keys.close()
        self.image_threads.shutdown()
