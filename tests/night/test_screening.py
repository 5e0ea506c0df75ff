"""Screening inside a night: what it holds back is not taught, waits for a reviewer, and is never lost."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from loop import home as homes
from loop import intake
from loop.clock import utc_now
from loop.data.digits import digit
from loop.evaluation import independent_reader
from loop.home import Home
from loop.home.sections import Screen
from loop.intake import Upload
from loop.night import retrain
from loop.night.retrain import Night
from loop.store import tables
from loop.store.feedback import quarantines, split, trust
from loop.store.feedback.quarantines import ACCEPTED, Which
from loop.store.values import Attribution, Role, RunStatus
from models.family import Images
from tests.night import test_retrain
from tests.night.test_retrain import write

home = test_retrain.home


@pytest.fixture(autouse=True)
def sure_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's temperature is that of the CNN's embeddings; pixels, the linear family's, are less far apart."""
    monkeypatch.setattr(independent_reader, "TEMPERATURE", 3.0)


LIES = 60
LIAR = next(
    name
    for name in map("liar-{}".format, range(99))
    if split.role_of(name, "salt", test_retrain.settings("", Path()).holdout_share) is Role.TRAIN
)
"""A source that teaches in the fixture's store."""


def plain(images: Images) -> Images:
    """Handwriting that the readers know."""
    return images


def lie(home: Home, *, vouched: bool = False) -> set[int]:
    """One source sends plain digits of the corpus, each with another label; the ids of its uploads."""
    corpus = homes.corpus(home.settings, "mnist")
    rng = np.random.default_rng(7)
    uploads = []
    for row in range(400, 400 + LIES):  # nobody else sends these drawings: a copy would count once
        label = int(corpus.train_labels[row])
        lied = int((label + rng.integers(1, 10)) % 10)
        uploads.append(Upload(LIAR, digit(corpus.train_images[row]), lied, predicted=label))
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, utc_now(), vouched=vouched)
    receipts = [answer for answer in answers if isinstance(answer, intake.Receipt)]
    assert len(receipts) == LIES, answers
    return {receipt.id for receipt in receipts}


def taught(home: Home, done: Night) -> set[int]:
    """The ids in the night's snapshot."""
    assert done.version is not None
    item = tables.SnapshotItem
    with home.store.read() as tx:
        return set(tx.scalars(select(item.correction_id).where(item.snapshot_id == done.version.snapshot_id)))


def held(home: Home) -> set[int]:
    """The ids that wait for a reviewer."""
    with home.store.read() as tx:
        return {each.id for each in quarantines.find(tx, Which())}


def test_a_night_holds_back_the_lies_of_a_source(home: Home) -> None:
    """Nearly all lies are held back with reasons and the run, none is in the snapshot, and honest uploads are."""
    write(home, hand=plain)
    lies = lie(home)
    done = retrain.run(home)
    assert done.status is RunStatus.FINISHED
    waiting = held(home)
    assert waiting <= lies
    with home.store.read() as tx:
        found = quarantines.find(tx, Which(signal="source"))
    assert {each.id for each in found} == waiting
    assert {each.run for each in found} == {done.run}
    learned = taught(home, done)
    assert len(waiting) >= 5 >= 5 * len(learned & lies)  # the lesson takes few uploads of one new source
    assert len(learned) > 100
    with home.store.read() as tx:
        liar = trust.get(tx, LIAR)
    assert "reader" in [reason["signal"] for reason in liar.reasons]
    assert liar.value is not None
    assert liar.value < 0.45  # the next night takes fewer of its uploads


@pytest.mark.slow
def test_without_screening_the_lies_are_taught(home: Home) -> None:
    """Negative control: with ``screen.on`` off nothing is held back."""
    write(home, hand=plain)
    lie(home)
    object.__setattr__(home, "settings", home.settings.model_copy(update={"screen": Screen(on=False)}))
    assert retrain.run(home).status is RunStatus.FINISHED
    assert not held(home)


@pytest.mark.slow
def test_a_dry_run_holds_nothing_back(home: Home) -> None:
    """A dry run leaves out what a night would hold back, and stores nothing."""
    write(home, hand=plain)
    lie(home)
    done = retrain.run(home, dry_run=True)
    assert done.status is RunStatus.FINISHED
    assert not held(home)


@pytest.mark.slow
def test_accepted_uploads_are_taught_by_the_next_night(home: Home) -> None:
    """What a reviewer accepts is in the next lesson, although it looks as it did."""
    write(home, hand=plain)
    lie(home)
    retrain.run(home)
    with home.store.exclusive() as tx:
        quarantines.decide(tx, Which(source=LIAR), ACCEPTED, Attribution("rita", "they are right"), utc_now())
        asked = {each.id for each in quarantines.find(tx, Which(decided=ACCEPTED))}
    assert asked <= taught(home, retrain.run(home, force=True))
    assert not held(home) & asked


@pytest.mark.slow
def test_uploads_of_a_vouched_source_are_not_screened(home: Home) -> None:
    """An operator who vouches for a source answers for its labels."""
    write(home, hand=plain)
    lie(home, vouched=True)
    retrain.run(home)
    assert not held(home)
