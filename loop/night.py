"""The loop itself: corrections rest in the store, are frozen into a snapshot, teach a challenger, which is judged
against the champion on handwriting it has never seen, packed as a ``.mlmodel``, and pointed at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import models
from loop import artifacts, holdout, lease, publishing, registry, snapshot
from loop import home as homes
from loop.corpus import Corpus
from loop.errors import OpsError
from loop.home import Home
from loop.lease import Clock, Shift, utc_now
from loop.publishing import Judged, Lineage
from loop.registry import Order
from loop.snapshot import Snapshot
from loop.store import feedback, snapshots, values, versions
from loop.store.values import RunStatus
from models.family import Family, Lesson, Progress, Weights, no_progress


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """What one night came to. ``version`` is None for a skipped or dry run, ``judged`` for a skipped one."""

    run: int
    status: RunStatus
    reason: str | None
    version: values.Version | None
    judged: Judged | None
    seconds: Mapping[str, float]


def retrain(
    home: Home,
    family_name: str = "cnn",
    *,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> Night:
    """One night. Raises ``RunInProgress``, ``LeaseLost``, and whatever the deployment lacks; a night with nothing to
    teach is skipped, a refused challenger is registered with its verdict. ``force`` teaches however little is new.
    """
    family, settings = models.get(family_name), home.settings
    champion, base = _before(home, family)
    with lease.hold(home, family.name, "dry-run" if dry_run else "night", clock) as shift:
        with shift.step("snapshot"):
            corpus = homes.corpus(settings, family.corpus)
            frozen = snapshot.freeze(
                home.store, shift.run.id, corpus.digest, settings.snapshot_budget, settings.source_cap, clock()
            )
            lineage = _lineage(family, base, frozen, settings.seed, champion)
            if reason := _nothing_to_teach(home, lineage, force):
                return _skip(shift, reason)
        with shift.step("teach"):
            weights = artifacts.unpack(home.artifacts.get(base.weights_digest, ".npz"))
            candidate = family.fine_tune(weights, _lesson(corpus, frozen), settings.seed, progress)
        with shift.step("export"):
            draft = candidate.export(publishing.describe(settings, shift.run.reserved, lineage, None))
        with shift.step("evaluate"):
            slices = holdout.slices(home.store, corpus)
            before = publishing.report_of(home, champion, slices)
            after = publishing.evaluate(draft, slices)
        with shift.step("judge"):
            judged = publishing.judge(home, shift.run.reserved, lineage, candidate, slices, before, after, draft)
        if dry_run:
            shift.finish(RunStatus.FINISHED, "dry run: nothing was registered")
            return _night(shift, RunStatus.FINISHED, "dry run: nothing was registered", None, judged)
        with shift.step("publish"):
            order = Order(home.actor, f"run {shift.run.id}: {judged.outcome}")
            version = publishing.publish(shift, lineage, candidate, judged, order)
        return _night(shift, RunStatus.FINISHED, None, version, judged)


def found(
    home: Home,
    family_name: str = "cnn",
    weights: Weights | None = None,
    *,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> values.Version:
    """Register a family's frozen base as its first version and champion; a second call changes nothing.

    ``weights`` default to the shipped base, else the base is trained. A base that does not pass is registered but not
    promoted: the family then has no champion, and ``loop verdict`` says why.
    """
    family, settings = models.get(family_name), home.settings
    with home.store.read() as tx:
        known = versions.base(tx, family.name)
    if known is not None:
        return known
    with lease.hold(home, family.name, "base", clock) as shift:
        corpus = homes.corpus(settings, family.corpus)
        with shift.step("teach"):
            shipped = family.shipped() if weights is None and corpus.name == family.corpus else weights
            candidate = (
                family.train_base(corpus.train_images, corpus.train_labels, settings.seed, progress)
                if shipped is None
                else family.load(shipped)
            )
        lineage = Lineage(
            family=family.name,
            base_digest=artifacts.digest(artifacts.pack(candidate.weights())),
            snapshot_id=None,
            snapshot_digest=None,
            taught=0,
            recipe=family.recipe(),
            seed=settings.seed,
            champion=None,
        )
        with shift.step("export"):
            draft = candidate.export(publishing.describe(settings, shift.run.reserved, lineage, None))
        with shift.step("evaluate"):
            slices = holdout.slices(home.store, corpus)
            after = publishing.evaluate(draft, slices)
        with shift.step("judge"):
            judged = publishing.judge(home, shift.run.reserved, lineage, candidate, slices, None, after, draft)
        with shift.step("publish"):
            order = Order(home.actor, f"run {shift.run.id}: the {family.name} base")
            return publishing.publish(shift, lineage, candidate, judged, order)


def _before(home: Home, family: Family) -> tuple[values.Version, values.Version]:
    """The champion and the base. Raises ``OpsError`` where the family has none."""
    champion = registry.champion(home, family.name)
    with home.store.read() as tx:
        base = versions.base(tx, family.name)
    if base is None:
        raise OpsError(f"{family.name} has no base yet; run `loop init --family {family.name}` first")
    if champion is None:
        raise OpsError(f"{family.name}: its base did not pass; read `loop verdict {base.number}` before you promote it")
    return champion, base


def _lineage(family: Family, base: values.Version, frozen: Snapshot, seed: int, champion: values.Version) -> Lineage:
    return Lineage(
        family=family.name,
        base_digest=base.weights_digest,
        snapshot_id=frozen.id,
        snapshot_digest=frozen.digest,
        taught=len(frozen.pool),
        recipe=family.recipe(),
        seed=seed,
        champion=champion.number,
    )


def _lesson(corpus: Corpus, frozen: Snapshot) -> Lesson:
    pool = frozen.pool
    return Lesson(corpus.train_images, corpus.train_labels, pool.pixels, pool.labels, frozen.weights)


def _nothing_to_teach(home: Home, lineage: Lineage, force: bool) -> str | None:
    """Why this night would change nothing, if so."""
    with home.store.read() as tx:
        for other in versions.every(tx, lineage.family):
            if (other.base_digest, other.snapshot_digest, other.recipe_digest, other.seed) == (
                lineage.base_digest,
                lineage.snapshot_digest,
                lineage.recipe_digest,
                lineage.seed,
            ):
                return f"nothing changed: version {other.number} was taught the same snapshot by the same recipe"
        new = snapshots.untaught(tx, lineage.family)
        total = sum(feedback.counts(tx).values())
    if lineage.taught == 0:
        return f"nothing to teach: {total} uploads in the store, none accepted from a source that teaches"
    if new < home.settings.min_new and not force:
        return f"too little new: {new} accepted uploads that no night has taught, need {home.settings.min_new}"
    return None


def _skip(shift: Shift, reason: str) -> Night:
    shift.finish(RunStatus.SKIPPED, reason)
    return _night(shift, RunStatus.SKIPPED, reason, None, None)


def _night(
    shift: Shift, status: RunStatus, reason: str | None, version: values.Version | None, judged: Judged | None
) -> Night:
    return Night(shift.run.id, status, reason, version, judged, dict(shift.seconds))
