"""What asking is worth, measured on a real store with a real small family."""

import json
from itertools import count

import numpy as np
import pytest

from loop import home as homes
from loop import intake
from loop.asking import kept_worth, outcomes
from loop.asking.worth import ASKED, RANDOM
from loop.data import corpus as corpora
from loop.data.digits import digit
from loop.errors import RunInProgress
from loop.home import Home
from loop.intake import Receipt, Upload
from loop.night import lease, worth
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus, Word
from loop.store.nights import runs
from loop.store.values import Kind, RunStatus
from tests.asking.conftest import ask
from tests.conftest import NOW
from tests.helpers.people import season
from tests.night.test_retrain import home, rolled

__all__ = ["home"]  # the fixture


@pytest.fixture
def answered(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Ten people draw shifted digits, which the base misreads; half are asked about by lot, and all are answered."""
    monkeypatch.setattr(worth, "LEAST_JUDGES", 30)
    corpus = homes.corpus(home.settings, "mnist")
    strange, drawings = rolled(corpus.train_images), []
    for row in range(300):
        label = int(corpus.train_labels[row])
        drawings.append(
            Upload(
                f"person-{row % 10}",
                digit(strange[row]),
                None,
                kind=Kind.DRAWING,
                predicted=(label + 1) % 10,
                confidence=0.5,
                runner_up=label,
                runner_up_confidence=0.4,
            )
        )
    receipts = intake.accept_many(home.store, drawings, home.settings.holdout_share, NOW)
    ids = [each.id for each in receipts if isinstance(each, Receipt)]
    labels = dict(zip(ids, corpus.train_labels[:300].tolist(), strict=True))
    ask(home.store, [number for number in ids if number // 10 % 2], arm=Arm.RANDOM)
    ask(home.store, [number for number in ids if not number // 10 % 2])
    season(home.store)
    with home.store.exclusive() as tx:  # as ``review.answer`` does, in one transaction
        for question in questions.open_for(tx, "ada", 300, NOW):
            assert question.correction_id is not None
            word = Word(labels[question.correction_id])
            questions.close(tx, question.id, QuestionStatus.ANSWERED, word, NOW)
            outcomes.decide(tx, question, word, NOW)
    return home


def test_the_curves_of_both_arms(answered: Home) -> None:
    """Every point is a taught model; the shifted digits are learned; the result is kept, and no version is made."""
    found = worth.measure(answered, "cnn", 10, seeds=1)
    assert found.done == found.planned >= 6
    assert found.judges >= 30
    for arm in (ASKED, RANDOM):
        first, *_, last = found.curves[arm]
        assert (first.labels, first.seeds, last.labels) == (0, 1, 50)
        assert last.accuracy.value > first.accuracy.value + 0.2
    assert found.reach is not None
    assert found.reach.labels[RANDOM].value > 0
    kept = json.loads(kept_worth.path(answered).read_text())
    assert (kept["text"], kept["done"]) == (found.text, found.done)
    assert found.text.endswith("some sizes were trained once, and there the intervals allow for the judges only")
    with answered.store.read() as tx:
        run = runs.recent(tx)[0]
        assert (run.kind, run.status) == ("dry-run", RunStatus.FINISHED)
        assert tx.connection().exec_driver_sql("SELECT count(*) FROM versions").scalar() == 1


def test_it_ends_when_its_time_is_over(answered: Home) -> None:
    """One training at least; then it says how many of the points fitted."""
    minutes = count()
    found = worth.measure(answered, "cnn", 2.5, seeds=2, monotonic=lambda: 60.0 * next(minutes))
    assert 1 <= found.done < found.planned
    assert f"{found.done} of {found.planned} trainings fitted into the time" in found.text


def test_the_same_answers_give_the_same_curve(answered: Home) -> None:
    """Subsets and trainings follow from the seeds."""
    one, two = (worth.measure(answered, "cnn", 10, seeds=1) for _ in range(2))
    assert one.curves == two.curves


def test_too_little_is_said(home: Home) -> None:
    """A deployment without answers learns what is missing, and no run is started."""
    found = worth.measure(home, "cnn", 1)
    assert not found.curves
    assert found.text == (
        "too little to measure yet (judging answers (slice users): 0, need 100; their hands: 0, need 3; "
        "asked answers that teach: 0, need 10; random answers that teach: 0, need 10)"
    )
    with home.store.read() as tx:
        assert {run.kind for run in runs.recent(tx)} == {"base"}


def test_no_night_teaches_meanwhile(answered: Home) -> None:
    """While a run is under way, the measurement is refused."""
    with lease.hold(answered, "cnn", "night", lambda: NOW), pytest.raises(RunInProgress):
        worth.measure(answered, "cnn", 1, clock=lambda: NOW)


def test_larger_lessons_contain_smaller() -> None:
    """So a curve shows what more labels add, not what other labels say."""
    taught = worth.Taught(np.zeros((40, 28, 28), np.uint8), np.arange(40, dtype=np.uint8))
    corpus = corpora.digits()
    small, large = (worth._lesson(corpus, taught, worth.Task(ASKED, n, 3)).labels for n in (10, 25))
    np.testing.assert_array_equal(large[:10], small)
