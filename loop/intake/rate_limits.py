"""How much one key and one source may send now: token buckets in memory, refilled continuously.

Rules:
- A bucket is one number, the moment at which it will be full again: what is taken pushes it ahead, time catches up.
- In any window a bucket gives at most its capacity and what was refilled meanwhile. A batch larger than the bucket is
  taken from a full one, which then is in debt: a phone that was offline for weeks is heard, and heard again later.
- Nothing is taken from any bucket unless all of them have it.
- A bucket that is full again says nothing and may be forgotten. Where ``MOST_SOURCES`` have buckets that are not, the
  next newcomer waits: memory is bounded, and nobody empties a bucket by flooding it out.
- What a process does not know, it does not count: the day's quota, kept in the store, is what several processes share.
"""

from collections import OrderedDict
from dataclasses import dataclass

from loop.errors import QuotaSpent
from loop.home.sections import Serving

MAX_SOURCES = 65_536  # about 16 MiB
MINUTE_SECONDS = 60.0

FULL_BUCKET = float("-inf")  # of a bucket that nobody took from
ROUNDING_SECONDS = 1e-6  # seconds: so that whoever waits as long as told is not too early by a float's last bit


@dataclass(frozen=True, slots=True)
class Bucket:
    """A capacity that is refilled once a minute, evenly."""

    what: str
    capacity: float

    def wait(self, full_at: float, n: float, now: float) -> float:
        """Seconds until ``n`` may be taken; none or less: now."""
        return full_at - now - (self.capacity - min(n, self.capacity)) * MINUTE_SECONDS / self.capacity

    def taken(self, full_at: float, n: float, now: float) -> float:
        """When it will be full after ``n`` were taken."""
        return max(full_at, now) + n * MINUTE_SECONDS / self.capacity

    def without(self, full_at: float, n: float) -> float:
        """When it would be full if ``n`` had not been taken."""
        return full_at - n * MINUTE_SECONDS / self.capacity


class RateLimits:
    """The buckets of one process. One thread asks: the API's."""

    def __init__(self, serving: Serving) -> None:
        self._of_key = Bucket("requests through this key", serving.key_per_minute)
        self._of_source = Bucket("uploads of this source", serving.source_per_minute)
        self._of_newcomers = Bucket("sources that this server did not know", serving.sources_per_minute)
        self._keys: dict[int, float] = {}  # bounded by the keys that ops made
        self._newcomers: dict[int, float] = {}
        self._sources: OrderedDict[str, float] = OrderedDict()  # whoever was silent longest comes first

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._sources)

    def take(self, key_id: int, source: str | None, n: int, now: float, counted: int = 0) -> None:
        """Count ``n`` requests; ``now`` in seconds of a monotonic clock. Raises ``QuotaSpent``: then none is counted.

        Without a ``source`` (nothing is stored), the key's bucket alone is asked. ``counted`` of the ``n`` were taken
        before: a batch is one request until it is read, and then must not stand in its own way.
        """
        key = self._of_key.without(self._keys.get(key_id, FULL_BUCKET), counted)
        asked = [(self._of_key.wait(key, n, now), self._of_key)]
        if source is not None:
            asked += self._asked_of_source(key_id, source, n, now, counted)
        _refuse(*max(asked, key=lambda pair: pair[0]))
        self._keys[key_id] = self._of_key.taken(key, n, now)
        if source is not None:
            self._take_of_source(key_id, source, n, now, counted)

    def _asked_of_source(
        self, key_id: int, source: str, n: int, now: float, counted: int
    ) -> list[tuple[float, Bucket]]:
        if source in self._sources:
            full_at = self._of_source.without(self._sources[source], counted)
            return [(self._of_source.wait(full_at, n, now), self._of_source)]
        ration = self._of_newcomers.wait(self._newcomers.get(key_id, FULL_BUCKET), 1, now)
        return [(max(ration, self._room(now)), self._of_newcomers)]

    def _take_of_source(self, key_id: int, source: str, n: int, now: float, counted: int) -> None:
        if source not in self._sources:
            self._newcomers[key_id] = self._of_newcomers.taken(self._newcomers.get(key_id, FULL_BUCKET), 1, now)
            self._forget(now)
        full_at = self._of_source.without(self._sources.get(source, FULL_BUCKET), counted)
        self._sources[source] = self._of_source.taken(full_at, n, now)
        self._sources.move_to_end(source)

    def _room(self, now: float) -> float:
        """Seconds until one more source can be remembered."""
        if len(self._sources) < MAX_SOURCES:
            return FULL_BUCKET
        return next(iter(self._sources.values())) - now

    def _forget(self, now: float) -> None:
        while len(self._sources) >= MAX_SOURCES and self._room(now) <= ROUNDING_SECONDS:
            self._sources.popitem(last=False)


def _refuse(seconds: float, bucket: Bucket) -> None:
    if seconds > ROUNDING_SECONDS:
        raise QuotaSpent(
            f"expected at most {bucket.capacity:,.0f} {bucket.what} a minute; send this again in {seconds:.1f} s",
            seconds,
        )
