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
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
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
