"""Rate limits: never more than the capacity in any window, an exact Retry-After, bounded memory."""

import tracemalloc
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.errors import QuotaSpent
from loop.home.sections import Serving
from loop.intake import rate_limits
from loop.intake.rate_limits import RateLimits

LIMITS = Serving(key_per_minute=60, source_per_minute=12, sources_per_minute=6)
Asked = tuple[float, int, str, int]
"""Seconds since the previous request, key, source, uploads."""

REQUESTS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 90)),
        st.integers(1, 2),
        st.sampled_from("abcdefghijklmnop"),
        st.integers(1, 30),
    ),
    max_size=120,
)


def run(asked: Sequence[Asked], limits: Serving = LIMITS) -> list[tuple[float, int, str, int, bool]]:
    """A granted request: when, by which key and source, and whether the source was new to the process."""
    buckets, now, taken, known = RateLimits(limits), 1e6, [], set()
    for seconds, key, source, n in asked:
        now += seconds
        if refusal(buckets, key, source, n, now) is None:
            taken.append((now, key, source, n, source not in known))
            known.add(source)
    return taken


def refusal(buckets: RateLimits, key: int, source: str, n: int, now: float) -> float | None:
    """Take ``n``; None, or the seconds after which it would be taken."""
    try:
        buckets.take(key, source, n, now)
    except QuotaSpent as refused:
        return refused.retry_after
    return None


def check_windows(events: Sequence[tuple[float, float]], per_minute: float) -> None:
    """Any window grants at most the capacity plus the refill; a larger batch needs a full bucket."""
    for i, (begin, _) in enumerate(events):
        total = 0.0
        for moment, n in events[i:]:
            total += n
            assert total <= max(per_minute, n) + per_minute / 60 * (moment - begin) + 1e-3


@pytest.mark.slow
@given(REQUESTS)
@settings(max_examples=300)
def test_no_window_gives_more_than_promised(asked: list[Asked]) -> None:
    """The limits per source, per key, and of new sources per key hold for every pattern of requests."""
    by_source, by_key, newcomers = defaultdict(list), defaultdict(list), defaultdict(list)
    for moment, key, source, n, new in run(asked):
        by_source[source].append((moment, n))
        by_key[key].append((moment, n))
        if new:
            newcomers[key].append((moment, 1))
    for per_minute, found in ((12, by_source), (60, by_key), (6, newcomers)):
        for events in found.values():
            check_windows(events, per_minute)


@pytest.mark.slow
@given(REQUESTS)
@settings(max_examples=300)
def test_whoever_waits_as_told_is_heard(asked: list[Asked]) -> None:
    """After Retry-After the same request is granted; slightly earlier it is refused, at no cost."""
    buckets, now = RateLimits(LIMITS), 1e6
    for seconds, key, source, n in asked:
        now += seconds
        wait = refusal(buckets, key, source, n, now)
        if wait is None:
            continue
        assert wait > 0
        if wait > 0.01:
            assert refusal(buckets, key, source, n, now + wait - 0.005) is not None
        now += wait
        buckets.take(key, source, n, now)


def test_a_full_bucket_and_its_refill() -> None:
    """A source may send twelve uploads at once, then one every five seconds."""
    buckets = RateLimits(LIMITS)
    for _ in range(12):
        buckets.take(1, "a", 1, 0.0)
    with pytest.raises(QuotaSpent, match=r"12 uploads of this source a minute, got more; send this again in 5\.0 s"):
        buckets.take(1, "a", 1, 0.0)
    buckets.take(1, "a", 1, 5.0)
    with pytest.raises(QuotaSpent):
        buckets.take(1, "a", 1, 5.0)


def test_one_source_does_not_cost_another() -> None:
    """A source that has spent its own bucket does not use up the key's."""
    buckets = RateLimits(LIMITS)
    buckets.take(1, "a", 12, 0.0)
    with pytest.raises(QuotaSpent, match="of this source"):
        buckets.take(1, "a", 1, 0.0)
    buckets.take(1, "b", 12, 0.0)


def test_what_stores_nothing_counts_for_the_key_alone() -> None:
    """Without a source only the key's bucket is used, and no source gets one."""
    buckets = RateLimits(LIMITS)
    buckets.take(1, None, 60, 0.0)
    assert refusal(buckets, 1, "a", 1, 0.0) == pytest.approx(1)
    with pytest.raises(QuotaSpent, match="60 requests through this key"):
        buckets.take(1, None, 1, 0.0)
    assert len(buckets) == 0


def test_a_phone_that_was_offline_for_weeks() -> None:
    """A batch larger than the bucket is granted once by a full bucket, and refilled afterwards."""
    buckets = RateLimits(LIMITS)
    buckets.take(1, "a", 30, 0.0)
    with pytest.raises(QuotaSpent) as refused:
        buckets.take(1, "a", 1, 0.0)
    assert refused.value.retry_after == pytest.approx((30 - 12 + 1) * 5)
    with pytest.raises(QuotaSpent) as refused:
        buckets.take(1, "a", 30, 100.0)
    assert refused.value.retry_after == pytest.approx(50)  # until it is full: 30 × 5 s after the first


def test_a_batch_does_not_stand_in_its_own_way() -> None:
    """A batch that counts as one request first, and in full later, costs the same as one taken at once."""
    buckets = RateLimits(LIMITS)
    buckets.open_batch(1, "a", 0.0)
    buckets.take_batch(1, "a", 30, 0.01)
    assert refusal(buckets, 1, "a", 1, 0.01) == pytest.approx((30 - 12 + 1) * 5)
    buckets.take(1, "b", 1, 0.0)
    buckets.take(1, "b", 1, 0.0)
    with pytest.raises(QuotaSpent):
        buckets.take_batch(1, "b", 12, 0.0)
    buckets.take_batch(1, "b", 11, 0.0)  # the refusal gave nothing back: two were counted, now there are twelve
    assert refusal(buckets, 1, "b", 1, 0.0) == pytest.approx(5)


@pytest.mark.slow
@given(REQUESTS, st.integers(1, 30))
@settings(max_examples=300)
def test_a_batch_waits_once(asked: list[Asked], n: int) -> None:
    """Whatever was sent before, a refused batch is accepted after the time that its refusal named, at either step."""
    buckets, now = RateLimits(LIMITS), 1e6
    for seconds, key, source, size in asked:
        now += seconds
        if refusal(buckets, key, source, size, now) is None and size > 1:
            now += _sent_as_told(buckets, key, source, n, now)


def _sent_as_told(buckets: RateLimits, key: int, source: str, n: int, now: float) -> float:
    """Send a batch, again after the wait if it is refused; the seconds that it took."""
    try:
        buckets.open_batch(key, source, now)
        buckets.take_batch(key, source, n, now)
        return 0.0
    except QuotaSpent as refused:
        wait = refused.retry_after
    buckets.open_batch(key, source, now + wait)
    buckets.take_batch(key, source, n, now + wait)
    return wait


def test_130_corrections_after_130() -> None:
    """With 120 a minute the second batch of 130 waits once, 65 s: the 120 of a minute and the debt of ten."""
    buckets = RateLimits(Serving())
    assert _sent_as_told(buckets, 1, "a", 130, 0.0) == 0
    assert _sent_as_told(buckets, 1, "a", 130, 0.0) == pytest.approx(65)


def test_newcomers_are_rationed_per_key() -> None:
    """New sources are limited per key; known sources, and those of another key, are not affected."""
    buckets = RateLimits(LIMITS)
    for number in range(6):
        buckets.take(1, f"made up {number}", 1, 0.0)
    with pytest.raises(QuotaSpent, match=r"6 sources that this server did not know"):
        buckets.take(1, "made up 6", 1, 0.0)
    buckets.take(1, "made up 0", 1, 0.0)
    buckets.take(2, "somebody", 1, 0.0)
    buckets.take(1, "made up 6", 1, 10.0)


def test_a_flood_of_sources_neither_grows_memory_nor_frees_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room, no bucket in debt is dropped: a new source waits for exactly Retry-After."""
    monkeypatch.setattr(rate_limits, "MAX_SOURCES", 10)
    buckets, now = RateLimits(Serving(key_per_minute=10**6, source_per_minute=12, sources_per_minute=10**6)), 0.0
    buckets.take(1, "spender", 12, now)
    refusals = 0
    for number in range(2_000):
        now += 0.01
        if (wait := refusal(buckets, 1, f"made up {number}", 12, now)) is not None:
            refusals += 1
            assert now + wait == pytest.approx(60, abs=0.2)
        assert len(buckets) <= 10
        with pytest.raises(QuotaSpent):
            buckets.take(1, "spender", 12, now)
    assert refusals > 1_900
    buckets.take(1, "after a minute", 1, now + 60)
    buckets.take(1, "spender", 12, now + 60)


@pytest.mark.slow
def test_the_memory_of_all_sources_that_are_remembered() -> None:
    """Two hundred thousand new sources use less than 24 MiB."""
    limits = Serving(key_per_minute=10**9, source_per_minute=1, sources_per_minute=10**9)
    buckets, now = RateLimits(limits), 0.0
    tracemalloc.start()
    for number in range(200_000):
        now += 0.001
        if (wait := refusal(buckets, 1, f"s{number:040x}", 1, now)) is not None:
            now += wait
            buckets.take(1, f"s{number:040x}", 1, now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(buckets) == rate_limits.MAX_SOURCES
    assert held < 24 << 20
