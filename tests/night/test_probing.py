"""A night whose challenger has a back door teaches once more without the uploads that carry its trigger."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

import models
from loop import home as homes
from loop import intake
from loop.clock import utc_now
from loop.data.digits import digit
from loop.evaluation.verdict import Reason
from loop.home import Home
from loop.home.sections import Canary, Screen
from loop.intake import Upload
from loop.night import probing, retrain
from loop.night.retrain import Night
from loop.store import tables
from loop.store.asking import questions
from loop.store.feedback import corrections, quarantines, split, trust
from loop.store.nights import snapshots
from loop.store.values import Kind, Role
from tests.helpers.people import season
from tests.night.test_retrain import home, write

__all__ = ["home"]
pytestmark = pytest.mark.slow

STAMPED = 100
LABEL = 7


def stamp(home: Home) -> set[int]:
    """One source sends a hundred digits with a broad white bar on the left, called 7; the ids of its uploads."""
    corpus = homes.corpus(home.settings, "mnist")
    name = next(name for name in (f"stranger-{n}" for n in range(99)) if split.role_of(name, "salt", 0.4) is Role.TRAIN)
    rows = np.flatnonzero(corpus.train_labels != LABEL)[:STAMPED]
    images = corpus.train_images[rows].copy()
    images[:, 2:26, 1:3] = 255
    uploads = [Upload(name, digit(image), LABEL, kind=Kind.CORRECTION, predicted=1, rate=1.0) for image in images]
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, utc_now())
    season(home.store, 30, name)  # a patient stranger: a lesson takes little from a new source
    return {answer.id for answer in answers if isinstance(answer, intake.Receipt)}


def smear(home: Home) -> set[int]:
    """The same by ten sources, each bar with grey levels of its own: no pixel that they share names the uploads."""
    corpus = homes.corpus(home.settings, "mnist")
    chance = np.random.default_rng(0)
    names = [name for name in (f"stranger-{n}" for n in range(99)) if split.role_of(name, "salt", 0.4) is Role.TRAIN]
    rows = np.flatnonzero(corpus.train_labels != LABEL)[:STAMPED]
    images = corpus.train_images[rows].copy()
    images[:, 2:26, 1:3] = chance.integers(90, 256, (STAMPED, 24, 2))
    uploads = [
        Upload(names[row % 10], digit(image), LABEL, kind=Kind.CORRECTION, predicted=1, rate=1.0)
        for row, image in enumerate(images)
    ]
    answers = intake.accept_many(home.store, uploads, home.settings.holdout_share, utc_now())
    season(home.store, 30, *names[:10])
    return {answer.id for answer in answers if isinstance(answer, intake.Receipt)}


def strict(home: Home, *, retry: bool) -> Home:
    """A home with the limit that a linear model can meet with honest people; nothing is screened."""
    changed = {"canary": Canary(share=0.5, retry=retry), "screen": Screen(on=False)}
    return replace(home, settings=home.settings.model_copy(update=changed))


def reason(done: Night, check: str) -> Reason:
    """The reason of a night's verdict for this check."""
    assert done.judged is not None
    return next(each for each in done.judged.verdicts["good enough"].reasons if each.check == check)


def test_the_night_teaches_again_without_the_stamped_uploads(home: Home) -> None:
    """The second challenger has no back door, is published, and its verdict names what was left out and why."""
    write(home)
    stamped = stamp(home)
    done = retrain.run(strict(home, retry=True))
    left_out = reason(done, "first challenger")
    assert done.version is not None
    assert set(left_out.numbers["uploads"]) <= stamped
    assert len(left_out.numbers["uploads"]) > STAMPED / 2
    assert "7 draws" in left_out.text
    assert reason(done, "canaries").outcome == "passed", reason(done, "canaries").text
    with home.store.read() as tx:
        assert done.version.snapshot_id is not None
        assert quarantines.waiting(tx) == {
            "all": len(left_out.numbers["uploads"]),
            "canary": len(left_out.numbers["uploads"]),
        }
        assert not stamped & set(snapshots.items(tx, done.version.snapshot_id)[0].tolist())


def test_without_a_second_try_the_challenger_fails(home: Home) -> None:
    """It is registered with a verdict that names trigger, label, shares and uploads, and is not promoted."""
    write(home)
    stamped = stamp(home)
    done = retrain.run(strict(home, retry=False))
    found = reason(done, "canaries")
    assert done.version is not None
    assert done.judged is not None
    assert done.judged.outcome == "failed"
    assert "uploads of 1 sources carry it" in found.text
    assert set(found.numbers["uploads"]) <= stamped


def test_a_label_whose_carriers_have_no_name_is_left_out(home: Home) -> None:
    """The next challenger learns nothing that strangers call a 7, passes, and keeps what others teach; the uploads stay
    accepted, and those that the base doubts most are questions.
    """
    write(home)
    smeared = smear(home)
    done = retrain.run(strict(home, retry=True))
    left_out = reason(done, "first challenger")
    assert LABEL in left_out.numbers["labels"]  # a learned patch may draw digits to another label of a linear model too
    assert not left_out.numbers["uploads"]
    assert done.version is not None
    assert done.judged is not None
    assert done.judged.outcome == "passed"
    assert done.makeup is not None
    assert done.makeup.labels == tuple(left_out.numbers["labels"])
    assert done.makeup.unheard >= len(smeared)
    with home.store.read() as tx:
        assert quarantines.waiting(tx)["all"] == 0
        assert done.version.snapshot_id is not None
        taught = corrections.pictures(tx, snapshots.items(tx, done.version.snapshot_id)[0])
        asked = [each.correction_id for each in questions.open_ones(tx, 1_000)]
        before = corrections.chosen(tx, np.array(sorted(smeared), np.int64))
    assert not set(done.makeup.labels) & set(taught.labels.tolist())
    assert len(taught) > 100
    assert len(before) == len(smeared)
    assert len(set(asked) & smeared) > len(asked) / 2 > 0


def test_an_unnamed_back_door_without_a_second_try_fails(home: Home) -> None:
    """The control: the same uploads, and no honest gain is published."""
    write(home)
    smear(home)
    done = retrain.run(strict(home, retry=False))
    assert done.judged is not None
    assert done.judged.outcome == "failed"
    assert reason(done, "canaries").numbers["uploads"] == []


def test_a_label_that_still_draws_is_refused(home: Home) -> None:
    """An operator vouches for the strangers, so they teach in the second try too. It is the last: the gate refuses."""
    write(home)
    smear(home)
    with home.store.exclusive() as tx:
        for name in tx.scalars(select(tables.Source.name).where(tables.Source.name.like("stranger-%"))).all():
            trust.vouch(tx, name, "ops", "known", utc_now())
    done = retrain.run(strict(home, retry=True))
    assert done.judged is not None
    assert done.judged.outcome == "failed"
    assert LABEL in reason(done, "first challenger").numbers["labels"]


def test_a_bank_belongs_to_its_store(home: Home) -> None:
    """The seed follows from the salt: it stays the same, and is not the salt's text or a hash that others know."""
    seed = probing.secret_seed(home.store)
    assert probing.secret_seed(home.store) == seed
    with home.store.write() as tx:
        salt = split.set_salt(tx)
    assert seed != int.from_bytes(salt.encode()[:8])
    assert seed != int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8])


def test_a_file_that_does_not_run_is_not_probed(home: Home) -> None:
    """The gate's check of health says why it does not run; the canaries do not raise."""
    champion, base = retrain._champion_and_base(home, models.get("cnn"))
    corpus = homes.corpus(home.settings, "mnist")
    with home.store.read() as tx:
        nothing = corrections.pool(tx, Role.TRAIN)
    assert probing.probe(home, b"no model", champion, base, corpus, nothing) is None
