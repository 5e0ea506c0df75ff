"""The whole loop once: a scratch home, people that the base has never met, one night, one phone.

Every step is what an installation does, by the same thresholds. Five choices are the demonstration's own. The home is
new each time. The salt is chosen so that about a third of so few sources judge (by their names, before anything is
read). The operator vouches for these people, because they all begin today. People confirm every right answer, because
they write only some hundred digits. And without MNIST, nights replay a part of scikit-learn's digits.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loop import home as homes
from loop.cli.demo_phone import Phone
from loop.clock import utc_now
from loop.data.handwriting import Person
from loop.errors import BadSettings, CorpusUnavailable
from loop.evaluation import plots
from loop.evaluation.scoring import Slice
from loop.evaluation.verdict import Policy
from loop.feed import promotion
from loop.feed.client import Synced
from loop.home import Home
from loop.home.settings import Settings
from loop.intake import replay
from loop.intake.replay import Replayed
from loop.night import jury, retrain
from loop.store.feedback import split
from loop.store.nights import versions
from loop.store.values import Attribution, Role
from models.family import Progress

Answers = NDArray[np.intp]

FAMILY = "cnn"
MARKER_FILE = ".scratch-home-of-loop-demo"
HOLDOUT_SHARE = 1 / 3  # of the sources; an installation with thousands needs the default setting's fifth
SHEET_IMAGES = 60  # images on a contact sheet
VOUCHED = (
    "You vouch for these people, as with `loop sources vouch`: strangers teach little in their first week, "
    "and judge after some days."
)
OWN_SETTINGS = {  # whatever the installation has, the demonstration must not touch
    "database_url": None,
    "keys": None,
    "key_passphrase": None,
    "feed_folder": None,
    "auto_promote": True,
    "rollout_percent": 100,
}


@dataclass(frozen=True, slots=True)
class PhoneReads:
    """How the phone read ``n`` digits of people who never taught, before and after it installed the new version."""

    n: int
    wrong_before: int
    wrong_after: int
    fixed: int
    pictures: tuple[Path, ...]


def prepare(settings: Settings, say: Callable[[str], None]) -> Settings:
    """Settings of a fresh scratch home; without MNIST they name the bundled digits, and ``say`` gets the reason."""
    scratch = settings.home.absolute() / "demo"
    try:
        _clear(scratch)
    except OSError as error:
        raise BadSettings(f"{scratch}: cannot be recreated ({error.strerror}); set LOOP_HOME") from error
    made = settings.model_copy(update=OWN_SETTINGS | {"home": scratch, "holdout_share": HOLDOUT_SHARE})
    try:
        homes.corpus(made, "mnist")
    except CorpusUnavailable as missing:
        if settings.mnist is not None:
            raise  # a corpus that was named is not replaced by another
        say(f"{missing}. The demo goes on with the digits bundled with scikit-learn.")
        return made.model_copy(update={"corpus": "digits"})
    return made


def _clear(scratch: Path) -> None:
    """Make an empty folder with our marker in it; a folder with other files but no marker is left alone."""
    if scratch.exists():
        if any(scratch.iterdir()) and not (scratch / MARKER_FILE).is_file():
            raise BadSettings(f"{scratch}: expected an earlier demo or nothing, got other files; set LOOP_HOME")
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    (scratch / MARKER_FILE).touch()


def create_base(settings: Settings, people: list[Person], progress: Progress) -> Home:
    """The scratch home, migrated, its base registered as version 1 and champion."""
    home = homes.at(settings, migrated=False)
    homes.migrate(home)
    with home.store.write() as tx:
        split.set_salt(tx, salt([person.name for person in people], settings.holdout_share))
    retrain.create_base(home, FAMILY, progress=progress)
    return home


def salt(names: list[str], share: float) -> str:
    """The first salt that lets about a third of these sources judge: as many as the gate needs, but never all."""
    wanted = min(max(round(len(names) * HOLDOUT_SHARE), Policy().minimum_hands), len(names) - 1)
    if wanted < 1:
        raise BadSettings("writers: expected at least two people, so that one can judge; give more --writers")
    for number in range(100_000):
        candidate = f"demo {number}"
        if sum(split.role_of(name, candidate, share) is Role.HOLDOUT for name in names) == wanted:
            return candidate
    raise BadSettings(f"writers: no salt of 100,000 splits these {len(names)} people; give fewer")


def play(home: Home, people: list[Person], confirm_rate: float, progress: Progress) -> tuple[Replayed, ...]:
    """Every person writes, and their phones upload."""
    phone = replay.phone(home, FAMILY)
    done = []
    for number, person in enumerate(people):
        progress("people write", number, len(people))
        done.append(replay.replay(home, phone, person, confirm_rate, utc_now()))
    progress("people write", len(people), len(people))
    return tuple(done)


def judged_digits(home: Home) -> Slice:
    """The digits of people who never teach."""
    settings = home.settings
    corpus = homes.corpus(settings, "mnist")
    return jury.draw(home.store, corpus, settings.jury, settings.confirm_rate, utc_now()).slices[1]


def compare(home: Home, judged: Slice, before: Answers, after: Answers) -> PhoneReads:
    """Count what the phone misread and now reads; draw two contact sheets of the same digits, and the confusions."""
    wrong, fixed = before != judged.labels, (before != judged.labels) & (after == judged.labels)
    home.reports.mkdir(parents=True, exist_ok=True)
    sheets = (home.reports / "phone-before.png", home.reports / "phone-after.png")
    shown = np.flatnonzero(wrong)[:SHEET_IMAGES]
    what = f"{len(shown)} of the {np.count_nonzero(wrong)} digits that it misread before the update"
    for path, answers, moment in zip(sheets, (before, after), ("before", "after"), strict=True):
        captions = [f"{answers[i]} {'✓' if answers[i] == judged.labels[i] else '✗'}" for i in shown]
        plots.sheet(judged.images[shown], captions, path, f"The phone {moment} the update: {what}")
    confusion = home.reports / "phone-confusion.png"
    plots.confusions(
        _confusion(judged, before), _confusion(judged, after), confusion, ("phone, before the night", "phone, after it")
    )
    pictures = (*sheets, confusion)
    return PhoneReads(len(before), int(wrong.sum()), int((after != judged.labels).sum()), int(fixed.sum()), pictures)


def _confusion(judged: Slice, answers: Answers) -> NDArray[np.int64]:
    return np.bincount(10 * judged.labels.astype(np.intp) + answers, minlength=100).reshape(10, 10)


def there_and_back(home: Home, phone: Phone) -> tuple[Synced, Synced]:
    """Roll the champion back, then promote it again; the phone syncs after each move."""
    with home.store.read() as tx:
        champion = versions.champion(tx, FAMILY)
    assert champion is not None  # noqa: S101 (the caller saw it promoted)
    promotion.rollback(home, FAMILY, None, Attribution(home.actor, "demo: roll back"), utc_now())
    back = phone.sync()
    promotion.promote(home, champion.number, Attribution(home.actor, "demo: promote again"), utc_now())
    return back, phone.sync()
