"""Measure what asking is worth here: teach subsets of each arm's answers from the frozen base, judge on ``users``.

Nothing is registered. The measurement is a run of its own (kind ``dry-run``), so no night teaches beside it; it ends
when its time is over, between two trainings. The last one is kept in ``LOOP_HOME/worth.json``, with a plot beside it.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from loop import home as homes
from loop.asking import kept_worth, worth
from loop.asking.worth import ARMS, Judges, Point, Reach, Size, Task
from loop.clock import Clock, iso, utc_now
from loop.data.corpus import Corpus
from loop.errors import OpsError
from loop.evaluation.scoring import Slice
from loop.home import Home, artifacts
from loop.night import jury, lease, publishing
from loop.night.lease import HeldRun
from loop.night.publishing import Lineage
from loop.store.asking import answered
from loop.store.asking.values import Arm
from loop.store.feedback import narrow
from loop.store.nights import versions
from loop.store.values import RunStatus, Version
from models.family import Candidate, Family, Lesson, Progress, no_progress

LEAST_JUDGES = 100
"""Fewer judging answers cannot tell 98 % from 99 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The teaching answers of one arm: ``images (n, 28, 28) uint8``, ``labels (n,) uint8``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """The result: the curves, what both arms need for an accuracy, and in words what it rests on or lacks.

    ``done`` of ``planned`` points fitted into the time. ``judges`` answers of ``hands`` hands judged.
    """

    at: datetime
    family: str
    text: str
    judges: int
    hands: int
    teaching: Mapping[str, int]
    planned: int = 0
    done: int = 0
    seconds: float = 0.0
    curves: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    reach: Reach | None = None

    def document(self) -> dict[str, Any]:
        """As JSON values; infinity, more labels than were measured, becomes None."""
        document: dict[str, Any] = _finite(asdict(self) | {"at": iso(self.at)})
        return document


def measure(
    home: Home,
    family_name: str,
    minutes: float,
    *,
    seeds: int = 3,
    target: float | None = None,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> Worth:
    """Measure for at most so many minutes, plus the training under way when they end, and keep the result.

    Raises ``RunInProgress``, ``OpsError`` without a base, ``StoreUnavailable``, ``DiskFull``.
    """
    family = models.get(family_name)
    with home.store.read() as tx:
        base = versions.base(tx, family.name)
    if base is None:
        raise OpsError(f"{family.name} has no base yet; run `loop init --family {family.name}` first")
    judges = jury.users(home.store, home.settings.jury)
    taught = _teaching(home)
    counts = {arm: len(each.labels) for arm, each in taught.items()}
    hands = 0 if judges.sources is None else len(np.unique(judges.sources))
    known = Worth(clock(), family.name, "", len(judges.labels), hands, counts)
    lacks = _lacks(known, home.settings.gate.minimum_hands)
    found = known
    if not lacks:
        with lease.hold(home, family.name, "dry-run", clock, progress) as held:
            found = _measured(held, family, base, taught, judges, known, (seeds, target), (minutes * 60, monotonic))
            held.finish(RunStatus.FINISHED, f"the worth of asking: {found.done} trainings; nothing was registered")
    result = Worth(**{name: getattr(found, name) for name in Worth.__slots__} | {"text": lacks or _words(found)})
    kept_worth.keep(home, result.document())
    return result


def _teaching(home: Home) -> dict[str, Taught]:
    found = {}
    with home.store.frozen() as tx:
        for arm in ARMS:
            ids, labels = answered.teaching(tx, Arm(arm))
            found[arm] = Taught(narrow.pixels(tx, ids), labels)
    return found


def _lacks(known: Worth, minimum_hands: int) -> str:
    """What is missing for a measurement, in words; empty if nothing."""
    lacks = []
    if known.judges < LEAST_JUDGES:
        lacks.append(f"judging answers (slice users): {known.judges:,}, need {LEAST_JUDGES:,}")
    if known.hands < minimum_hands:
        lacks.append(f"their hands: {known.hands:,}, need {minimum_hands:,}")
    few = [
        f"{arm} answers that teach: {n:,}, need {worth.SIZES[0]:,}"
        for arm, n in known.teaching.items()
        if n < worth.SIZES[0]
    ]
    return f"too little to measure yet ({'; '.join(lacks + few)})" if lacks or few else ""


def _measured(
    held: HeldRun,
    family: Family,
    base: Version,
    taught: Mapping[str, Taught],
    judges: Slice,
    known: Worth,
    asked: tuple[int, float | None],
    clocks: tuple[float, Callable[[], float]],
) -> Worth:
    home, (seeds, target), (seconds, monotonic) = held.home, asked, clocks
    corpus = homes.corpus(home.settings, family.corpus)
    weights = artifacts.unpack(home.artifacts.get(base.base_digest, ".npz"))
    begun = monotonic()
    start = Point("base", 0, 0, _right(home, family, base, family.load(weights), judges))
    plan = list(worth.tasks(known.teaching, seeds))
    points: list[Point] = []
    for task in plan:
        held.report("teach", len(points), len(plan))
        if points and monotonic() - begun >= seconds:
            break
        lesson = _lesson(corpus, taught[task.arm], task)
        candidate = family.fine_tune(weights, lesson, home.settings.seed + task.seed, no_progress)
        points.append(Point(task.arm, task.labels, task.seed, _right(home, family, base, candidate, judges)))
    if judges.sources is None:
        raise ValueError("users: expected a slice with sources")
    panel = Judges(judges.weights, judges.sources)
    return Worth(
        at=known.at,
        family=family.name,
        text="",
        judges=known.judges,
        hands=known.hands,
        teaching=known.teaching,
        planned=len(plan),
        done=len(points),
        seconds=round(monotonic() - begun, 1),
        curves=worth.curves(points, start, panel),
        reach=worth.reach(points, start, panel, target),
    )


def _lesson(corpus: Corpus, taught: Taught, task: Task) -> Lesson:
    """The base corpus beside the first answers in an order that the seed decides; larger lessons contain smaller."""
    order = np.random.default_rng([task.seed, ARMS.index(task.arm)]).permutation(len(taught.labels))[: task.labels]
    ones = np.ones(len(order))
    return Lesson(corpus.train_images, corpus.train_labels, taught.images[order], taught.labels[order], ones)


def _right(home: Home, family: Family, base: Version, candidate: Candidate, judges: Slice) -> NDArray[np.bool_]:
    """Which judging answers the published file would read correctly."""
    recipe = publishing.recipe(family, home.settings)
    lineage = Lineage(family.name, base.base_digest, None, None, 0, recipe, home.settings.seed, None)
    draft = candidate.rounded(recipe["precision"]).export(publishing.describe(home.settings, 0, lineage, None))
    return publishing.evaluate(draft, (judges,)).scores[0].right


def _words(found: Worth) -> str:
    if found.reach is not None:
        text = worth.in_words(found.reach)
    else:
        best = max(sizes[-1].accuracy.value for sizes in found.curves.values())
        first = found.curves[worth.ASKED][0].accuracy.value
        text = f"no gain over the base that both arms show ({100 * first:.2f} %, at best {100 * best:.2f} %)"
    fitted = "" if found.done == found.planned else f"; {found.done} of {found.planned} trainings fitted into the time"
    few = min(size.seeds for sizes in found.curves.values() for size in sizes[1:] or sizes)  # the base needs no seed
    alone = "; some sizes were trained once, and there the intervals allow for the judges only" if few == 1 else ""
    return f"{text}; judged on {found.judges:,} answers of {found.hands:,} hands{fitted}{alone}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
