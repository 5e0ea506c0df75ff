"""What a smaller file costs: the same network with float32, float16 and 8-bit weights, judged as the gate judges.

Two networks: the shipped base, and one night on the corrections of all European writers but DEVELOPMENT. Each is
rounded to each precision; the exported bytes, run by ``models.coreml``, read MNIST's test set, the last 10,000 images
of its training set (the base was trained on them too, so they only show whether answers move) and the development
writers, whom the night has not met. Every comparison is paired with the float32 file as champion; *gate* is the worse
of the gate's two checks of a base slice, at its default margins. Prints a Markdown table.

    python benchmarks/file_sizes.py [--seed 0] [--json]
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from unseen_writers import DEVELOPMENT, SHARED, Writer, guesses, lesson_of, read_writers

from loop.data import corpus
from loop.evaluation import digit_classifier, gate, scoring
from loop.home import artifacts  # unseen_writers has put the clone on the path
from models.cnn import Cnn, Network
from models.family import Card, no_progress

VALIDATION = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One file on one slice, against the float32 file: accuracies in per cent, counts of images."""

    network: str
    precision: str
    bytes: int
    slice: str
    n: int
    accuracy: float
    fixed: int
    broken: int
    changed: int  # answers, right or wrong
    loss_at_most: float  # points, the gate's bound
    gate: str


def slices(mnist: corpus.Corpus, writers: list[Writer]) -> list[scoring.Slice]:
    """What is read."""
    images = np.concatenate([writer.images for writer in writers])
    labels = np.concatenate([writer.labels for writer in writers]).astype(np.uint8)
    last = mnist.train_images[-VALIDATION:], mnist.train_labels[-VALIDATION:]
    parts = {"MNIST test": (mnist.test_images, mnist.test_labels), "MNIST train, last": last}
    parts["development writers"] = images, labels
    return [scoring.Slice(name, *part, np.ones(len(part[1]))) for name, part in parts.items()]


def networks(mnist: corpus.Corpus, writers: list[Writer], seed: int) -> Iterator[tuple[str, Network]]:
    """The base, and what a night makes of it."""
    family = Cnn()
    shipped = family.shipped()
    assert shipped is not None  # noqa: S101 - it comes with the code
    base = family.load(shipped)
    yield "base", base
    teachers = [writer for writer in writers if not writer.name.startswith(DEVELOPMENT)]
    lesson = lesson_of(teachers, {writer.name: guesses(base, writer.images) for writer in teachers}, mnist, seed)
    yield f"a night on {len(lesson.labels)}", family.fine_tune(shipped, lesson, seed, no_progress)


def rows(name: str, network: Network, parts: list[scoring.Slice]) -> Iterator[Row]:
    """Each precision on each slice."""
    champions: dict[str, scoring.Report] = {}
    for precision in Cnn().precisions:
        data = network.rounded(precision).export(Card("", "", "", ""))
        read = digit_classifier.classifier(digit_classifier.load(data)).probabilities
        for part in parts:
            report = scoring.score(read, artifacts.digest(data), (part,))
            champion = champions.setdefault(part.name, report)
            before, after = champion.scores[0], report.scores[0]
            policy = gate.Policy().at(after.n)
            pairs = gate.pair(before, after, policy)
            checks = [r for r in gate.judge(champion, report, policy).reasons if r.check in {"base", "classes"}]
            yield Row(
                network=name,
                precision=precision,
                bytes=len(data),
                slice=part.name,
                n=after.n,
                accuracy=100 * after.accuracy,
                fixed=int(pairs.fixed.sum()),
                broken=int(pairs.broken.sum()),
                changed=int((before.predictions != after.predictions).sum()),
                loss_at_most=0 - pairs.gain(policy.alpha)[1],
                gate=max((check.outcome for check in checks), key=list(gate.Outcome).index).value,
            )


def cell(row: Row) -> str:
    """A row's cell in the table."""
    if row.precision == "float32":
        return f"{row.accuracy:.2f} % (n={row.n})"
    moved = f"fixed {row.fixed}, broke {row.broken}, changed {row.changed}"
    return f"{row.accuracy:.2f} %; {moved}; loss ≤ {row.loss_at_most:.2f}, {row.gate}"


def tell(found: list[Row]) -> None:
    """Print the table: a line for each file."""
    names = list(dict.fromkeys(row.slice for row in found))
    print(f"| network | weights | bytes | {' | '.join(names)} |")
    print("|---|---|--:|" + "---|" * len(names))
    files = list(dict.fromkeys((row.network, row.precision, row.bytes) for row in found))
    for network, precision, size in files:
        of_file = [row for row in found if (row.network, row.precision) == (network, precision)]
        print(f"| {network} | {precision} | {size:,} | {' | '.join(cell(row) for row in of_file)} |")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    mnist, writers = corpus.mnist(SHARED / "data" / "mnist"), read_writers()
    parts = slices(mnist, [writer for writer in writers if writer.name.startswith(DEVELOPMENT)])
    found = [row for name, network in networks(mnist, writers, asked.seed) for row in rows(name, network, parts)]
    if asked.json:
        json.dump([asdict(row) for row in found], sys.stdout)
        return
    tell(found)
    print(f"\nseed {asked.seed}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
