"""What one source has changed in a version: teach its lesson once more without that source, and compare.

Base, recipe, seed and all other uploads are the version's own, so nothing else differs. Nothing is registered.
"""

from dataclasses import dataclass

import numpy as np

import models
from loop import home as homes
from loop.clock import Clock, utc_now
from loop.errors import OpsError
from loop.evaluation import gate
from loop.evaluation.scoring import Report
from loop.home import Home, artifacts
from loop.night import jury, lease, publishing
from loop.night.publishing import Lineage
from loop.store import values
from loop.store.feedback import corrections, taint
from loop.store.nights import snapshots, versions
from loop.store.values import RunStatus
from models.family import Lesson, Progress, no_progress


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One slice: accuracies (0 to 1) with and without the source; how many answers differ, and how many of these are
    right only with it, right only without it. ``by_digit`` counts the answers that differ, by true digit.
    """

    name: str
    n: int
    with_source: float
    without_source: float
    changed: int
    only_right_with: int
    only_right_without: int
    by_digit: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Influence:
    """The influence of a source on a version. ``taught`` of ``size`` uploads were the source's; ``erased`` ones of the
    lesson are gone, so that both models differ by them too. ``verdict`` is the gate's about the version, and about the
    one without the source, against the champion before (None: there was none), on today's holdout.
    """

    source: str
    version: int
    against: int | None
    taught: int
    size: int
    erased: int
    slices: tuple[SliceChange, ...]
    verdict_with: str
    verdict_without: str

    @property
    def decides(self) -> bool:
        """Whether the verdict changes without this source."""
        return self.verdict_with != self.verdict_without


def of(
    home: Home, source: str, version: values.Version, *, progress: Progress = no_progress, clock: Clock = utc_now
) -> Influence:
    """Measure a source's influence on a version, in a dry run. Raises ``RunInProgress``, and ``OpsError`` if the
    version learned nothing from the source.
    """
    family, settings = models.get(version.family), home.settings
    with home.store.read() as tx:
        learned = taint.of(tx, version.number, version.snapshot_id)
        learners = [number for number in taint.learners(tx, source) if number != version.number]
    own = next((each for each in learned.sources if each.source == source), None)
    if own is None or version.snapshot_id is None:
        raise OpsError(_unknown(source, version.number, learners))
    with lease.hold(home, family.name, "dry-run", clock, progress) as held:
        with held.step("snapshot"):
            with home.store.frozen() as tx:
                ids, weights = snapshots.items(tx, version.snapshot_id)
                pool = corrections.pictures(tx, ids)
                out = np.isin(pool.sources, corrections.ids_of_sources(tx, [source]))
                before = None if version.champion is None else versions.get(tx, version.champion)
            corpus = homes.corpus(settings, family.corpus)
            slices = jury.draw(home.store, corpus, settings.jury, settings.confirm_rate, clock()).slices
        with held.step("teach"):
            base = artifacts.unpack(home.artifacts.get(version.base_digest, ".npz"))
            kept = pool[~out]
            lesson = Lesson(corpus.train_images, corpus.train_labels, kept.pixels, kept.labels, weights[~out])
            candidate = family.fine_tune(base, lesson, version.seed, held.report) if len(kept) else family.load(base)
            candidate = candidate.rounded(version.recipe["precision"])
        with held.step("evaluate"):
            draft = candidate.export(publishing.describe(settings, 0, _lineage(version, len(kept)), None))
            after, now = publishing.evaluate(draft, slices), publishing.report_of(home, version, slices)
            past = None if before is None else publishing.report_of(home, before, slices)
        policy = settings.gate.at(len(slices[0].labels))
        held.finish(RunStatus.FINISHED, f"the influence of one source on version {version.number}; nothing registered")
    return Influence(
        source=source,
        version=version.number,
        against=version.champion,
        taught=own.taught,
        size=learned.size,
        erased=learned.erased,
        slices=changes(now, after),
        verdict_with=gate.judge(past, now, policy).outcome,
        verdict_without=gate.judge(past, after, policy).outcome,
    )


def changes(with_source: Report, without_source: Report) -> tuple[SliceChange, ...]:
    """Two reports on the same slices, compared image by image; empty slices are left out."""
    found = []
    for ours, theirs in zip(with_source.scores, without_source.scores, strict=True):
        if not ours.n:
            continue
        differ = ours.predictions != theirs.predictions
        found.append(
            SliceChange(
                name=ours.name,
                n=ours.n,
                with_source=ours.accuracy,
                without_source=theirs.accuracy,
                changed=int(differ.sum()),
                only_right_with=int((ours.right & ~theirs.right).sum()),
                only_right_without=int((~ours.right & theirs.right).sum()),
                by_digit=tuple(np.bincount(ours.labels[differ], minlength=10).tolist()),
            )
        )
    return tuple(found)


def _lineage(version: values.Version, taught: int) -> Lineage:
    return Lineage(
        family=version.family,
        base_digest=version.base_digest,
        snapshot_id=None,
        snapshot_digest=None,
        taught=taught,
        recipe=version.recipe,
        seed=version.seed,
        champion=version.champion,
    )


def _unknown(source: str, version: int, learners: list[int]) -> str:
    others = f"; it taught version {', '.join(map(str, learners))}: use --version" if learners else ""
    return f"source: expected one that taught version {version}, got {source[:80]!r}{others or '; see `loop taint`'}"
