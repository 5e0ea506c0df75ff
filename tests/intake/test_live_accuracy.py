"""Test, then train: the right champion scores each upload, whatever fails, and live accuracy is correct."""

import io
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import select, text

from loop import intake, registry
from loop.cli import output
from loop.cli import versions as cli_versions
from loop.data.digits import digit
from loop.errors import BadModel
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import Upload, live_accuracy
from loop.intake.live_accuracy import FailedVersions, Scorer, score_waiting
from loop.store import Store, tables, values
from loop.store.feedback import live_accuracy as stored_accuracy
from loop.store.feedback import live_scores as stored
from loop.store.nights import runs, versions
from loop.store.values import Kind
from models.family import Card
from tests.conftest import NOW
from tests.helpers import crowd
from tests.helpers.linear import Line
from tests.store.conftest import version
from tests.test_registry import WHY

HOUR = timedelta(hours=1)
LEAST_RATE = 0.025  # half of the announced one
SURE = 1.0 / (1.0 + 9 * np.exp(-10))  # a stubborn model's confidence


@pytest.fixture
def home(store: Store, tmp_path: Path) -> Home:
    """A home without versions."""
    return Home(Settings(home=tmp_path), store, Artifacts(tmp_path / "artifacts"))


def stubborn(says: int) -> bytes:
    """A real file that reads every picture as one digit."""
    arrays = {"digits/kernel": np.zeros((784, 10), np.float32), "digits/bias": 10 * np.eye(10, dtype=np.float32)[says]}
    return Line(arrays).export(Card("", "", "", "1", {}))


def crown(home: Home, data: bytes, moment: datetime, family: str = "cnn") -> int:
    """Register this file and promote it."""
    with home.store.exclusive() as tx:
        run = runs.claim(tx, family, "night", runs.me(), 60, moment)
        runs.reserve(tx, run.id)
        run = runs.get(tx, run.id)
        runs.finish(tx, run.id, values.RunStatus.FINISHED, None, {}, moment)
        digest = home.artifacts.put(data, ".mlmodel")
        new = version(run, artifact_digest=digest, registered_at=moment, summary={"slices": []})
        registry.register(tx, new, [values.Verdict(new.number, "good enough", "passed", {}, moment)], WHY, moment)
        registry.promote_in(tx, new, WHY, moment)
    return new.number


def arrive(home: Home, moment: datetime, count: int = 1, label: int = 0) -> list[int]:
    """Upload new pictures; their ids."""
    seed = int(moment.timestamp()) + label
    pictures = np.random.default_rng(seed).integers(1, 255, (count, 28, 28), np.uint8)
    sent = [Upload("someone", digit(picture), label, kind=Kind.CORRECTION, predicted=9) for picture in pictures]
    answers = intake.accept_many(home.store, sent, 0.2, moment)
    return [answer.id for answer in answers if isinstance(answer, intake.Receipt)]


def scores(home: Home) -> dict[int, tuple[int | None, int | None, datetime | None]]:
    """Version, answer and time of every arrival."""
    with home.store.read() as tx:
        rows = tx.scalars(select(tables.Arrival).order_by(tables.Arrival.correction_id))
        return {row.correction_id: (row.version, row.said, row.scored_at) for row in rows}


def test_the_champion_of_the_moment_speaks(home: Home) -> None:
    """Before any champion, under each of two, after a rollback: scored much later, all at once, and only once."""
    early = arrive(home, NOW)
    first = crown(home, stubborn(1), NOW + HOUR)
    under_first = arrive(home, NOW + HOUR)  # at the very moment
    second = crown(home, stubborn(2), NOW + 2 * HOUR)
    under_second = arrive(home, NOW + 2.5 * HOUR)
    registry.rollback(home, "cnn", first, WHY, NOW + 3 * HOUR)
    again = arrive(home, NOW + 4 * HOUR, label=5)
    crown(home, stubborn(7), NOW, family="svm")  # another family's champion has no say
    late = NOW + timedelta(days=30)
    assert score_waiting(home, late) == 4
    expected = {early[0]: (None, None), under_first[0]: (first, 1), under_second[0]: (second, 2), again[0]: (first, 1)}
    assert scores(home) == {upload: (*said, late) for upload, said in expected.items()}
    assert score_waiting(home, late) == 0


def test_it_is_the_champion_that_the_ledger_names(home: Home) -> None:
    """For any moment the same answer as ``versions.holder`` with ``as_of``."""
    for hour in range(0, 6, 2):
        crown(home, stubborn(hour), NOW + hour * HOUR)
    moments = [NOW + timedelta(minutes=minutes) for minutes in range(-30, 330, 17)]
    uploads = {arrive(home, moment)[0]: moment for moment in moments}
    score_waiting(home, NOW)
    with home.store.read() as tx:
        expected = {upload: versions.holder(tx, "cnn", as_of=moment) for upload, moment in uploads.items()}
    assert {upload: found for upload, (found, _, _) in scores(home).items()} == expected
    assert len(set(expected.values())) == 4


def test_a_limit_takes_the_oldest_first(home: Home) -> None:
    """In three steps, none is scored twice, and each confidence is the file's."""
    crown(home, stubborn(4), NOW)
    uploads = arrive(home, NOW, 25)
    done = [score_waiting(home, NOW, limit=10)]
    assert [upload for upload, found in scores(home).items() if found[2]] == uploads[:10]
    done += [score_waiting(home, NOW, limit=10) for _ in range(3)]
    assert done == [10, 10, 5, 0]
    with home.store.read() as tx:
        confidences = tx.scalars(select(tables.Arrival.confidence)).all()
    assert confidences == pytest.approx([SURE] * 25, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [b"", b"not a model", None])
def test_a_broken_file_keeps_only_its_own_waiting(
    home: Home, caplog: pytest.LogCaptureFixture, harm: bytes | None
) -> None:
    """A missing or corrupt file logs one error a minute and does not stop others; repaired, it scores its uploads."""
    broken = crown(home, stubborn(1), NOW)
    waiting = arrive(home, NOW + HOUR, 5)
    crown(home, stubborn(2), NOW + 2 * HOUR)
    fine = arrive(home, NOW + 3 * HOUR, 5)
    with home.store.read() as tx:
        path = home.artifacts.path(versions.get(tx, broken).artifact_digest, ".mlmodel")
    sound = path.read_bytes()
    path.unlink() if harm is None else path.write_bytes(harm)
    failed = FailedVersions()
    # A limit of five: the uploads of the broken version come first, and must not block the others for ever.
    done = [score_waiting(home, NOW + timedelta(seconds=second), 5, failed) for second in range(10)]
    assert sum(done) == 5
    assert {upload for upload, found in scores(home).items() if found[2]} == set(fine)
    assert len([record for record in caplog.records if f"version {broken}" in record.message]) == 1
    path.write_bytes(sound)
    assert score_waiting(home, NOW + timedelta(seconds=59), 5, failed) == 0
    assert score_waiting(home, NOW + timedelta(seconds=61), 5, failed) == 5
    assert {scores(home)[upload][:2] for upload in waiting} == {(broken, 1)}


def test_bytes_that_are_no_model(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """An intact artifact that does not load is handled and logged like a missing one."""
    crown(home, b"these bytes have the right digest", NOW)
    arrive(home, NOW + HOUR)
    assert score_waiting(home, NOW) == 0
    assert "cannot score" in caplog.text
    assert list(scores(home).values()) == [(None, None, None)]


def test_a_model_without_an_answer_counts_as_wrong(home: Home) -> None:
    """If a file gives no finite numbers, the row names its version, and live accuracy counts an error."""
    arrays = {"digits/kernel": np.full((784, 10), np.inf, np.float32), "digits/bias": np.zeros(10, np.float32)}
    number = crown(home, Line(arrays).export(Card("", "", "", "1", {})), NOW)
    arrive(home, NOW)
    try:
        assert score_waiting(home, NOW) == 1
    except BadModel:
        pytest.fail("a diverged model must not stop the scorer")
    assert next(iter(scores(home).values())) == (number, None, NOW)
    with home.store.read() as tx:
        (found,) = stored_accuracy.live(tx, LEAST_RATE)
    assert (found.version, found.how, found.n, found.accuracy) == (number, "said", 1, 0.0)


@pytest.mark.slow
def test_the_thread_scores_what_is_stored(home: Home) -> None:
    """The scorer scores the uploads from before and after its start; closing is prompt and leaves the rest."""
    crown(home, stubborn(3), NOW)
    arrive(home, NOW, 300)
    scorer = Scorer(home)
    scorer.start()
    try:
        assert _holds(lambda: _unscored(home) == 0)
        arrive(home, NOW + HOUR, 2)
        scorer.poke()
        assert _holds(lambda: _unscored(home) == 0, live_accuracy.POLL_SECONDS * 0.8)
    finally:
        begin = time.monotonic()
        scorer.close()
    assert time.monotonic() - begin < 2
    arrive(home, NOW + 2 * HOUR)
    scorer.poke()
    assert _unscored(home) == 1


@pytest.mark.slow
def test_the_thread_outlives_the_database(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the table is missing the scorer warns and waits; afterwards it scores everything."""
    monkeypatch.setattr(live_accuracy, "POLL_SECONDS", 0.05)
    caplog.set_level(logging.WARNING)
    crown(home, stubborn(3), NOW)
    arrive(home, NOW, 3)
    _rename(home, "arrivals", "gone")
    scorer = Scorer(home)
    scorer.start()
    try:
        assert _holds(lambda: "not being scored" in caplog.text)
        _rename(home, "gone", "arrivals")
        assert _holds(lambda: _unscored(home) == 0)
    finally:
        scorer.close()


@pytest.mark.parametrize("seed", range(3))
def test_live_accuracy_is_the_truth_and_the_plain_share_is_not(home: Home, seed: int) -> None:
    """95 % right, all errors sent and a twentieth of the rest: half the uploads are right, the estimate says 95 %."""
    number = crown(home, stubborn(1), NOW)
    sent = crowd.write(seed, people=60, each=40, accuracy=0.95)
    assert sent.right.mean() < 0.65
    with home.store.write() as tx:
        crowd.send(tx, sent, NOW, version=number, arrived=number)
    with home.store.read() as tx:
        told, said = stored_accuracy.live(tx, LEAST_RATE)
    assert (told.how, said.how) == ("told", "said")
    for found in (told, said):
        assert (found.version, found.n, found.sources) == (number, len(sent.right), len(np.unique(sent.people)))
        assert found.low <= 0.95 <= found.high
        assert found.high - found.low < 0.1
        assert found.effective_n < 30 * found.n


@pytest.mark.parametrize(
    ("people", "each", "accuracy", "alike"),
    [(40, 30, 0.95, 1e9), (40, 30, 0.95, 10), (200, 10, 0.98, 20), (10, 100, 0.95, 20), (500, 20, 0.99, 20)],
)
def test_the_interval_covers_as_often_as_it_says(people: int, each: int, accuracy: float, alike: float) -> None:
    """Over 400 crowds, at least 94 % of the intervals contain the truth, even if sources differ; the plain share never
    does.
    """
    covered = naive = 0
    for seed in range(400):
        sent = crowd.write(seed, people, each, accuracy, alike=alike)
        found = stored_accuracy._live(crowd.tally(sent))
        covered += found.low <= accuracy <= found.high
        naive += found.low <= sent.right.mean() <= found.high
    assert covered >= 0.94 * 400
    assert naive <= 0.01 * 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_sums_are_made_in_the_database(home: Home, seed: int) -> None:
    """The sums equal numpy's over random crowds, rates and versions, without uploads of other versions."""
    random, expected = np.random.default_rng(seed), {}
    for number in (crown(home, stubborn(1), NOW), crown(home, stubborn(2), NOW)):
        sent = crowd.write(seed + number, 12, 30, 0.8, rate=float(random.uniform(0.05, 1)))
        with home.store.write() as tx:
            crowd.send(tx, sent, NOW, version=number, arrived=3 - number)
        expected[number, "told"], expected[3 - number, "said"] = sent, sent
    with home.store.read() as tx:
        found = {(tally.version, tally.how): tally for tally in stored.sums(tx, LEAST_RATE)}
    assert found.keys() == expected.keys()
    for key, sent in expected.items():
        one, other = found[key], crowd.tally(sent, *key)
        for name in stored.LiveSums.__slots__:
            assert getattr(one, name) == pytest.approx(getattr(other, name)), name


@pytest.mark.slow
def test_live_accuracy_on_the_command_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has one column with a dash where there is no evidence; the JSON has the figures of both kinds."""
    first, second = crown(home, stubborn(1), NOW), crown(home, stubborn(2), NOW)
    assert "live" not in _printed(home, monkeypatch)
    sent = crowd.write(1, people=60, each=40, accuracy=0.95)
    with home.store.write() as tx:
        crowd.send(tx, sent, NOW, version=first, arrived=second)
    rows = {row["number"]: row["live"] for row in cli_versions.documents(home)}
    told, said = rows[first]["told"], rows[second]["said"]
    assert list(rows[first]) == ["told"]
    assert told["n"] == said["n"] == len(sent.right)
    cell = f"{100 * told['accuracy']:.1f} ±{50 * (told['high'] - told['low']):.1f} %"
    assert _printed(home, monkeypatch).count(cell) == 2
    crown(home, stubborn(3), NOW)
    assert "–" in _printed(home, monkeypatch)


@pytest.mark.slow
def test_what_says_nothing_about_a_version(home: Home) -> None:
    """Unknown version numbers, imported handwriting and unscored uploads are not counted."""
    number = crown(home, stubborn(1), NOW)
    sent = crowd.write(0, 3, 30, 0.8)
    with home.store.write() as tx:
        crowd.send(tx, sent, NOW, version=number + 1000)
        crowd.send(tx, sent, NOW, version=None)
        crowd.send(tx, sent, NOW, version=number, arrived=number, told=False)
    arrive(home, NOW)
    with home.store.read() as tx:
        assert stored_accuracy.live(tx, LEAST_RATE) == []


def test_a_rate_that_nobody_announced_is_set_aside(home: Home) -> None:
    """A row from before the check, with a rate of 1e-300, neither overflows a sum nor outweighs hundreds of others."""
    number = crown(home, stubborn(1), NOW)
    sent = crowd.write(0, 50, 40, 0.95)
    sent.rates[int(np.flatnonzero(sent.right)[0])] = 1e-300
    with home.store.write() as tx:
        crowd.send(tx, sent, NOW, version=number)
    with home.store.read() as tx:
        (found,) = stored_accuracy.live(tx, LEAST_RATE)
        (tally,) = stored.sums(tx, LEAST_RATE)
    assert tally.heaviest == pytest.approx(1 / 0.05)
    assert found.n == len(sent.right) - 1
    assert found.low <= 0.95 <= found.high


def _printed(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    shown = Console(width=120, file=io.StringIO(), record=True)
    monkeypatch.setattr(output, "console", shown)
    cli_versions.listing(cli_versions.documents(home))
    return shown.export_text()


def _unscored(home: Home) -> int:
    with home.store.read() as tx:
        return stored.backlog(tx)


def _rename(home: Home, old: str, new: str) -> None:
    with home.store.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def _holds(truth: Callable[[], bool], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if truth():
            return True
        time.sleep(0.02)
    return truth()
