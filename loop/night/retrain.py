"""The loop itself: corrections are frozen into a snapshot and teach a challenger, which is judged against the champion
on handwriting it has never seen, packed as a ``.mlmodel``, and promoted.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import models
from loop import home as homes
from loop.clock import Clock, utc_now
from loop.data.corpus import Corpus
from loop.errors import BackDoorTaught, LessonErased, OpsError
from loop.evaluation import scoring
from loop.evaluation.scoring import Slice
from loop.evaluation.verdict import Outcome
from loop.feed import upkeep
from loop.home import Home, artifacts
from loop.night import choosing, jury, lease, probing, publishing, screening, snapshot
from loop.night.choosing import Makeup, Without
from loop.night.lease import HeldRun
from loop.night.publishing import Judged, Lineage
from loop.night.snapshot import Snapshot
from loop.store import values
from loop.store.feedback import erasures
from loop.store.nights import snapshots, versions
from loop.store.values import Attribution, RunStatus
from models.family import Candidate, Family, Lesson, Progress, Weights, no_progress

log = logging.getLogger(__name__)

DRY_RUN_VERSION = 0
"""The version number in the draft of a dry run; real ones begin at 1."""
ATTEMPTS = 3
"""How often a night begins, if each time an upload of its lesson is erased or taken back before it ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """The result of one night. ``version`` is None for a skipped or dry run, ``judged`` for a skipped one. ``makeup``
    says what its lesson consisted of.
    """

    run: int
    status: RunStatus
    reason: str | None
    version: values.Version | None
    judged: Judged | None
    seconds: Mapping[str, float]
    makeup: Makeup | None = None


def run(
    home: Home,
    family_name: str = "cnn",
    *,
    dry_run: bool = False,
    force: bool = False,
    without: Without = choosing.NOBODY,
    slot: str | None = None,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> Night:
    """One night, of a ``slot`` or by hand. A night with nothing to teach is skipped; a refused challenger is registered
    with its verdict. ``force`` runs even if there are too few new corrections, or none.

    If an upload of the lesson is erased or taken back meanwhile, the night begins again without that source, at most
    ``ATTEMPTS`` times; the last time without any young source. Then it raises ``LessonErased``, and its slot is free.
    If the challenger has a back door, the night begins once more without the uploads that carry its trigger; if these
    cannot be named, or a label still draws triggers, once more without what strangers said about that label.

    Raises ``RunInProgress``, ``SlotTaken``, ``LeaseLost``, ``LessonErased``, ``OpsError`` without a base or a champion,
    and ``DeploymentError``.
    """
    family = models.get(family_name)
    _champion_and_base(home, family)  # refuse before a run is claimed
    kind = "dry-run" if dry_run else "night"
    with lease.hold(home, family.name, kind, clock, progress, slot) as held:
        again: LessonErased | None = None
        refused: tuple[BackDoorTaught, ...] = ()
        erased = 0
        while erased < ATTEMPTS:
            try:
                return _attempt(held, family, without, again, refused, dry_run=dry_run, force=force)
            except BackDoorTaught as found:  # raised twice at most
                refused = (*refused, found)
                log.warning("%s", found, extra={"run": held.run.id, "refused": len(refused)})
                without = replace(
                    without, uploads=without.uploads | found.uploads, labels=without.labels | found.labels
                )
            except LessonErased as lost:
                again, erased = lost, erased + 1
                log.warning("%s", lost, extra={"run": held.run.id, "attempt": erased})
                without = replace(without, ids=without.ids | lost.sources, young=erased + 1 == ATTEMPTS)
        raise LessonErased(f"{again}; tried {ATTEMPTS} times, and nothing was published")


def _attempt(
    held: HeldRun,
    family: Family,
    without: Without,
    again: LessonErased | None,
    refused: tuple[BackDoorTaught, ...],
    *,
    dry_run: bool,
    force: bool,
) -> Night:
    """From the choice of a lesson to the published version. Raises ``LessonErased`` if the lesson lost an upload; then
    nothing is published, and ``BackDoorTaught`` if the night should teach again. ``again`` is the error of the attempt
    before, ``refused`` are those of challengers that had a back door.
    """
    home, settings, clock = held.home, held.home.settings, held.clock
    with held.step("snapshot"):
        champion, base = _champion_and_base(home, family)
        corpus = homes.corpus(settings, family.corpus)
        chosen = choosing.choose(home.store, settings, clock(), without)
    with held.step("screen"):
        screened = screening.screen(home, chosen, (base, champion), corpus, clock())
        log.info("screening: %s", screened.text, extra={"run": held.run.id})
        if not dry_run:
            screening.quarantine(home.store, screened, held.run.id, clock())
        if screened.agrees is not None:
            chosen = choosing.heard(chosen, screened.agrees, settings)
        if not dry_run:
            choosing.remember(home.store, chosen, clock())
        chosen = choosing.holding_back(chosen, screened.ids)
        log.info("lesson: %s", chosen.makeup.text, extra={"run": held.run.id})
    with held.step("freeze"):
        frozen = snapshot.freeze(home.store, held.run.id, corpus.digest, chosen.pool, clock())
        drawn = jury.draw(home.store, corpus, settings.jury, settings.confirm_rate, clock())
        lineage = _lineage(base, frozen, publishing.recipe(family, settings), settings.seed, champion)
        with home.store.read() as tx:
            tainted = champion.number in erasures.tainted(tx)  # then replace it soon, by one that is not worse
        if reason := _nothing_to_teach(home, lineage, drawn.slices, force=force, tainted=tainted):
            reason = "; ".join([reason, *(f"before, this night refused a challenger with {each}" for each in refused)])
            if again is not None and not lineage.taught:
                raise again
            return _skip(held, reason, chosen.makeup)
        number = DRY_RUN_VERSION if dry_run else held.reserve()
    with held.step("teach"):
        weights = artifacts.unpack(home.artifacts.get(base.base_digest, ".npz"))  # never the rounded ones
        candidate = family.fine_tune(weights, _lesson(corpus, frozen), settings.seed, held.report)
        candidate = candidate.rounded(lineage.recipe["precision"])  # judge what the file can hold
        with home.store.read() as tx:
            publishing.require_intact(tx, frozen)  # notice it before the slow half of the night
    with held.step("export"):
        draft = candidate.export(publishing.describe(settings, number, lineage, None))
    with held.step("evaluate"):
        before = publishing.report_of(home, champion, drawn.slices)
        day0 = before if champion.number == base.number else publishing.report_of(home, base, drawn.slices)
        after = publishing.evaluate(draft, drawn.slices)
    with held.step("probe"):
        probed = probing.probe(home, draft, champion, base, corpus, frozen.pool)
        probing.refuse_back_door(held, probed, frozen.pool, refused, store=not dry_run)
        probes = probing.reasons(probed, refused)
    with held.step("judge"):
        judged = publishing.judge(
            home, number, lineage, candidate, drawn, before, after, draft, day0=day0, tainted=tainted, probes=probes
        )
    if dry_run:
        held.finish(RunStatus.FINISHED, "dry run: nothing was registered")
        return _night(held, RunStatus.FINISHED, "dry run: nothing was registered", None, judged, chosen.makeup)
    with held.step("publish"):
        attribution = Attribution(home.actor, f"run {held.run.id}: {judged.outcome}")
        version = publishing.publish(held, number, lineage, candidate, judged, attribution, frozen)
    upkeep.tell(home, attribution, clock())  # the run has ended, so a failure of the feed cannot fail it
    return _night(held, RunStatus.FINISHED, None, version, judged, chosen.makeup)


def create_base(
    home: Home,
    family_name: str = "cnn",
    weights: Weights | None = None,
    *,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> values.Version:
    """Register a family's frozen base as its first version and champion; a second call changes nothing.

    ``weights`` default to the shipped base; without one the base is trained. A base that does not pass is registered
    but not promoted: the family then has no champion, and ``loop verdict`` shows the reason.
    """
    family, settings, actor = models.get(family_name), home.settings, home.actor
    if (known := _base(home, family)) is not None:
        return known
    with lease.hold(home, family.name, "base", clock, progress) as held:
        if (known := _base(home, family)) is not None:  # another process registered it first
            held.finish(RunStatus.SKIPPED, f"the base already exists: version {known.number}")
            return known
        corpus = homes.corpus(settings, family.corpus)
        number = held.reserve()
        with held.step("teach"):
            frozen = _frozen_base(family, corpus, weights, settings.seed, held.report)
            recipe = publishing.recipe(family, settings)
            candidate = frozen.rounded(recipe["precision"])
        lineage = Lineage(
            family=family.name,
            base_digest=home.artifacts.put(artifacts.pack(frozen.weights()), ".npz"),
            snapshot_id=None,
            snapshot_digest=None,
            taught=0,
            recipe=recipe,
            seed=settings.seed,
            champion=None,
        )
        with held.step("export"):
            draft = candidate.export(publishing.describe(settings, number, lineage, None))
        with held.step("evaluate"):
            drawn = jury.draw(home.store, corpus, settings.jury, settings.confirm_rate, clock())
            after = publishing.evaluate(draft, drawn.slices)
        with held.step("judge"):
            judged = publishing.judge(home, number, lineage, candidate, drawn, None, after, draft)
        with held.step("publish"):
            attribution = Attribution(actor, f"run {held.run.id}: the {family.name} base")
            return publishing.publish(held, number, lineage, candidate, judged, attribution)


def _frozen_base(family: Family, corpus: Corpus, weights: Weights | None, seed: int, progress: Progress) -> Candidate:
    """The given base, else the shipped one, else one trained now."""
    if weights is None:
        weights = family.shipped()
    if weights is None:
        return family.train_base(corpus.train_images, corpus.train_labels, seed, progress)
    return family.load(weights)


def _base(home: Home, family: Family) -> values.Version | None:
    with home.store.read() as tx:
        return versions.base(tx, family.name)


def _champion_and_base(home: Home, family: Family) -> tuple[values.Version, values.Version]:
    """The champion and the base. Raises ``OpsError`` if the family lacks one."""
    with home.store.read() as tx:
        champion, base = versions.champion_and_base(tx, family.name)
    if base is None:
        raise OpsError(f"{family.name} has no base yet; run `loop init --family {family.name}` first")
    if champion is None:
        raise OpsError(f"{family.name}: its base did not pass; read `loop verdict {base.number}` before you promote it")
    return champion, base


def _lineage(
    base: values.Version, frozen: Snapshot, recipe: Mapping[str, Any], seed: int, champion: values.Version
) -> Lineage:
    return Lineage(
        family=base.family,
        base_digest=base.base_digest,
        snapshot_id=frozen.id,
        snapshot_digest=frozen.digest,
        taught=len(frozen.pool),
        recipe=recipe,
        seed=seed,
        champion=champion.number,
    )


def _lesson(corpus: Corpus, frozen: Snapshot) -> Lesson:
    pool = frozen.pool
    return Lesson(corpus.train_images, corpus.train_labels, pool.pixels, pool.labels, frozen.weights)


def _nothing_to_teach(
    home: Home, lineage: Lineage, slices: tuple[Slice, ...], *, force: bool, tainted: bool
) -> str | None:
    """Why this night would change nothing; None if it would."""
    if lineage.taught == 0 or lineage.snapshot_id is None:
        return "nothing to teach: the store contains no accepted upload of a teaching source"
    with home.store.read() as tx:
        twin = versions.twin(tx, lineage.base_digest, lineage.snapshot_digest, lineage.recipe_digest, lineage.seed)
        outcome = None if twin is None else versions.outcome(tx, twin.number)
        new = snapshots.untaught(tx, lineage.family, lineage.snapshot_id)
    if twin is not None and not force and (outcome != Outcome.INCONCLUSIVE or _judged_on(twin, slices)):
        return f"nothing changed: version {twin.number} was taught the same snapshot with the same recipe"
    if twin is None and new < home.settings.min_new and not force and not tainted:
        return f"too few new uploads: {new} that no night has taught, need {home.settings.min_new}"
    return None


def _judged_on(version: values.Version, slices: tuple[Slice, ...]) -> bool:
    """Whether the version was judged on exactly these slices; if not, there is new evidence."""
    return {part["digest"] for part in version.summary["slices"]} == {scoring.digest(part) for part in slices}


def _skip(held: HeldRun, reason: str, makeup: Makeup) -> Night:
    held.finish(RunStatus.SKIPPED, reason)
    return _night(held, RunStatus.SKIPPED, reason, None, None, makeup)


def _night(
    held: HeldRun,
    status: RunStatus,
    reason: str | None,
    version: values.Version | None,
    judged: Judged | None,
    makeup: Makeup,
) -> Night:
    return Night(held.run.id, status, reason, version, judged, dict(held.seconds), makeup)
