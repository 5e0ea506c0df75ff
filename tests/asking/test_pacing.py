"""The pace on a real store: it is kept, the queue and the policy follow it, and the settings overrule it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop.asking import announcing, kept_pace, kept_worth, nightly, pacing, upkeep
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Asking
from loop.home.settings import Settings
from loop.store import Store
from loop.store.asking import policies, questions
from loop.store.asking.values import Arm, QuestionStatus, Word
from tests.asking.conftest import ask, drawing, send
from tests.conftest import NOW
from tests.feed.conftest import Office

LATER = NOW + timedelta(days=1)  # questions of one day count against its number
RULES = Asking(per_day=40, least_per_day=4)


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home with a champion, 120 answers by lot that agree with the phones, a flat curve, and a pool."""
    home = Home(Settings(home=tmp_path, ask=RULES), store, Artifacts(tmp_path / "artifacts"))
    Office(home, tmp_path / "feed").register()
    ids = [each.id for each in send(store, *(drawing(f"person {seed % 10}", seed) for seed in range(120)))]
    ask(store, ids, arm=Arm.RANDOM)
    with store.exclusive() as tx:
        for question in questions.open_for(tx, "ada", 200, NOW):
            questions.close(tx, question.id, QuestionStatus.ANSWERED, Word(question.predicted), NOW)
    flat = [
        {"labels": n, "seeds": 3, "accuracy": {"value": 0.99, "low": 0.98, "high": 1.0}} for n in (0, 25, 50, 100, 200)
    ]
    kept_worth.keep(home, {"at": "2026-05-01T00:00:00Z", "text": "", "family": "cnn", "curves": {"asked": flat}})
    send(store, *(drawing("later", seed) for seed in range(1_000, 1_060)))
    return home


def test_the_queue_and_the_policy_follow(home: Home) -> None:
    """Nothing is left to learn: the least is asked, and the policy says why; asked again, nothing changes."""
    assert upkeep.follow(home, "cnn", LATER) is not None
    with home.store.read() as tx:
        assert kept_pace.per_day(tx, RULES) == 4
        counts = questions.counts(tx)
        policy = policies.latest(tx)
    opened = sum(n for (_, status), n in counts.items() if status is QuestionStatus.OPEN)
    assert opened == 4
    assert policy is not None
    assert "4 questions a day instead of ask.per_day (40)" in policy.reasons
    assert "another 100 answers are expected to fix about 0 digits in 10,000" in policy.reasons
    assert not pacing.adapt(home, "cnn", LATER).moved


def test_the_settings_overrule(home: Home) -> None:
    """Without ``ask.adapt`` the day's number is ``ask.per_day``, also if another was kept."""
    pacing.adapt(home, "cnn", NOW)
    settings = home.settings.model_copy(update={"ask": replace(RULES, adapt=False)})
    fixed = Home(settings, home.store, home.artifacts)
    assert pacing.adapt(fixed, "cnn", NOW) == pacing.Pace(40, ())
    with home.store.read() as tx:
        assert kept_pace.per_day(tx, settings.ask) == 40
    asked = nightly.ask(fixed, "cnn", LATER)
    assert asked.random + asked.asked == 40


def test_a_moved_pace_is_announced_with_its_reasons(home: Home) -> None:
    """Also if the policy's numbers stay as they are: what was decided can be read where policies are."""
    announcing.announce(home, NOW)
    pace = pacing.adapt(home, "cnn", NOW + timedelta(minutes=1))
    assert pace.moved
    proposal = announcing.announce(home, NOW + timedelta(minutes=1), pace)
    assert proposal is not None
    assert proposal.reasons[-len(pace.reasons) :] == pace.reasons


def test_answers_that_contradict_keep_the_pace(home: Home) -> None:
    """A twentieth of the last answers by lot differ from the phone's model."""
    with home.store.exclusive() as tx:
        for number in range(1, 7):
            questions.close(tx, number, QuestionStatus.ANSWERED, Word(9), NOW + timedelta(minutes=number))
    assert pacing.adapt(home, "cnn", NOW).per_day == 40
