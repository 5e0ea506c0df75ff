"""Rate limits per key and per source: token buckets in memory, refilled continuously.

Rules:
- A bucket is one number, the time at which it will be full again: each request moves that time later.
- In any window a bucket grants at most its capacity plus the refill. A batch larger than the bucket is granted by a
  full bucket, which is then in debt: a phone that was offline for weeks can send its backlog, and then waits longer.
- A request is taken from all of its buckets or from none.
- A full bucket carries no information and may be dropped. While ``MAX_SOURCES`` sources have buckets that are not full,
  a new source must wait: memory is bounded, and flooding cannot evict a bucket.
- Each process counts its own requests only; the daily quota, which the store keeps, is shared by all processes.
"""

from collections import OrderedDict
from dataclasses import dataclass

from loop.errors import QuotaSpent
from loop.home.sections import Serving

MAX_SOURCES = 65_536  # about 16 MiB
MINUTE_SECONDS = 60.0

FULL_BUCKET = float("-inf")  # the time of a bucket that was never used
ROUNDING_SECONDS = 1e-6  # so that a client that waits for Retry-After is not refused for a rounding error


@dataclass(frozen=True, slots=True)
class Bucket:
    """A capacity that is refilled evenly, once per minute."""

    what: str
    capacity: float

    def wait(self, full_at: float, n: float, now: float) -> float:
        """Seconds until ``n`` may be taken; zero or less means now."""
        return full_at - now - (self.capacity - min(n, self.capacity)) * MINUTE_SECONDS / self.capacity

    def taken(self, full_at: float, n: float, now: float) -> float:
        """When the bucket will be full after ``n`` were taken."""
        return max(full_at, now) + n * MINUTE_SECONDS / self.capacity

    def without(self, full_at: float, n: float) -> float:
        """When the bucket would be full if ``n`` had not been taken."""
        return full_at - n * MINUTE_SECONDS / self.capacity


class RateLimits:
    """The buckets of one process, for use by one thread: the API's event loop."""

    def __init__(self, serving: Serving) -> None:
        self._of_key = Bucket("requests through this key", serving.key_per_minute)
        self._of_source = Bucket("uploads of this source", serving.source_per_minute)
        self._of_newcomers = Bucket("sources that this server did not know", serving.sources_per_minute)
        self._keys: dict[int, float] = {}  # bounded by the number of keys
        self._newcomers: dict[int, float] = {}
        self._sources: OrderedDict[str, float] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        """The number of sources with a bucket."""
        return len(self._sources)

    def take(
        self, key_id: int, source: str | None, n: int, now: float, counted: int = 0, retry_with: float | None = None
    ) -> None:
        """Count ``n`` requests; ``now`` in seconds of a monotonic clock. Raises ``QuotaSpent``; then none is counted.

        Without a ``source`` (nothing is stored), only the key's bucket is used. ``counted`` of the ``n`` were taken
        before, and stay counted after a refusal, which names the wait for ``retry_with`` requests (default: ``n``).
        """
        if self._wait(key_id, source, n, now, counted)[0] > ROUNDING_SECONDS:
            raise _spent(*self._wait(key_id, source, n if retry_with is None else retry_with, now, counted=0))
        key = self._of_key.without(self._keys.get(key_id, FULL_BUCKET), counted)
        self._keys[key_id] = self._of_key.taken(key, n, now)
        if source is not None:
            self._take_of_source(key_id, source, n, now, counted)

    def open_batch(self, key_id: int, source: str, now: float) -> None:
        """Count a batch as one request, before its body is read. Raises ``QuotaSpent``.

        Its size is not known yet, so a refusal names the wait for the largest batch: until the buckets are full.
        """
        self.take(key_id, source, 1, now, retry_with=float("inf"))

    def take_batch(self, key_id: int, source: str, n: int, now: float) -> None:
        """Count the ``n`` uploads of an open batch. Raises ``QuotaSpent``; the batch stays counted as one request."""
        self.take(key_id, source, n, now, counted=1)

    def _wait(self, key_id: int, source: str | None, n: float, now: float, counted: int) -> tuple[float, Bucket]:
        """The longest wait of any bucket, in seconds, and that bucket; zero or less means now."""
        key = self._of_key.without(self._keys.get(key_id, FULL_BUCKET), counted)
        waits = [(self._of_key.wait(key, n, now), self._of_key)]
        if source is not None:
            waits += self._waits_of_source(key_id, source, n, now, counted)
        return max(waits, key=lambda pair: pair[0])

    def _waits_of_source(
        self, key_id: int, source: str, n: float, now: float, counted: int
    ) -> list[tuple[float, Bucket]]:
        if source in self._sources:
            full_at = self._of_source.without(self._sources[source], counted)
            return [(self._of_source.wait(full_at, n, now), self._of_source)]
        wait = self._of_newcomers.wait(self._newcomers.get(key_id, FULL_BUCKET), 1, now)
        return [(max(wait, self._room(now)), self._of_newcomers)]

    def _take_of_source(self, key_id: int, source: str, n: int, now: float, counted: int) -> None:
        if source not in self._sources:
            self._newcomers[key_id] = self._of_newcomers.taken(self._newcomers.get(key_id, FULL_BUCKET), 1, now)
            self._forget(now)
        full_at = self._of_source.without(self._sources.get(source, FULL_BUCKET), counted)
        self._sources[source] = self._of_source.taken(full_at, n, now)
        self._sources.move_to_end(source)

    def _room(self, now: float) -> float:
        """Seconds until there is room for one more source."""
        if len(self._sources) < MAX_SOURCES:
            return FULL_BUCKET
        return next(iter(self._sources.values())) - now

    def _forget(self, now: float) -> None:
        while len(self._sources) >= MAX_SOURCES and self._room(now) <= ROUNDING_SECONDS:
            self._sources.popitem(last=False)


def _spent(seconds: float, bucket: Bucket) -> QuotaSpent:
    return QuotaSpent(
        f"expected at most {bucket.capacity:,.0f} {bucket.what} a minute, got more; send this again in {seconds:.1f} s",
        seconds,
    )
