"""From a trained candidate to a published version: describe, judge, write down, point at.

Rules: the bytes that are published are the bytes that were judged. The draft is scored through the Core ML runtime;
then its scores are written into its description, and the second judge makes sure that nothing else changed. Files
first, whole and synced; then, in one transaction, the version, its verdicts, the aliases and the end of the run. A
process killed before that commit has published nothing; killed after it, everything.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop import registry
from loop.errors import BadModel, DeploymentError, LessonErased
from loop.evaluation import digit_classifier, export_check, gate, scoring
from loop.evaluation.scoring import Report, Score, Slice
from loop.home import Home, artifacts
from loop.home.settings import Settings
from loop.night.lease import HeldRun
from loop.store import values
from loop.store.nights import runs, snapshots, versions
from loop.store.values import Attribution
from models.family import Candidate, Card, Family, Images, precision

GOOD_ENOUGH, LOADS_AND_RUNS = "good enough", "loads and runs"
EXPORT_CHECK_IMAGES = 1_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything a version comes from; the same lineage gives the same weights."""

    family: str
    base_digest: str
    snapshot_id: int | None
    snapshot_digest: str | None
    taught: int
    recipe: Mapping[str, Any]
    seed: int
    champion: int | None

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe as canonical JSON."""
        return hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A candidate after both judges: the final file, the reports before and after, the verdicts."""

    data: bytes
    golden: bytes
    before: Report | None
    after: Report
    verdicts: Mapping[str, gate.Verdict]

    @property
    def outcome(self) -> gate.Outcome:
        """The worst of the verdicts."""
        order = list(gate.Outcome)
        return max((verdict.outcome for verdict in self.verdicts.values()), key=order.index)


def recipe(family: Family, settings: Settings) -> dict[str, Any]:
    """Everything besides data and seed that decides the published weights: the family's recipe, and the precision."""
    return {**family.recipe(), "precision": precision(family, settings.precision)}


def describe(settings: Settings, number: int, lineage: Lineage, report: Report | None) -> Card:
    """What the file says of itself; accuracies only once there is a ``report``."""
    taught = f"taught {lineage.taught} corrections by people" if lineage.taught else "the base, taught no corrections"
    scores = {} if report is None else {s.name: f"{s.accuracy:.4f} (n={s.n})" for s in report.scores if s.n}
    metadata = {
        "loop.version": str(number),
        "loop.family": lineage.family,
        "loop.base": lineage.base_digest,
        "loop.snapshot": lineage.snapshot_digest or "none",
        "loop.recipe": lineage.recipe_digest,
        "loop.seed": str(lineage.seed),
    } | {f"loop.accuracy.{name}": score for name, score in scores.items()}
    return Card(
        description=f"Reads one handwritten digit, white ink on black. Version {number}: {taught}.",
        author=settings.model_author,
        licence=settings.model_licence,
        version=str(number),
        metadata=metadata,
    )


def evaluate(data: bytes, slices: tuple[Slice, ...]) -> Report:
    """The report of a file, run by the Core ML runtime; one that does not run answers nothing, and fails for it."""
    try:
        answer = digit_classifier.classifier(digit_classifier.load(data)).probabilities
    except BadModel:  # ``trial`` says why, in the second verdict
        answer = _nothing
    return scoring.score(answer, artifacts.digest(data), slices)


def report_of(home: Home, version: values.Version, slices: tuple[Slice, ...]) -> Report:
    """A version's report on today's slices: what was measured when it was registered is not measured again."""
    arrays = artifacts.unpack(home.artifacts.get(version.report_digest, ".npz"))
    data = home.artifacts.get(version.artifact_digest, ".mlmodel")
    try:
        stored = scoring.from_arrays(arrays)
    except (KeyError, TypeError):  # written by a release whose reports held something else
        return evaluate(data, slices)
    if (
        version.summary.get("runtime") != digit_classifier.runtime()
    ):  # other code may answer otherwise: pair like with like
        return evaluate(data, slices)
    known: dict[str, Score] = {score.digest: score for score in stored.scores}
    digests = [scoring.digest(part) for part in slices]
    missing = tuple(part for part, digest in zip(slices, digests, strict=True) if digest not in known)
    health = stored.health
    if missing:
        fresh = evaluate(data, missing)
        known |= {score.digest: score for score in fresh.scores}
        health = fresh.health if fresh.health.problems else health
    scores = tuple(replace(known[digest], name=part.name) for part, digest in zip(slices, digests, strict=True))
    return Report(version.artifact_digest, scores, health)


def judge(
    home: Home,
    number: int,
    lineage: Lineage,
    candidate: Candidate,
    slices: tuple[Slice, ...],
    before: Report | None,
    after: Report,
    draft: bytes,
) -> Judged:
    """Ask both judges; the second one about the final bytes, with the scores written into them."""
    final = candidate.export(describe(home.settings, number, lineage, after))
    images, labels = slices[0].images[:EXPORT_CHECK_IMAGES], slices[0].labels[:EXPORT_CHECK_IMAGES]
    good = gate.judge(before, after, home.settings.gate.at(len(slices[0].labels)))
    runs_well = export_check.run(final, draft, candidate.probabilities, images, home.settings.trial)
    golden = b"{}" if runs_well.outcome is gate.Outcome.FAILED else export_check.golden(final, images, labels)
    return Judged(final, golden, before, after, {GOOD_ENOUGH: good, LOADS_AND_RUNS: runs_well})


def publish(
    shift: HeldRun, number: int, lineage: Lineage, candidate: Candidate, judged: Judged, order: Attribution
) -> values.Version:
    """Write the files, then register the version; promote it if it passed, settings allow (they are not asked about a
    family's first), and the champion still is the one that it was judged against. Raises ``DiskFull``, ``LeaseLost``,
    ``LessonErased``, ``DeploymentError`` where the ``.mlpackage`` cannot be made; then nothing is visible.
    """
    home = shift.home
    package = _package(home.settings, number, lineage, candidate, judged)  # before a file is written: it may fail
    now = shift.clock()
    version = values.Version(
        number=number,
        family=lineage.family,
        run_id=shift.run.id,
        snapshot_id=lineage.snapshot_id,
        snapshot_digest=lineage.snapshot_digest,
        champion=lineage.champion,
        artifact_digest=home.artifacts.put(judged.data, ".mlmodel"),
        artifact_bytes=len(judged.data),
        weights_digest=home.artifacts.put(artifacts.pack(candidate.weights()), ".npz"),
        base_digest=lineage.base_digest,
        report_digest=home.artifacts.put(artifacts.pack(scoring.to_arrays(judged.after)), ".npz"),
        golden_digest=home.artifacts.put(judged.golden, ".json"),
        recipe_digest=lineage.recipe_digest,
        recipe=dict(lineage.recipe),
        seed=lineage.seed,
        summary=scoring.summary(judged.after) | {"runtime": digit_classifier.runtime()},
        registered_at=now,
        mlpackage_digest=None if package is None else home.artifacts.put(package, ".zip"),
    )
    verdicts = [
        values.Verdict(version.number, question, verdict.outcome, _document(judged, verdict), now)
        for question, verdict in judged.verdicts.items()
    ]
    with home.store.exclusive() as tx:
        _still_whole(tx, lineage)
        champion = versions.holder(tx, lineage.family)
        registry.register(tx, version, verdicts, order, now)
        reason = None
        if champion != lineage.champion:
            reason = f"not promoted: judged against version {lineage.champion}, but the champion now is {champion}"
        elif judged.outcome is gate.Outcome.PASSED and (champion is None or home.settings.auto_promote):
            registry.promote_in(tx, version, order, now)
        runs.finish(tx, shift.run.id, values.RunStatus.FINISHED, reason, shift.seconds, now)
    shift.ended = True
    return version


def promoted(home: Home, version: values.Version) -> bool:
    """Is this version its family's champion?"""
    with home.store.read() as tx:
        return versions.holder(tx, version.family) == version.number


def _still_whole(tx: Session, lineage: Lineage) -> None:
    """Nothing that was taught may have been erased meanwhile. Raises ``LessonErased``."""
    erased = 0 if lineage.snapshot_id is None else snapshots.erased(tx, lineage.snapshot_id)
    if erased:
        raise LessonErased(
            f"{erased} of the {lineage.taught} uploads that this night taught were erased meanwhile; nothing was "
            "published, and the next night teaches what is left"
        )


def _package(settings: Settings, number: int, lineage: Lineage, candidate: Candidate, judged: Judged) -> bytes | None:
    """The ``.mlpackage`` of the same weights and with the same description, if wanted; what failed gets none."""
    if not settings.mlpackage or judged.outcome is gate.Outcome.FAILED:
        return None
    try:
        return candidate.package(describe(settings, number, lineage, judged.after))
    except (ImportError, ValueError) as error:  # another coremltools than the one this was written for, or none
        raise DeploymentError(f"no .mlpackage: {error}; install coremltools 9.0 or set mlpackage = false") from error


def _nothing(images: Images) -> NDArray[np.float64]:
    return np.zeros((len(images), 0))


def _document(judged: Judged, verdict: gate.Verdict) -> dict[str, Any]:
    before = None if judged.before is None else scoring.summary(judged.before)
    return gate.as_json(verdict) | {"before": before, "after": scoring.summary(judged.after)}
