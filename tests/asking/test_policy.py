"""The policy that phones follow: enough drawings for the reviewers, no jumps, and a reason for each number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.asking.policy import LEAST_PPM, MARGINS_PPM, WANTED_PER_ANSWER, Arrivals, Capacity, differs, propose
from loop.feed.asking import AskingPolicy, decide
from loop.feed.document import MILLION

NOTHING = Arrivals(np.zeros(0), np.zeros(0), 7)
CAPACITY = Capacity(100, 0.15, False, 0)


def week(drawn_a_day: int, policy: AskingPolicy, seed: int) -> Arrivals:
    """What arrives in a week of people who draw so much, if their phones follow the policy."""
    random = np.random.default_rng(seed)
    margins = random.beta(3, 0.5, 7 * drawn_a_day)
    lots = random.integers(0, MILLION, len(margins))
    decisions = [
        decide(policy, (1 + margin) / 2, (1 - margin) / 2, int(lot), 0)
        for margin, lot in zip(margins, lots, strict=True)
    ]
    sent = np.array([each.send for each in decisions])
    return Arrivals(margins[sent], np.array([each.rate for each in decisions])[sent], 7)


@pytest.mark.parametrize("drawn_a_day", [300, 3_000, 30_000])
def test_the_policy_settles_where_reviewers_can_follow(drawn_a_day: int) -> None:
    """After some weeks as many drawings arrive as are wanted, or all unsure ones if people draw too few."""
    policy = propose(None, NOTHING, CAPACITY).policy
    for number in range(8):
        arrived = week(drawn_a_day, policy, number)
        policy = propose(policy, arrived, CAPACITY).policy
    a_day = len(week(drawn_a_day, policy, 99).rates) / 7
    wanted = WANTED_PER_ANSWER * CAPACITY.answers_a_day
    if drawn_a_day < wanted:
        assert policy.unsure_ppm == MILLION
    else:
        assert 0.7 * wanted < a_day < 1.4 * wanted


@given(
    margins=st.lists(st.floats(0, 1), max_size=30),
    rate=st.floats(1e-6, 1),
    before=st.tuples(st.sampled_from(MARGINS_PPM), st.integers(1, MILLION), st.integers(0, MILLION)),
    answers=st.integers(0, 10_000),
)
def test_any_week_gives_a_policy(margins: list[float], rate: float, before: tuple[int, int, int], answers: int) -> None:
    """Whatever arrived: members within their range, and none more than twice or less than half of before."""
    last = AskingPolicy(*before)
    arrived = Arrivals(np.array(margins), np.full(len(margins), rate), 7)
    proposal = propose(last, arrived, Capacity(answers, 0.15, True, 3))
    policy = proposal.policy
    assert proposal.reasons
    pairs = (
        (last.margin_ppm, policy.margin_ppm),
        (last.unsure_ppm, policy.unsure_ppm),
        (max(last.other_ppm, LEAST_PPM), policy.other_ppm),
    )
    for old, new in pairs:
        assert 0 <= new <= MILLION
        assert not answers or not margins or old // 2 <= new <= 2 * old or new == LEAST_PPM


def test_the_margin_moves_by_a_factor_of_two_at_once() -> None:
    """One week without unsure drawings, or full of them; the chance is that of the margin which is announced."""
    last = AskingPolicy(300_000, 500_000, 10_000)
    few = propose(last, Arrivals(np.array([0.99] * 70), np.ones(70), 7), CAPACITY)
    assert few.policy.margin_ppm == 600_000
    assert few.reasons[0] == (
        "below a margin of 0.6 people draw 0 a day, 340 are wanted; "
        "the margin moves to 0.9, at most by a factor of two at once"
    )
    assert propose(few.policy, Arrivals(np.array([0.99] * 70), np.ones(70), 7), CAPACITY).policy.margin_ppm == 900_000
    many = propose(last, Arrivals(np.array([0.01] * 70_000), np.ones(70_000), 7), CAPACITY)
    assert (many.policy.margin_ppm, many.policy.unsure_ppm) == (150_000, 250_000)
    nothing = AskingPolicy(0, 500_000, 10_000)  # set by hand
    assert propose(nothing, Arrivals(np.array([0.99] * 70), np.ones(70), 7), CAPACITY).policy.margin_ppm == 100_000


def test_no_reviewers_no_drawings() -> None:
    """With a capacity of 0 phones send nothing, and the reason names the setting."""
    proposal = propose(None, NOTHING, Capacity(0, 0.15, False, 0))
    assert not decide(proposal.policy, 0.5, 0.5, 0, 0).send
    assert "ask.per_day" in proposal.reasons[0]


def test_a_small_change_is_not_worth_a_new_policy() -> None:
    """Ten percent is the limit; asking the user or not always counts."""
    one = AskingPolicy(300_000, 500_000, 10_000)
    assert not differs(one, AskingPolicy(300_000, 520_000, 10_500))
    assert differs(one, AskingPolicy(300_000, 600_000, 10_000))
    assert differs(one, AskingPolicy(300_000, 500_000, 10_000, True, 3))
    assert differs(None, one)
