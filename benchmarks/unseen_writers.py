"""How one night on other people's corrections changes what the model reads of a person it has never met.

Cross-validated by writer: for each held-out writer and seed, the shipped base reads every other writer; what it gets
wrong becomes corrections, a tenth of the rest confirmations; one night teaches both; the published bytes, run by
``models.coreml``, then read the held-out writer and MNIST's test set. Writers DEVELOPMENT were used to choose the
recipe and are reported apart from the others, who were not looked at before everything was chosen.

    python benchmarks/unseen_writers.py [--seeds 0 1 2] [--group development report] [--json]
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop.data import corpus, handwriting  # noqa: E402 - after the path
from models import coreml  # noqa: E402
from models.cnn import Cnn  # noqa: E402
from models.family import Candidate, Card, Lesson, no_progress  # noqa: E402

SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
DEVELOPMENT = ("0002", "0005", "0010", "0014")
CONFIRMATION_RATE = 0.1

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """One person: images (n, 28, 28) uint8 and labels (n,)."""

    name: str
    images: Array
    labels: Array


@dataclass(frozen=True, slots=True)
class Score:
    """One night: accuracies in per cent on the held-out writer and on MNIST's test set."""

    writer: str
    group: str
    n: int
    seed: int
    taught: int
    before: float
    after: float
    mnist_before: float
    mnist_after: float
    night_seconds: float


def read_writers() -> list[Writer]:
    """Read and normalise every writer."""
    found = []
    for person in handwriting.people(sorted((SHARED / "data" / "european-writers").glob("*.zip"))):
        samples = list(person.samples())
        images = np.stack([sample.digit().pixels for sample in samples])
        found.append(Writer(person.name, images, np.array([sample.label for sample in samples])))
    return found


def guesses(candidate: Candidate, images: Array) -> Array:
    """Return what the published bytes answer."""
    model = coreml.load(candidate.export(Card("", "", "", "")))
    answers: Array = np.asarray(model.predict({"image": images})["probabilities"]).argmax(1)
    return answers


def lesson_of(teachers: list[Writer], answers: dict[str, Array], mnist: corpus.Corpus, seed: int) -> Lesson:
    """Corrections of all that was wrong, confirmations of a tenth of the rest, all of weight 1."""
    generator = np.random.default_rng([seed, 2])
    images, labels = [], []
    for writer in teachers:
        wrong = answers[writer.name] != writer.labels
        kept = wrong | (generator.random(len(wrong)) < CONFIRMATION_RATE)
        images.append(writer.images[kept])
        labels.append(writer.labels[kept])
    taught = np.concatenate(labels).astype(np.uint8)
    return Lesson(mnist.train_images, mnist.train_labels, np.concatenate(images), taught, np.ones(len(taught)))


def scores(seeds: list[int], groups: list[str]) -> Iterator[Score]:
    """Run every night that was asked for."""
    family, writers, mnist = Cnn(), read_writers(), corpus.mnist(SHARED / "data" / "mnist")
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    base = family.load(weights)
    answers = {writer.name: guesses(base, writer.images) for writer in writers}
    before = 100 * float((guesses(base, mnist.test_images) == mnist.test_labels).mean())
    for held in writers:
        group = "development" if held.name.startswith(DEVELOPMENT) else "report"
        if group not in groups:
            continue
        for seed in seeds:
            lesson = lesson_of([one for one in writers if one is not held], answers, mnist, seed)
            start = time.perf_counter()
            taught = family.fine_tune(weights, lesson, seed, no_progress)
            seconds = time.perf_counter() - start
            yield Score(
                writer=held.name,
                group=group,
                n=len(held.labels),
                seed=seed,
                taught=len(lesson.labels),
                before=100 * float((answers[held.name] == held.labels).mean()),
                after=100 * float((guesses(taught, held.images) == held.labels).mean()),
                mnist_before=before,
                mnist_after=100 * float((guesses(taught, mnist.test_images) == mnist.test_labels).mean()),
                night_seconds=seconds,
            )


def summary(found: list[Score]) -> dict[str, float]:
    """Mean over writers of their mean over seeds; the worst writer; the mean cost on MNIST."""
    names = sorted({score.writer for score in found})
    per_writer = [np.mean([score.after for score in found if score.writer == name]) for name in names]
    return {
        "writers": len(names),
        "before": float(np.mean([score.before for score in found])),
        "after": float(np.mean(per_writer)),
        "worst": float(min(per_writer)),
        "mnist_cost_points": float(np.mean([score.mnist_before - score.mnist_after for score in found])),
        "night_seconds": float(np.mean([score.night_seconds for score in found])),
    }


def main() -> None:
    """Run, print each night as it is scored, then the groups and all together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--group", nargs="+", default=["development", "report"])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = []
    for score in scores(asked.seeds, asked.group):
        found.append(score)
        print(
            f"{score.writer:12} {score.group:12} n={score.n} seed={score.seed} taught={score.taught} "
            f"{score.before:6.2f} → {score.after:6.2f} %  MNIST {score.mnist_before:.2f} → {score.mnist_after:.2f} % "
            f"{score.night_seconds:.1f} s",
            file=sys.stderr if asked.json else sys.stdout,
            flush=True,
        )
    groups = {name: summary([one for one in found if one.group == name]) for name in asked.group}
    groups["all"] = summary(found)
    if asked.json:
        json.dump({"nights": [asdict(score) for score in found], "groups": groups}, sys.stdout)
        return
    for name, values in groups.items():
        print(f"{name:12} " + "  ".join(f"{key} {value:.2f}" for key, value in values.items()))
    print(f"seeds {asked.seeds}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
