"""The chance of a drawing is the server's, by the policies that it announced and the drawing's own margin."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop import intake
from loop.errors import RateNotAnnounced
from loop.feed.asking import AskingPolicy, decide
from loop.feed.document import MILLION
from loop.intake import Receipt, Upload, announced_chances
from loop.intake.announced_rates import AnnouncedRates
from loop.store import Store, tables
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from loop.store.values import Kind
from tests.conftest import NOW
from tests.intake.test_intake import drawn

DAY = timedelta(days=1)
POLICY = AskingPolicy(300_000, 500_000, 10_000, True, 3)


def set_(policy: AskingPolicy, at: datetime) -> SetPolicy:
    """A policy that was set then."""
    return SetPolicy(asdict(policy), ("a test",), "ops", at)


def announce(store: Store, policy: AskingPolicy, at: datetime) -> None:
    """Set a policy."""
    with store.exclusive() as tx:
        policies.add(tx, set_(policy, at))


def drawing(seed: int, rate: float | None, best: float = 0.5, second: float = 0.4, **fields: Any) -> Upload:
    """A drawing with these probabilities."""
    said = {"predicted": 1, "confidence": best, "runner_up": 7, "runner_up_confidence": second} | fields
    return Upload("phone", drawn(seed), None, kind=Kind.DRAWING, rate=rate, **said)


def stored_rate(store: Store, upload: Upload, now: datetime, rates: AnnouncedRates) -> float:
    """The rate with which it is stored. Raises its refusal."""
    (answer,) = intake.commit(store, [intake.prepare(upload, now)], 0.2, now, announced=rates)
    if not isinstance(answer, Receipt):
        raise answer
    with store.read() as tx:
        return tx.get_one(tables.Correction, answer.id).rate


@given(
    margin=st.integers(0, MILLION),
    unsure=st.integers(1, MILLION),
    other=st.integers(1, MILLION),
    best=st.floats(0.5, 1),
    share=st.floats(0, 1),
)
def test_a_phone_that_follows_the_policy_is_believed(
    margin: int, unsure: int, other: int, best: float, share: float
) -> None:
    """Whatever policy and probabilities: the rate of the phone's decision is the first that the server expects."""
    policy, second = AskingPolicy(margin, unsure, other), (1 - best) * share
    rate = decide(policy, best, second, 0, 0).rate
    columns = {"kind": Kind.DRAWING, "confidence": best, "runner_up_confidence": second}
    timeline = announced_chances.after((), [set_(policy, NOW)])
    assert rate in announced_chances.of(timeline, columns, NOW)


@pytest.mark.parametrize(("stated", "stored"), [(None, 0.5), (0.5, 0.5), (0.25, 0.5), (1.0, 0.5)])
def test_within_a_factor_of_two(store: Store, now: datetime, stated: float | None, stored: float) -> None:
    """The announced chance is stored."""
    announce(store, POLICY, now - DAY)
    assert stored_rate(store, drawing(1, stated), now, AnnouncedRates(store, 0.05)) == stored


@pytest.mark.parametrize("stated", [0.24, 0.01, 1e-6])
def test_any_other_is_refused(store: Store, now: datetime, stated: float) -> None:
    """With the announced chance; a rare one would give the drawing the weight of a thousand others."""
    announce(store, POLICY, now - DAY)
    with pytest.raises(RateNotAnnounced, match=r"expected 0\.5, announced by the asking policy"):
        stored_rate(store, drawing(1, stated), now, AnnouncedRates(store, 0.05))


def test_a_new_policy_is_known_at_once(store: Store, now: datetime) -> None:
    """The cache is read again where a drawing states what it lacks, whatever its age."""
    rates = AnnouncedRates(store, 0.05, monotonic=lambda: 0.0)
    with pytest.raises(RateNotAnnounced, match="no asking policy was ever set"):
        stored_rate(store, drawing(1, 0.5), now, rates)
    announce(store, POLICY, now - DAY)
    assert stored_rate(store, drawing(1, 0.5), now, rates) == 0.5
    announce(store, AskingPolicy(300_000, 100_000, 0), now)
    assert stored_rate(store, drawing(2, 0.1), now, rates) == 0.1
    sure = drawing(3, None, 0.98, 0.01)
    assert stored_rate(store, sure, now, rates) == 0.01  # of the policy before, which counts for 30 days
    with pytest.raises(RateNotAnnounced, match="gives it the chance 0"):
        stored_rate(store, drawing(4, 0.01, 0.98, 0.01), now + 31 * DAY, rates)


def test_confirmations_go_on_as_before(store: Store, now: datetime) -> None:
    """A policy says nothing about them, and the feed's rate nothing about drawings."""
    announce(store, POLICY, now - DAY)
    rates = AnnouncedRates(store, 0.05)
    agreed = Upload("phone", drawn(5), 4, kind=Kind.CONFIRMATION, predicted=4, rate=0.05)
    assert stored_rate(store, agreed, now, rates) == 0.05
    with pytest.raises(RateNotAnnounced, match="announced by the feed"):
        stored_rate(store, Upload("phone", drawn(6), 4, kind=Kind.CONFIRMATION, predicted=4, rate=0.5), now, rates)
    with pytest.raises(RateNotAnnounced, match="announced by the asking policy"):
        stored_rate(store, drawing(7, 0.05), now, rates)
