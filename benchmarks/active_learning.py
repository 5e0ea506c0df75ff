"""What is a good question worth? Labels that are asked for, against labels at random: real network, real night.

Cross-validated by hand: in each fold some writers are judged and all others are an unlabelled pool. The shipped base
reads the pool, a strategy orders it, and only the first labels of that order are revealed and taught in one night. The
published bytes then read the writers that nobody asked about. A stopped run goes on where it ended.

``nightly:margin`` asks as the loop does, night after night: the network that was taught the first budget reads the rest
of the pool and chooses the next labels, up to the second budget, and so on.

    python benchmarks/active_learning.py --seeds 10 --out active_learning.jsonl [--folds 1] \\
        [--strategies random margin nightly:margin]
    python benchmarks/active_learning.py --out active_learning.jsonl --summary [--json] [--plot active_learning.png]
    python benchmarks/active_learning.py --out FILE --summary --compare margin scikit:Falcun --budgets 100
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from benchmarks import scikit_strategies  # noqa: E402 - after the path
from benchmarks.active_curves import ALL, BASE, NIGHTLY, Point, paired, plot, summary  # noqa: E402
from benchmarks.unseen_writers import DEVELOPMENT, SHARED, Writer, guesses, read_writers  # noqa: E402
from loop.asking.candidates import Candidates  # noqa: E402
from loop.asking.strategies import STRATEGIES  # noqa: E402
from loop.data import corpus  # noqa: E402
from loop.evaluation import digit_classifier  # noqa: E402
from models.cnn import Cnn  # noqa: E402
from models.cnn.family import Network  # noqa: E402
from models.family import Card, Lesson, Weights, no_progress  # noqa: E402

BUDGETS = (25, 50, 100, 200, 400, 800)
FOLDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """The pool with its hidden labels, and the writers that judge."""

    number: int
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    judged: tuple[Writer, ...]


Reading = tuple[NDArray[np.float64], NDArray[np.float32]]
"""Probabilities ``(n, 10)`` and embeddings ``(n, d)``."""


def folds(writers: list[Writer], seed: int, count: int = FOLDS) -> Iterator[Fold]:
    """The writers in a random order, each judged once; with a smaller count, the seed decides which folds judge."""
    order = np.random.default_rng([seed, 3]).permutation(len(writers))
    for number in sorted((seed + step) % FOLDS for step in range(count)):
        judged = tuple(writers[row] for row in order[number::FOLDS])
        pool = [writer for writer in writers if writer not in judged]
        labels = np.concatenate([writer.labels for writer in pool]).astype(np.uint8)
        yield Fold(number, np.concatenate([writer.images for writer in pool]), labels, judged)


def development_folds(writers: list[Writer]) -> Iterator[Fold]:
    """The development writers alone: each is judged once, the others are the pool."""
    own = [writer for writer in writers if writer.name.startswith(DEVELOPMENT)]
    for number, judge in enumerate(own):
        pool = [writer for writer in own if writer is not judge]
        labels = np.concatenate([writer.labels for writer in pool]).astype(np.uint8)
        yield Fold(number, np.concatenate([writer.images for writer in pool]), labels, (judge,))


def reading_of(images: NDArray[np.uint8], weights: Weights) -> Reading:
    """What the published network makes of pictures."""
    model = digit_classifier.classifier(digit_classifier.load(Cnn().load(weights).export(Card("", "", "", ""))))
    reading = model.read(images)
    rows = np.asarray(reading.probabilities, np.float64)
    return rows / rows.sum(axis=1, keepdims=True), reading.embeddings


def choose(strategy: str, reading: Reading, weights: Weights, seed: int, count: int) -> NDArray[np.intp]:
    """The rows of the pool that the strategy, ours or scikit-activeml's, asks for, the most wanted first."""
    rows, embeddings = reading
    if strategy.startswith(scikit_strategies.PREFIX):
        return scikit_strategies.choose(strategy, rows, embeddings, weights, count, seed)
    nothing = np.zeros((0, embeddings.shape[1]), np.float32)
    pool = Candidates(rows, embeddings, nothing, np.zeros((0, len(rows), 10)))
    return STRATEGIES[strategy](pool, count, seed).rows


def extended(
    rows: NDArray[np.intp], labels: int, strategy: str, fold: Fold, champion: Weights, seed: int
) -> NDArray[np.intp]:
    """These rows of the pool and those that the champion asks for next, ``labels`` together."""
    rest = np.setdiff1d(np.arange(len(fold.labels)), rows)
    chosen = choose(strategy, reading_of(fold.images[rest], champion), champion, seed, labels - len(rows))
    return np.concatenate([rows, rest[chosen]])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which nights to run: ``references`` are ``base`` (nothing taught) and ``all`` labels of the pool."""

    strategies: list[str]
    budgets: list[int]
    seeds: range
    references: list[str]
    folds: int = FOLDS
    development: bool = False

    def nights(self, everything: int) -> list[tuple[str, int]]:
        """Strategy and number of labels of each night of a fold."""
        sizes = {BASE: 0, ALL: everything}
        return [(name, sizes[name]) for name in self.references] + [
            (name, budget) for name in self.strategies if not name.startswith(NIGHTLY) for budget in self.budgets
        ]


def points(asked: Wanted, known: set[tuple[str, int, int, int]]) -> Iterator[Point]:
    """Every night that is not known yet."""
    family, writers, mnist = Cnn(), read_writers(), corpus.mnist(SHARED / "data" / "mnist")
    weights = family.shipped()
    if weights is None:
        raise SystemExit("expected a shipped base, got none")

    def teach(fold: Fold, rows: NDArray[np.intp], seed: int) -> Network:
        if not len(rows):
            return family.load(weights)
        chosen, ones = (fold.images[rows], fold.labels[rows]), np.ones(len(rows))
        return family.fine_tune(
            weights, Lesson(mnist.train_images, mnist.train_labels, *chosen, ones), seed, no_progress
        )

    def score(name: str, labels: int, seed: int, fold: Fold, taught: Network) -> Point:
        right = np.concatenate([guesses(taught, writer.images) == writer.labels for writer in fold.judged])
        on_mnist = None
        if not asked.development:
            on_mnist = 100 * float((guesses(taught, mnist.test_images) == mnist.test_labels).mean())
        return Point(name, labels, seed, fold.number, 100 * float(right.mean()), on_mnist, len(right))

    for seed in asked.seeds:
        for fold in development_folds(writers) if asked.development else folds(writers, seed, asked.folds):
            everything = np.arange(len(fold.labels))
            orders: dict[str, NDArray[np.intp]] = {BASE: everything[:0], ALL: everything}
            for name in (name for name in asked.strategies if name.startswith(NIGHTLY)):
                if all((name, labels, seed, fold.number) in known for labels in asked.budgets):
                    continue
                rows, champion = everything[:0], weights
                for labels in sorted(asked.budgets):
                    rows = extended(rows, labels, name.removeprefix(NIGHTLY), fold, champion, seed)
                    taught = teach(fold, rows, seed)
                    champion = taught.weights()
                    yield score(name, labels, seed, fold, taught)
            for name, labels in asked.nights(len(everything)):
                if (name, labels, seed, fold.number) in known:
                    continue
                if name in scikit_strategies.NAMES:
                    orders[name] = choose(name, reading_of(fold.images, weights), weights, seed, labels)
                elif name not in orders:
                    orders[name] = choose(name, reading_of(fold.images, weights), weights, seed, max(asked.budgets))
                yield score(name, labels, seed, fold, teach(fold, orders[name][:labels], seed))


def main() -> None:
    """Run what is missing, or summarise what was run."""
    strategies = [*sorted(STRATEGIES), *(NIGHTLY + name for name in sorted(STRATEGIES)), *scikit_strategies.NAMES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="one JSON line per night; a stopped run goes on")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="several processes can share the seeds")
    parser.add_argument(
        "--folds",
        type=int,
        default=FOLDS,
        choices=range(1, FOLDS + 1),
        help=f"folds per seed; with 1, seed s judges fold s mod {FOLDS}",
    )
    parser.add_argument("--strategies", nargs="+", default=["random", "margin"], choices=strategies)
    parser.add_argument("--references", nargs="*", default=[BASE, ALL], choices=[BASE, ALL])
    parser.add_argument("--development", action="store_true", help="development writers only, each judged once a seed")
    parser.add_argument("--compare", nargs=2, metavar=("ONE", "OTHER"), help="with --summary: their paired difference")
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--summary", action="store_true", help="only summarise")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lines = asked.out.read_text(encoding="utf-8").splitlines() if asked.out.exists() else []
    found = [Point(**json.loads(line)) for line in lines]
    if not asked.summary:
        seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
        wanted = Wanted(asked.strategies, asked.budgets, seeds, asked.references, asked.folds, asked.development)
        known = {(p.strategy, p.labels, p.seed, p.fold) for p in found}
        with asked.out.open("a", encoding="utf-8") as file:
            for point in points(wanted, known):
                file.write(json.dumps(asdict(point)) + "\n")
                file.flush()
                found.append(point)
                sys.stderr.write(
                    f"seed {point.seed} fold {point.fold} {point.strategy} {point.labels}: {point.accuracy:.2f} %\n"
                )
    if asked.compare:
        result = {"pairs": [paired(found, *asked.compare, budget) for budget in asked.budgets]}
        sys.stdout.write(json.dumps(result, indent=None if asked.json else 2) + "\n")
        return
    result = summary(found)
    if asked.plot and result["runs"]:
        plot(result, asked.plot)
    sys.stdout.write(json.dumps(result, indent=None if asked.json else 2) + "\n")


if __name__ == "__main__":
    main()
