"""A night whose challenger has a back door teaches once more without the uploads that carry its trigger."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

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
from loop.store.feedback import corrections, quarantines, split
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
