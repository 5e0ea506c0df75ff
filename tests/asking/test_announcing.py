"""The policy that is announced: what it is computed from."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop.asking import announcing
from loop.asking.policy import Arrivals
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store
from loop.store.asking import policies, pool
from loop.store.asking.policies import SetPolicy
from loop.store.values import Kind
from tests.asking.conftest import drawing, send
from tests.conftest import NOW

DAY = timedelta(days=1)
DOCUMENT = {"margin_ppm": 300_000, "unsure_ppm": 1_000_000, "other_ppm": 10_000, "ask_user": False, "asked_a_day": 0}


@pytest.mark.parametrize(("first", "last", "a_day"), [(10, 1, 2.0), (10, 8, 2.0), (3, 1, 14 / 3), (0, 0, 14.0)])
def test_arrivals_are_counted_over_the_days_on_which_phones_sent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, last: int, a_day: float
) -> None:
    """Fourteen drawings within the window: a change of the policy yesterday does not make them a day's."""
    home = Home(Settings(home=tmp_path, actor="ops"), store, Artifacts(tmp_path / "artifacts"))
    with store.exclusive() as tx:
        for days in (first, last):
            policies.add(tx, SetPolicy(DOCUMENT, ("a test",), "ops", NOW - days * DAY))
    send(store, *(replace(drawing("a phone", seed), rate=1.0) for seed in range(14)))
    seen: list[Arrivals] = []

    def propose(before: object, arrivals: Arrivals, capacity: object) -> object:
        seen.append(arrivals)
        return real(before, arrivals, capacity)  # type: ignore[arg-type]

    real = announcing.propose
    monkeypatch.setattr(announcing, "propose", propose)
    announcing.announce(home, NOW)
    assert seen[0].per_day() == pytest.approx(a_day)


def test_answers_of_users_count_as_what_phones_decided_to_send(store: Store) -> None:
    """With the least margin that their one probability allows; one that replaces a drawing counts as the drawing."""
    asked = replace(
        drawing("a phone", 1), kind=Kind.ASKED, label=7, runner_up=None, runner_up_confidence=None, rate=0.5
    )
    twice = replace(drawing("a phone", 2), rate=0.25)
    send(
        store,
        replace(asked, confidence=0.6),
        replace(asked, image=drawing("", 3).image, key="unsure of all", confidence=0.3),
        replace(asked, image=drawing("", 4).image, key="no confidence", confidence=None),
        twice,
        replace(asked, image=twice.image, key="twice"),
    )
    with store.read() as tx:
        margins, rates = pool.phone_margins(tx, NOW - DAY)
    assert sorted(zip(margins.round(9).tolist(), rates.tolist(), strict=True)) == [
        (0.0, 0.5),
        (0.0, 0.5),
        (0.1, 0.25),
        (0.2, 0.5),
    ]
    assert Arrivals(margins, rates, 1).per_day(0.15) == 8
