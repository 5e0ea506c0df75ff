"""The shares of a lesson hold of what is taught in the end, for any crowd; and turns are by source."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loop.night import lesson
from loop.night.lesson import Offers, Senders, Shares

SHARES = Shares(budget=5_000, young_share=0.1, source_share=0.05, floor=0, source_floor=0)


def crowd(
    counts: list[int], *, trust: float = 0.5, young: list[int] | None = None, seed: int = 0
) -> tuple[Offers, Senders]:
    """Sources that offer so many different uploads each, the most senior first. ``young`` are rows of sources."""
    chance, n = np.random.default_rng(seed), sum(counts)
    offers = Offers(
        np.arange(1, n + 1),
        chance.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int32),
        chance.integers(0, 10, n).astype(np.uint8),
        chance.random(n) < 0.5,
        np.arange(n, dtype=np.uint64),
    )
    m = len(counts)
    are_young = np.isin(np.arange(m), young or [])
    return offers, Senders(np.full(m, trust), are_young, np.zeros(m, bool), np.arange(m))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Offers, Senders]:
    """Any crowd: up to sixty sources, some prolific, some young, vouched or distrusted; some drawings are copies."""
    m = draw(st.integers(1, 60))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([2, 20, 200]))
    offers, _ = crowd(chance.integers(0, most, m).tolist(), seed=int(chance.integers(1 << 31)))
    offers = replace(offers, digests=chance.integers(0, max(1, 3 * len(offers)), len(offers)).astype(np.uint64))
    young, vouched = chance.random(m) < draw(st.sampled_from([0, 0.3, 1])), chance.random(m) < 0.1
    trust = chance.choice([0.0, 0.1, 0.37, 0.5, 0.9, 1.0], m)
    return offers, Senders(trust, young, vouched, chance.permutation(m))


shares = st.builds(
    Shares,
    budget=st.integers(1, 400),
    young_share=st.sampled_from([0.01, 0.1, 0.5, 1.0]),
    source_share=st.sampled_from([0.01, 0.05, 0.3, 1.0]),
    floor=st.sampled_from([0, 10, 100]),
    source_floor=st.sampled_from([0, 5, 50]),
    source_cap=st.sampled_from([None, 1, 7]),
)


@given(crowds(), shares)
def test_every_share_holds_of_what_is_taught(given_crowd: tuple[Offers, Senders], limits: Shares) -> None:
    """Budget, cap, source share, young share and their floors: each is a share of the lesson itself."""
    offers, senders = given_crowd
    taken = lesson.choose(offers, senders, limits)
    assert len(taken) == len(set(taken.tolist())) <= limits.budget
    sources, total = offers.sources[taken], len(taken)
    each = np.bincount(sources, minlength=len(senders.trust))
    young = senders.young & ~senders.vouched
    weight = np.minimum(1, senders.trust / 0.5)
    missing = max(0, limits.floor - int(each[~young].sum()))
    allowed = np.maximum(limits.source_share * total * weight, limits.source_floor * weight)
    allowed[young] = np.maximum(
        limits.source_share * total * weight, np.minimum(limits.source_floor * weight, missing)
    )[young]
    exempt = senders.vouched
    assert (each[~exempt] <= allowed[~exempt] + 1e-6).all()
    assert each[young].sum() <= max(limits.young_share * total, missing) + 1e-6
    if limits.source_cap is not None:
        assert (each <= limits.source_cap).all()
    assert len(np.unique(offers.digests[taken])) == total


@given(crowds(), shares)
def test_who_stands_first_does_not_depend_on_the_order_of_rows(
    given_crowd: tuple[Offers, Senders], limits: Shares
) -> None:
    """The same uploads are chosen whatever the order of the rows is."""
    offers, senders = given_crowd
    order = np.random.default_rng(0).permutation(len(offers))
    here, there = lesson.choose(offers, senders, limits), lesson.choose(offers[order], senders, limits)
    assert offers.ids[here].tolist() == offers[order].ids[there].tolist()


@given(crowds(), shares)
def test_the_size_is_a_fixed_point(given_crowd: tuple[Offers, Senders], limits: Shares) -> None:
    """The limits of the size that is taught allow exactly this size: the lesson is as large as it says."""
    offers, senders = given_crowd
    counts = np.bincount(offers.sources, minlength=len(senders.trust))
    fitted = lesson.fit(counts, senders, limits)
    again, allowed = lesson._limits(fitted.size, counts, senders, limits)
    assert allowed >= fitted.size
    assert again.young == fitted.young


def test_a_fresh_crowd_does_not_evict_everybody() -> None:
    """Attack 7: 5,000 fresh uploads of 600 new sources beside 1,500 of 50 old ones: a tenth of the lesson, not 99 %."""
    offers, senders = crowd([30] * 50 + [8] * 600, young=list(range(50, 650)))
    taken = lesson.choose(offers, senders, SHARES)
    fresh = np.count_nonzero(offers.sources[taken] >= 50)
    assert len(taken) - fresh == 1_500
    assert 160 <= fresh <= 0.1 * len(taken)
    unlimited = replace(SHARES, young_share=1.0)
    assert np.count_nonzero(offers.sources[lesson.choose(offers, senders, unlimited)] >= 50) > 3_000  # the control


def test_one_source_fills_a_twentieth() -> None:
    """A source with 2,000 uploads among 60 with 40 each teaches 5 % of the lesson."""
    offers, senders = crowd([40] * 60 + [2_000])
    taken = lesson.choose(offers, senders, SHARES)
    most = np.bincount(offers.sources[taken])
    assert most[:60].tolist() == [40] * 60
    assert most[60] == int(0.05 * len(taken))


def test_distrust_makes_a_share_smaller() -> None:
    """Half of the neutral trust, half of the share; more than neutral gives no larger one."""
    offers, senders = crowd([40] * 60 + [2_000] * 3)
    trust = senders.trust.copy()
    trust[60:] = 0.25, 0.5, 1.0
    taken = lesson.choose(offers, replace(senders, trust=trust), SHARES)
    share = len(taken) * 0.05
    assert np.bincount(offers.sources[taken])[60:].tolist() == [int(share / 2), int(share), int(share)]


def test_turns_are_by_source() -> None:
    """A budget for two rounds takes two uploads of each source, its newest correction first."""
    offers, senders = crowd([50] * 20 + [3] * 20)
    taken = lesson.choose(offers, senders, replace(SHARES, budget=80, source_share=1.0))
    assert np.bincount(offers.sources[taken]).tolist() == [2] * 40
    newest = {int(offers.sources[row]): row for row in np.flatnonzero(offers.corrected)}
    assert all(row in taken for row in newest.values()) or len(set(newest)) < 40


def test_distrust_makes_turns_rarer() -> None:
    """A source with trust 0.5 joins every second round of one with trust 1."""
    offers, senders = crowd([60, 60])
    taken = lesson.choose(
        offers, replace(senders, trust=np.array([0.5, 1.0])), replace(SHARES, budget=30, source_share=1)
    )
    assert np.bincount(offers.sources[taken]).tolist() == [10, 20]


def test_rare_digits_are_in() -> None:
    """Of ninety 1s and ten 8s by a hundred sources, a budget of twenty takes all ten 8s and the ten newest 1s."""
    labels = np.array([1] * 90 + [8] * 10, np.uint8)
    offers, senders = crowd([1] * 100)
    offers = replace(offers, labels=labels, corrected=np.ones(100, bool), sources=np.arange(100, dtype=np.int32))
    taken = lesson.choose(offers, senders, replace(SHARES, budget=20, source_share=1.0))
    assert np.sort(taken).tolist() == list(range(80, 100))


def test_a_crowd_with_one_turn_each_offers_its_newest() -> None:
    """Of sources that get one upload in, the newest is taken, not the lowest digit: else a crowd's 7s never teach."""
    offers, senders = crowd([2] * 50)
    offers = replace(
        offers,
        sources=np.repeat(np.arange(50), 2).astype(np.int32),
        labels=np.tile([3, 7], 50).astype(np.uint8),
        corrected=np.ones(100, bool),
    )
    taken = lesson.choose(offers, senders, replace(SHARES, budget=50, source_share=1.0))
    assert set(offers.labels[taken].tolist()) == {7}


def test_the_first_days() -> None:
    """With young sources only, a lesson reaches the floor, and no source takes more than its own floor."""
    offers, senders = crowd([150, 100, 20], young=[0, 1, 2])
    limits = replace(SHARES, floor=200, source_floor=100)
    taken = lesson.choose(offers, senders, limits)
    assert len(taken) == 200
    assert np.bincount(offers.sources[taken]).max() <= 100
    none = lesson.choose(offers, senders, SHARES)
    assert len(none) == 0  # the control: shares alone teach nothing


def test_a_handful_of_testers() -> None:
    """Eight old sources teach up to their floor, although each is more than a twentieth of the lesson."""
    offers, senders = crowd([90] * 7 + [400])
    taken = lesson.choose(offers, senders, replace(SHARES, floor=200, source_floor=100))
    assert np.bincount(offers.sources[taken]).tolist() == [90] * 7 + [100]


def test_vouched_sources_are_exempt() -> None:
    """A young source that an operator vouches for teaches everything; so does an old one."""
    offers, senders = crowd([300, 40], young=[0])
    taken = lesson.choose(offers, replace(senders, vouched=np.array([True, False])), SHARES)
    assert np.bincount(offers.sources[taken], minlength=2).tolist() == [300, 15]


def test_of_copies_the_oldest_or_most_trusted_stays() -> None:
    """Attack 13: one image by thirty sources with ten labels is one row, of the source that deserves it most."""
    offers, senders = crowd([1] * 30)
    offers = replace(offers, digests=np.zeros(30, np.uint64), sources=np.arange(30, dtype=np.int32))
    limits = replace(SHARES, source_share=1.0)
    assert lesson.choose(offers, senders, limits).tolist() == [0]
    trust = senders.trust.copy()
    trust[17] = 0.8
    assert lesson.choose(offers, replace(senders, trust=trust), limits).tolist() == [17]
    vouched = np.arange(30) == 4
    assert lesson.choose(offers, replace(senders, trust=trust, vouched=vouched), limits).tolist() == [4]


def test_what_is_left_out_is_not_chosen() -> None:
    """Rows that are left out are never chosen, and another takes the place."""
    offers, senders = crowd([20, 20])
    limits = replace(SHARES, budget=10, source_share=1.0)
    first = lesson.choose(offers, senders, limits)
    second = lesson.choose(offers, senders, limits, np.isin(np.arange(40), first))
    assert len(second) == 10
    assert not set(first.tolist()) & set(second.tolist())


def test_nothing_offered() -> None:
    """No uploads, or no sources, are an empty lesson."""
    for counts in ([], [0, 0]):
        offers, senders = crowd(counts)
        assert len(lesson.choose(offers, senders, SHARES)) == 0
