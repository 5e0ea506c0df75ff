"""The two families side by side on writers they have never met, before and after one night.

Cross-validated by writer, by the rule of ``unseen_writers.py``: a family's base reads every other writer; what it gets
wrong becomes corrections, a tenth of the rest confirmations; one night teaches them; the published bytes, run by
``models.coreml``, then read the held-out writer. Each family replays its own base corpus. The first line of a family
is its base on MNIST's test set.

    python benchmarks/families.py [--families svm cnn] [--group development report] [--seed 0] [--json]
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from unseen_writers import CONFIRMATION_RATE, DEVELOPMENT, SHARED, Array, Writer, read_writers

import models  # unseen_writers has put the clone on the path
from loop.data import corpus
from loop.evaluation import digit_classifier, intervals
from models.family import Candidate, Card, Family, Lesson, no_progress


@dataclass(frozen=True, slots=True)
class Row:
    """One family on one held-out writer: right answers of ``n`` before and after a night."""

    family: str
    writer: str
    n: int
    before: int
    after: int
    taught: int
    night_seconds: float
    bytes: int


def guesses(candidate: Candidate, images: Array) -> tuple[Array, int]:
    """What the published bytes answer, and how many bytes they are."""
    data = candidate.export(Card("", "", "", ""))
    answers = digit_classifier.classifier(digit_classifier.load(data)).probabilities(images)
    return answers.argmax(axis=1), len(data)


def base_of(family: Family, taught: corpus.Corpus) -> Candidate:
    """The shipped base, else a fitted one."""
    shipped = family.shipped()
    if shipped is not None:
        return family.load(shipped)
    return family.train_base(taught.train_images, taught.train_labels, 0, no_progress)


def rows(family: Family, writers: list[Writer], groups: list[str], seed: int) -> Iterator[Row]:
    """One row for each held-out writer of the groups."""
    mnist = corpus.mnist(SHARED / "data" / "mnist")
    own = mnist if family.corpus == "mnist" else corpus.digits()
    base = base_of(family, own)
    right = int((guesses(base, mnist.test_images)[0] == mnist.test_labels).sum())
    print(f"{family.name}: base on MNIST's test set {right / 100:.2f} %, n=10000", flush=True)
    answers = {writer.name: guesses(base, writer.images)[0] for writer in writers}
    for held in writers:
        if ("development" if held.name.startswith(DEVELOPMENT) else "report") not in groups:
            continue
        generator, images, labels = np.random.default_rng([seed, 2]), [], []
        for writer in writers:
            wrong = answers[writer.name] != writer.labels
            kept = wrong | (generator.random(len(wrong)) < CONFIRMATION_RATE)
            if writer is not held:
                images.append(writer.images[kept])
                labels.append(writer.labels[kept])
        told = np.concatenate(labels).astype(np.uint8)
        lesson = Lesson(own.train_images, own.train_labels, np.concatenate(images), told, np.ones(len(told)))
        start = time.perf_counter()
        taught = family.fine_tune(base.weights(), lesson, seed, no_progress)
        seconds = time.perf_counter() - start
        after, size = guesses(taught, held.images)
        yield Row(
            family=family.name,
            writer=held.name,
            n=len(held.labels),
            before=int((answers[held.name] == held.labels).sum()),
            after=int((after == held.labels).sum()),
            taught=len(told),
            night_seconds=seconds,
            bytes=size,
        )


def tell(row: Row) -> None:
    """Print one row."""
    print(
        f"{row.family:<4} {row.writer:<10} n={row.n:<5} base {row.before / row.n:6.1%}  after a night "
        f"{row.after / row.n:6.1%}  taught {row.taught:<5} {row.night_seconds:5.1f} s  {row.bytes:,} bytes",
        flush=True,
    )


def total(found: list[Row]) -> None:
    """Print a family's sum over its writers; the interval takes images as independent, which one hand's are not."""
    n = sum(row.n for row in found)
    for when in ("before", "after"):
        share = sum(getattr(row, when) for row in found) / n
        low, high = intervals.wilson(share, n)
        worst = min(getattr(row, when) / row.n for row in found)
        print(
            f"{found[0].family:<4} {when:<6} {share:.2%} of {n:,} ({low:.2%} to {high:.2%}), worst writer {worst:.1%}"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(models.NAMES), choices=models.NAMES)
    parser.add_argument("--group", nargs="+", default=["report"], choices=["development", "report"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    writers = read_writers()
    for name in arguments.families:
        found = []
        for row in rows(models.get(name), writers, arguments.group, arguments.seed):
            found.append(row)
            tell(row)
        total(found)
        if arguments.json:
            print(json.dumps([asdict(row) for row in found]))


if __name__ == "__main__":
    main()
