"""From a trained candidate to a published version: describe it, judge it, register it, promote it.

Rules: the published bytes are the judged bytes. The draft is scored in the Core ML runtime; then its scores are written
into its description, and the second judge checks that nothing else changed. The files are written first, whole and
synced; then one transaction stores the version, its verdicts, the aliases and the end of the run. A process killed
before that commit has published nothing; killed after it, everything.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from loop import registry
from loop.errors import BadModel, DeploymentError, LessonErased
from loop.evaluation import digit_classifier, export_check, gate, reports, scoring
from loop.evaluation.scoring import Report, Slice
from loop.evaluation.verdict import Reason
from loop.home import Home, artifacts
from loop.home.settings import Settings
from loop.night import answers
from loop.night.jury import Drawn
from loop.night.lease import HeldRun
from loop.night.snapshot import Snapshot
from loop.store import values
from loop.store.nights import runs, snapshots, versions
from loop.store.values import Attribution
from models.family import Candidate, Card, Family, Images, precision

GOOD_ENOUGH, LOADS_AND_RUNS = "good enough", "loads and runs"
EXPORT_CHECK_IMAGES = 1_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything that determines a version; the same lineage gives the same weights."""

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
    """A candidate after both judges: the final file, the reports before and after, the verdicts, and who judged."""

    data: bytes
    golden: bytes
    before: Report | None
    after: Report
    verdicts: Mapping[str, gate.Verdict]
    jury: Mapping[str, Any]

    @property
    def outcome(self) -> gate.Outcome:
        """The worst of the verdicts."""
        order = list(gate.Outcome)
        return max((verdict.outcome for verdict in self.verdicts.values()), key=order.index)


def recipe(family: Family, settings: Settings) -> dict[str, Any]:
    """Everything except data and seed that determines the published weights: the family's recipe, and the precision."""
    return {**family.recipe(), "precision": precision(family, settings.precision)}


def describe(settings: Settings, number: int, lineage: Lineage, report: Report | None) -> Card:
    """The file's description of itself; with a ``report``, the accuracy on the base slice.

    Everybody can read it. So it states neither how many uploads taught nor anything about ``feedback``: a source that
    sends many could see which of the two they move, and so whether it teaches or judges.
    """
    taught = "taught corrections by people" if lineage.taught else "the base, taught no corrections"
    scores = {} if report is None else {s.name: f"{s.accuracy:.4f} (n={s.n})" for s in report.scores[:1] if s.n}
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
    """The report of a file, run in the Core ML runtime. A file that does not run answers nothing, and so fails."""
    try:
        answer = digit_classifier.classifier(digit_classifier.load(data)).probabilities
    except BadModel:  # ``export_check`` gives the reason in the second verdict
        answer = _nothing
    return scoring.score(answer, artifacts.digest(data), slices)


def report_of(home: Home, version: values.Version, slices: tuple[Slice, ...]) -> Report:
    """A version's report on today's slices; what it answered on earlier nights is not measured again."""
    data = home.artifacts.get(version.artifact_digest, ".mlmodel")
    earlier = answers.load(home, version)
    if earlier is None:
        report = evaluate(data, slices)
    else:
        report = reports.update(earlier, slices, lambda missing: evaluate(data, missing))
    report = replace(report, model=version.artifact_digest)  # the registered one names the draft, without its scores
    answers.keep(home, version, report)
    return report


def judge(
    home: Home,
    number: int,
    lineage: Lineage,
    candidate: Candidate,
    drawn: Drawn,
    before: Report | None,
    after: Report,
    draft: bytes,
    *,
    day0: Report | None = None,
    tainted: bool = False,
    probes: Sequence[Reason] = (),
) -> Judged:
    """Ask both judges. The second judges the final bytes, which contain the scores.

    ``before`` is the champion's report, ``day0`` the frozen base's, both on the slices of ``drawn``. ``tainted``: the
    champion is. ``probes`` are the reasons of ``probing``.
    """
    slices, policy = drawn.slices, home.settings.gate.at(len(drawn.slices[0].labels))
    final = candidate.export(describe(home.settings, number, lineage, after))
    images, labels = slices[0].images[:EXPORT_CHECK_IMAGES], slices[0].labels[:EXPORT_CHECK_IMAGES]
    good = gate.judge(before, after, policy, day0=day0, tainted=tainted, probes=probes)
    runs_well = export_check.run(final, draft, candidate.probabilities, images, home.settings.trial)
    golden = b"{}" if runs_well.outcome is gate.Outcome.FAILED else export_check.golden(final, images, labels)
    return Judged(final, golden, before, after, {GOOD_ENOUGH: good, LOADS_AND_RUNS: runs_well}, drawn.summary())


def publish(
    held: HeldRun,
    number: int,
    lineage: Lineage,
    candidate: Candidate,
    judged: Judged,
    attribution: Attribution,
    lesson: Snapshot | None = None,
) -> values.Version:
    """Write the files, then register the version. Promote it if it passed, the settings allow it (they do not apply to
    a family's first version), and the champion is still the one that it was judged against.

    Raises ``DiskFull``, ``LeaseLost``, ``LessonErased``, or ``DeploymentError`` if the ``.mlpackage`` cannot be made;
    then nothing is visible.
    """
    home = held.home
    package = _package(home.settings, number, lineage, candidate, judged)  # before any file is written: it may fail
    now = held.clock()
    version = values.Version(
        number=number,
        family=lineage.family,
        run_id=held.run.id,
        snapshot_id=lineage.snapshot_id,
        snapshot_digest=lineage.snapshot_digest,
        champion=lineage.champion,
        artifact_digest=home.artifacts.put(judged.data, ".mlmodel"),
        artifact_bytes=len(judged.data),
        weights_digest=home.artifacts.put(artifacts.pack(candidate.weights()), ".npz"),
        base_digest=lineage.base_digest,
        report_digest=home.artifacts.put(artifacts.pack(reports.to_arrays(judged.after)), ".npz"),
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
        require_intact(tx, lesson)
        champion = versions.holder(tx, lineage.family)
        registry.register(tx, version, verdicts, attribution, now)
        reason = None
        if champion != lineage.champion:
            reason = f"not promoted: judged against version {lineage.champion}, but the champion now is {champion}"
        elif judged.outcome is gate.Outcome.PASSED and (champion is None or home.settings.auto_promote):
            registry.promote_in(tx, version, attribution, now)
        runs.finish(tx, held.run.id, values.RunStatus.FINISHED, reason, held.seconds, now)
    held.ended = True
    return version


def promoted(home: Home, version: values.Version) -> bool:
    """Whether this version is its family's champion."""
    with home.store.read() as tx:
        return versions.holder(tx, version.family) == version.number


def require_intact(tx: Session, lesson: Snapshot | None) -> None:
    """Raise ``LessonErased``, with the sources, if an upload that was taught was erased or withdrawn in between."""
    if lesson is None or not snapshots.erased(tx, lesson.id):
        return
    lost = ~np.isin(lesson.pool.ids, snapshots.kept(tx, lesson.pool.ids))
    sources = frozenset(lesson.pool.sources[lost].tolist())
    raise LessonErased(
        f"{np.count_nonzero(lost)} of the {len(lost)} uploads that this night taught were erased or taken back while "
        f"it ran (sources: {len(sources)})",
        sources,
    )


def _package(settings: Settings, number: int, lineage: Lineage, candidate: Candidate, judged: Judged) -> bytes | None:
    """The ``.mlpackage`` with the same weights and description, if the settings want one and no verdict failed."""
    if not settings.mlpackage or judged.outcome is gate.Outcome.FAILED:
        return None
    try:
        return candidate.package(describe(settings, number, lineage, judged.after))
    except (ImportError, ValueError) as error:  # another version of coremltools, or none
        raise DeploymentError(f"no .mlpackage: {error}; install coremltools 9.0 or set mlpackage = false") from error


def _nothing(images: Images) -> NDArray[np.float64]:
    return np.zeros((len(images), 0))


def _document(judged: Judged, verdict: gate.Verdict) -> dict[str, Any]:
    before = None if judged.before is None else scoring.summary(judged.before)
    return gate.as_json(verdict) | {
        "before": before,
        "after": scoring.summary(judged.after),
        "jury": dict(judged.jury),
    }
