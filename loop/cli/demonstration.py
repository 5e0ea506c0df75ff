"""The loop on one screen: a scratch home, people the base has never met, one night.

What it does is what an installation does; only three choices are the demonstration's own. The home is new each time.
The salt is chosen so that about a third of so few sources judge (by their names, before anything is read). And without
MNIST the base is trained on part of scikit-learn's digits, which no other command would do.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loop import home as homes
from loop.clock import utc_now
from loop.data.handwriting import Person
from loop.errors import BadSettings, CorpusUnavailable
from loop.evaluation import plots
from loop.evaluation.gate import FEEDBACK
from loop.evaluation.scoring import Report, Slice
from loop.home import Home
from loop.home.settings import Settings
from loop.intake import replay
from loop.intake.replay import Replayed
from loop.night import holdout, retrain
from loop.night.retrain import Night
from loop.store import schema
from loop.store.feedback import corrections
from loop.store.values import Role
from models.family import Progress

FAMILY = "cnn"
MARKER_FILE = ".scratch-home-of-loop-demo"
HOLDOUT_SHARE = 1 / 3  # of the sources; an installation with thousands does with the setting's fifth
SHEET_IMAGES = 60  # images on the contact sheet


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a person wants to see."""

    home: Home
    replayed: tuple[Replayed, ...]
    night: Night
    sheet: Path
    confusion: Path
    fixed: int


def prepare(settings: Settings, say: Callable[[str], None]) -> Settings:
    """Settings of a fresh scratch home; falls back to the bundled digits, saying so, when there is no MNIST."""
    scratch = settings.home.absolute() / "demo"
    try:
        _clear(scratch)
    except OSError as error:
        raise BadSettings(f"{scratch}: cannot be made anew ({error.strerror}); set LOOP_HOME") from error
    made = settings.model_copy(update={"home": scratch, "database_url": None, "holdout_share": HOLDOUT_SHARE})
    try:
        homes.corpus(made, "mnist")
    except CorpusUnavailable as missing:
        if settings.mnist is not None:
            raise  # what was named is not passed over
        say(f"{missing}. Falling back to a base trained on part of scikit-learn's bundled digits.")
        return made.model_copy(update={"corpus": "digits"})
    return made


def _clear(scratch: Path) -> None:
    """An empty folder that bears our mark; nothing is deleted that does not."""
    if scratch.exists():
        if any(scratch.iterdir()) and not (scratch / MARKER_FILE).is_file():
            raise BadSettings(f"{scratch}: expected an earlier demo or nothing, found other files; set LOOP_HOME")
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    (scratch / MARKER_FILE).touch()


def create_base(settings: Settings, people: list[Person], progress: Progress) -> Home:
    """The scratch home, migrated, its base registered as version 1 and champion."""
    home = homes.at(settings, migrated=False)
    schema.migrate(home.store)
    with home.store.write() as tx:
        corrections.set_salt(tx, salt([person.name for person in people], settings.holdout_share))
    retrain.create_base(home, FAMILY, progress=progress)
    return home


def salt(names: list[str], share: float) -> str:
    """The first salt that gives a third of these sources, but never all or none, to the judge."""
    wanted = min(max(round(len(names) * HOLDOUT_SHARE), 2), len(names) - 1)
    if wanted < 1:
        raise BadSettings("writers: expected at least two people, so that one can judge; give more --writers")
    for number in range(100_000):
        tried = f"demo {number}"
        if sum(corrections.role_of(name, tried, share) is Role.HOLDOUT for name in names) == wanted:
            return tried
    raise BadSettings(f"writers: no salt in 100,000 splits these {len(names)} people; give fewer")


def play(home: Home, people: list[Person], confirm_rate: float, progress: Progress) -> tuple[Replayed, ...]:
    """Everybody writes; their phones send."""
    phone = replay.phone(home, FAMILY)
    done = []
    for number, person in enumerate(people):
        progress("people write", number, len(people))
        done.append(replay.replay(home, phone, person, confirm_rate, utc_now()))
    progress("people write", len(people), len(people))
    return tuple(done)


def draw(home: Home, done: Night, replayed: tuple[Replayed, ...]) -> Shown:
    """The contact sheet and the confusion plot of the judging people's handwriting."""
    if done.judged is None or done.judged.before is None:
        raise BadSettings(f"the night was skipped: {done.reason}; give more --writers or a higher --confirm-rate")
    judged = holdout.slices(home.store, homes.corpus(home.settings, "mnist"))[1]
    before, after = done.judged.before, done.judged.after
    sheet, confusion = home.reports / "fixed.png", home.reports / "confusion.png"
    home.reports.mkdir(parents=True, exist_ok=True)
    fixed = _sheet(judged, before, after, sheet)
    scores = before.on(FEEDBACK), after.on(FEEDBACK)
    if scores[0] is not None and scores[1] is not None:
        plots.confusions(
            scores[0].weighted_confusion,
            scores[1].weighted_confusion,
            confusion,
            ("champion, feedback weighted by 1/rate", "challenger, feedback weighted by 1/rate"),
        )
    return Shown(home, replayed, done, sheet, confusion, fixed)


def _sheet(judged: Slice, before: Report, after: Report, path: Path) -> int:
    """What the champion got wrong and the challenger gets right, the surest mistakes first."""
    old, new = before.on(FEEDBACK), after.on(FEEDBACK)
    fixed = np.flatnonzero(~old.right & new.right) if old is not None and new is not None else np.zeros(0, np.intp)
    if old is not None:
        fixed = fixed[np.argsort(old.margins[fixed], kind="stable")]
    captions = [] if old is None else [f"{old.predictions[row]} → {old.labels[row]}" for row in fixed[:SHEET_IMAGES]]
    shown = min(len(fixed), SHEET_IMAGES)
    title = f"Champion wrong, challenger right: {shown} of {len(fixed)} by people who never taught"
    plots.sheet(judged.images[fixed[:SHEET_IMAGES]], captions, path, title)
    return len(fixed)
