"""Gold questions and questions about held uploads are kept up, on a real store and a real model file."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from loop.asking import gold, review, suspects, upkeep
from loop.data import corpus as corpora
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.sections import Asking, Review
from loop.home.settings import Settings
from loop.store import Store, tables
from loop.store.asking import questions
from loop.store.asking.values import Arm, QuestionStatus, Word
from loop.store.feedback import labelled, quarantines
from loop.store.feedback.quarantines import Which
from loop.store.nights import versions
from loop.store.values import Attribution, Kind, Status
from tests.asking.conftest import drawing, send
from tests.conftest import NOW
from tests.feed.conftest import Office


def opened(store: Store, folder: Path, per_day: int = 40, gold_every: int = 20) -> Home:
    """A home with a champion, whose corpus is scikit-learn's digits."""
    rules, reviewing = Asking(per_day=per_day), Review(gold_every=gold_every)
    settings = Settings(home=folder, corpus="digits", ask=rules, review=reviewing)
    home = Home(settings, store, Artifacts(folder / "artifacts"))
    Office(home, folder / "feed").register()
    return home


@pytest.fixture
def home(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of most tests here; its champion knows nothing, and reads few digits right."""
    monkeypatch.setattr(gold, "MADE", 20)
    monkeypatch.setattr(gold, "LEFT", 10)
    return opened(store, tmp_path)


def accept(home: Home, count: int) -> list[int]:
    """Uploads that claim to be a 7."""
    claimed = [replace(drawing("a phone", seed), label=7, kind=Kind.ASKED) for seed in range(count)]
    return [receipt.id for receipt in send(home.store, *claimed)]


def hold(home: Home, count: int) -> list[int]:
    """Uploads that claim to be a 7, held back."""
    ids = accept(home, count)
    why = [{"signal": "contradicted", "text": "three readers see a 1", "numbers": {}}]
    with home.store.exclusive() as tx:
        assert quarantines.hold(tx, dict.fromkeys(ids, why), None, NOW) == count
    return ids


def counts(home: Home, arm: Arm) -> int:
    """The open questions of an arm."""
    with home.store.read() as tx:
        return questions.counts(tx).get((arm, QuestionStatus.OPEN), 0)


def test_gold_is_made_of_training_images_that_the_champion_reads(home: Home) -> None:
    """Each with its label, none twice; there is no need for more before somebody answered many."""
    made = gold.top_up(home, "cnn", NOW)
    assert made == gold.MADE
    assert gold.top_up(home, "cnn", NOW) == 0
    images = {image.tobytes(): int(label) for image, label in zip(*_training(), strict=True)}
    with home.store.read() as tx:
        rows = questions.gold_for(tx, "ada", 1_000)
    assert len({row.pixels for row in rows}) == len(rows) == made
    assert all(images[row.pixels] == row.known for row in rows)
    champion = home.models.get(_champion(home))
    read = champion.probabilities(np.array([np.frombuffer(row.pixels, np.uint8).reshape(28, 28) for row in rows]))
    assert read.argmax(axis=1).tolist() == [row.known for row in rows]


def test_gold_is_topped_up_for_the_most_diligent(home: Home) -> None:
    """When one reviewer has few left, there are new ones, and none of the old again."""
    made = gold.top_up(home, "cnn", NOW)
    with home.store.read() as tx:
        first = questions.gold_for(tx, "ada", made - gold.LEFT + 1)
    for each in first:
        review.answer(home.store, "ada", each.id, Word(each.known), NOW)
    more = gold.top_up(home, "cnn", NOW)
    assert more > 0
    with home.store.read() as tx:
        rows = questions.gold_for(tx, "ben", 1_000)
    assert len({row.pixels for row in rows}) == len(rows) == made + more


def test_no_gold_is_made_where_none_is_wanted(store: Store, tmp_path: Path) -> None:
    """``review.gold_every = 0``."""
    assert gold.top_up(opened(store, tmp_path, gold_every=0), "cnn", NOW) == 0


def test_a_held_upload_becomes_a_question(home: Home) -> None:
    """With two answers; two that read the claimed digit accept it, and it is not asked about again."""
    first, second = hold(home, 2)
    assert suspects.ask_held_back(home, NOW) == 2
    assert suspects.ask_held_back(home, NOW) == 0
    for reviewer in ("ada", "ben"):
        one, two = review.hand_out(home.store, reviewer, 9, NOW, 300)
        assert (one.arm, one.quorum, one.reason) == (Arm.QUARANTINE, 2, "held back: three readers see a 1")
        review.answer(home.store, reviewer, one.id, Word(7), NOW)
        review.answer(home.store, reviewer, two.id, Word(1), NOW)
    with home.store.read() as tx:
        assert tx.get_one(tables.Correction, first).status == Status.ACCEPTED
        assert tx.get_one(tables.Correction, second).status == Status.REJECTED
    assert suspects.ask_held_back(home, NOW) == 0


def test_held_uploads_take_a_part_of_the_day(home: Home) -> None:
    """A quarter of ``ask.per_day`` is open at once; a decision by ops ends the question and makes room for the next."""
    ids = hold(home, 25)
    assert suspects.ask_held_back(home, NOW) == 10
    assert suspects.ask_held_back(home, NOW) == 0
    with home.store.exclusive() as tx:
        quarantines.decide(tx, Which(tuple(ids[:4])), quarantines.REJECTED, Attribution("ops", "lies"), NOW)
    assert [each.correction_id for each in review.hand_out(home.store, "ada", 20, NOW, 300)] == ids[4:10]
    assert counts(home, Arm.QUARANTINE) == 6
    assert suspects.ask_held_back(home, NOW) == 4


def test_a_doubted_upload_becomes_a_question(home: Home) -> None:
    """It stays accepted while it waits; two that read another digit reject it; undone, it is accepted again."""
    right, wrong = accept(home, 2)
    assert suspects.ask_doubted(home, [wrong, right], "doubted: 7 draws triggers", NOW) == 2
    assert suspects.ask_doubted(home, [wrong, right], "doubted: 7 draws triggers", NOW) == 0
    for reviewer in ("ada", "ben"):
        one, two = review.hand_out(home.store, reviewer, 9, NOW, 300)
        assert [one.correction_id, two.correction_id] == [wrong, right]
        assert (one.arm, one.reason, status(home, wrong)) == (Arm.DISPUTED, "doubted: 7 draws triggers", "accepted")
        review.answer(home.store, reviewer, two.id, Word(7), NOW)
        review.answer(home.store, reviewer, one.id, Word(1), NOW)
    assert (status(home, right), status(home, wrong)) == ("accepted", "rejected")
    with home.store.read() as tx:
        assert labelled.reviewed(tx).tolist() == [right]
    review.undo(home.store, "ben", NOW)
    assert status(home, wrong) == "accepted"
    assert counts(home, Arm.DISPUTED) == 1


def test_an_undone_answer_does_not_bring_back_what_was_taken_back(home: Home) -> None:
    """A doubted upload that its source withdrew after the answer stays withdrawn."""
    (upload,) = accept(home, 1)
    suspects.ask_doubted(home, [upload], "doubted", NOW)
    for reviewer in ("ada", "ben"):
        (one,) = review.hand_out(home.store, reviewer, 9, NOW, 300)
        review.answer(home.store, reviewer, one.id, Word(7), NOW)
    with home.store.exclusive() as tx:
        tx.get_one(tables.Correction, upload).status = Status.WITHDRAWN
    review.undo(home.store, "ben", NOW)
    assert status(home, upload) == "withdrawn"


def test_doubted_uploads_take_a_part_of_the_day(home: Home) -> None:
    """A quarter of ``ask.per_day`` is open at once, the first of the list."""
    ids = accept(home, 25)[::-1]
    assert suspects.ask_doubted(home, ids, "doubted", NOW) == 10
    assert suspects.ask_doubted(home, ids, "doubted", NOW) == 0
    assert [each.correction_id for each in review.hand_out(home.store, "ada", 20, NOW, 300)] == ids[:10]


def status(home: Home, upload: int) -> str:
    """The status of an upload now."""
    with home.store.read() as tx:
        return tx.get_one(tables.Correction, upload).status


def test_nobody_is_asked_where_nobody_reviews(store: Store, tmp_path: Path) -> None:
    """``ask.per_day = 0``."""
    home = opened(store, tmp_path, per_day=0)
    hold(home, 2)
    assert suspects.ask_held_back(home, NOW) == 0


def test_expired_holds_are_removed(home: Home) -> None:
    """Those of reviewers who went away; live ones stay."""
    hold(home, 3)
    suspects.ask_held_back(home, NOW)
    review.hand_out(home.store, "ada", 9, NOW, 60)
    review.hand_out(home.store, "ben", 9, NOW + timedelta(seconds=50), 60)
    upkeep.refill(home, "cnn", NOW + timedelta(seconds=90))
    with home.store.read() as tx:
        assert set(tx.scalars(select(tables.Hold.reviewer))) == {"ben"}


def test_a_round_keeps_all_of_it_up(home: Home) -> None:
    """After a night: drawings, held uploads and gold; the scheduler's refill asks about held uploads, too."""
    send(home.store, *(drawing(f"person {seed}", seed) for seed in range(100, 130)))
    hold(home, 1)
    asked = upkeep.follow(home, "cnn", NOW)
    assert asked is not None
    assert asked.random + asked.asked > 0
    assert counts(home, Arm.QUARANTINE) == 1
    assert counts(home, Arm.GOLD) > 0
    again = [replace(drawing("another", 900), label=7, kind=Kind.ASKED)]
    (receipt,) = send(home.store, *again)
    with home.store.exclusive() as tx:
        quarantines.hold(tx, {receipt.id: [{"signal": "x", "text": "y", "numbers": {}}]}, None, NOW)
    upkeep.refill(home, "cnn", NOW)
    assert counts(home, Arm.QUARANTINE) == 2
    with home.store.read() as tx:
        assert questions.counts(tx)[Arm.QUARANTINE, QuestionStatus.OPEN] == 2


def _training() -> tuple[np.ndarray, np.ndarray]:
    found = corpora.digits()
    return found.train_images, found.train_labels


def _champion(home: Home) -> str:
    with home.store.read() as tx:
        found = versions.champion(tx, "cnn")
    assert found is not None
    return found.artifact_digest
