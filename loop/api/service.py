"""What the API composes: one home, and everything that lives as long as the server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from loop.access import Ring
from loop.api import malloc
from loop.api.champion_model import ChampionModel
from loop.api.file_cache import FileCache
from loop.api.heartbeat import Heartbeat
from loop.clock import Clock, utc_now
from loop.errors import Busy
from loop.home import Home
from loop.home.sections import Serving
from loop.intake.group_commit import GroupCommit
from loop.intake.live_accuracy import Scorer
from loop.intake.rate_limits import RateLimits
from loop.operations.metrics import Metrics

READ_THREADS = 2
"""Threads for large pictures: one takes 0.1 s and 100 MB, and others need the other threads."""
BATCHES_AT_ONCE = 8
"""Bodies of batches in memory at once, of up to ``serve.max_batch`` bytes each."""


@dataclass(slots=True, eq=False)
class Service:
    """Made once a server; ``start`` and ``close`` bracket its life."""

    home: Home
    clock: Clock = utc_now
    serving: Serving = field(init=False)
    ring: Ring = field(init=False)
    quotas: RateLimits = field(init=False)
    commits: GroupCommit = field(init=False)  # from ``start`` on
    scorer: Scorer = field(init=False)
    pulse: Heartbeat = field(init=False)
    oracle: ChampionModel = field(init=False)
    shelf: FileCache = field(init=False)
    metrics: Metrics = field(init=False)
    _batches: int = 0
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READ_THREADS, "reader"))

    def __post_init__(self) -> None:
        """Compose; nothing runs yet."""
        settings = self.home.settings
        self.serving = settings.serve
        self.ring = Ring(self.home.store)
        self.quotas = RateLimits(settings.serve)
        self.scorer = Scorer(self.home)
        self.pulse = Heartbeat(self.home, self.clock)
        self.oracle = ChampionModel(self.home, settings.schedule.family)
        self.shelf = FileCache(settings.published)
        self.metrics = Metrics(self.home)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Room for the body of one batch; asked by the event loop's thread only. Raises ``Busy``."""
        if self._batches == BATCHES_AT_ONCE:
            raise Busy(f"{BATCHES_AT_ONCE} batches are being read already; send it again", 2.0)
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1

    def start(self) -> None:
        """Begin. Raises ``StoreUnavailable``."""
        malloc.give_back()
        self.ring.start()
        self.commits = GroupCommit(self.home, self.clock, self.metrics.committed)
        self.scorer.start()
        self.pulse.start()

    def close(self) -> None:
        """What was acknowledged is on disk already; what still waits is stored and answered."""
        self.commits.close()
        self.scorer.close()
        self.pulse.close()
        self.ring.close()
        self.readers.shutdown()
