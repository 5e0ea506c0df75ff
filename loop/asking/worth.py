"""What asking is worth: learning curves of the asked and of the random arm at equal numbers of labels. Pure.

Each point is a model that was taught ``labels`` answers of one arm from the frozen base, and judged on the slice
``users``. A curve is the mean over seeds, made non-decreasing from the base on (isotonic regression): more labels of
one arm teach no less, and what says otherwise is chance. Between two sizes it is a straight line. Intervals come from a
bootstrap that draws seeds and judging hands again, so they allow for both: which labels were taken, and who judged.
Other hands may all be harder to read, the base included; so for each draw the target is the same gain over the base.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ASKED, RANDOM = "asked", "random"
ARMS = (ASKED, RANDOM)
SIZES = (10, 25, 50, 100, 200, 400, 800, 1_600, 3_200)
REPEATS = 1_000
STEP = 1e-3
"""A target is a whole multiple of this: 0.1 points."""
BASE_COUNTS = 1e6
"""Both curves begin at the base, which no chance of a training moves."""


@dataclass(frozen=True, slots=True)
class Task:
    """Teach so many answers of an arm, drawn with this seed."""

    arm: str
    labels: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A taught model: ``right (m,) bool`` says which of the judging answers it reads correctly."""

    arm: str
    labels: int
    seed: int
    right: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judges:
    """The judging answers: ``weights (m,) float64``, positive; ``sources (m,) int64`` number the hands."""

    weights: NDArray[np.float64]
    sources: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; infinity if the curve ends below the target."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Size:
    """One size of a curve: the accuracy of models that were taught so many labels, of so many seeds."""

    labels: int
    seeds: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Reach:
    """How many labels of each arm bring the accuracy ``target``."""

    target: float
    labels: Mapping[str, Estimate]


def tasks(available: Mapping[str, int], seeds: int) -> Iterator[Task]:
    """What to teach, in the order in which it is worth the time: every size once before a second seed."""
    for seed in range(seeds):
        for size in SIZES:
            yield from (Task(arm, size, seed) for arm in ARMS if size <= available[arm])


def curves(points: Sequence[Point], base: Point, judges: Judges, seed: int = 0) -> dict[str, tuple[Size, ...]]:
    """The curve of each arm, with the base at 0 labels. Raises ``ValueError`` without a judging answer."""
    weights = _resampled_judges(judges, seed)
    found = {}
    for arm in ARMS:
        sizes, cells = _cells(points, base, arm)
        lines = _lines(cells, weights, seed)
        low, high = np.percentile(lines[1:], [2.5, 97.5], axis=0)
        found[arm] = tuple(
            Size(size, len(cell), Estimate(float(lines[0, i]), float(low[i]), float(high[i])))
            for i, (size, cell) in enumerate(zip(sizes, cells, strict=True))
        )
    return found


def reach(points: Sequence[Point], base: Point, judges: Judges, target: float | None, seed: int = 0) -> Reach | None:
    """How many labels bring ``target``, or by default the highest accuracy that both arms reach; None if that is not
    above the base's.
    """
    weights = _resampled_judges(judges, seed)
    lines = {}
    for arm in ARMS:
        sizes, cells = _cells(points, base, arm)
        lines[arm] = sizes, _lines(cells, weights, seed)
    if target is None:
        top = min(float(line[0, -1]) for _, line in lines.values())
        target = math.floor(top / STEP + 1e-9) * STEP
        if target <= lines[ASKED][1][0, 0] + STEP / 2:
            return None
    needed = {}
    for arm, (sizes, line) in lines.items():
        targets = target - line[0, 0] + line[:, 0]
        labels = np.array([_crossing(sizes, each, wanted) for each, wanted in zip(line, targets, strict=True)])
        low, high = np.percentile(labels[1:], [2.5, 97.5], method="nearest")  # infinity has no interpolation
        needed[arm] = Estimate(float(labels[0]), float(low), float(high))
    return Reach(target, needed)


def in_words(found: Reach) -> str:
    """To reach 98.5 %: 120 asked (95 % interval 100 to 150) against 610 random (500 to more than measured)."""
    parts = [
        f"{_labels(each.value)} {arm} (95 % interval {_labels(each.low)} to {_labels(each.high)})"
        for arm, each in found.labels.items()
    ]
    return f"to reach {100 * found.target:.1f} %: {' against '.join(parts)}"


def _labels(number: float) -> str:
    return f"{math.ceil(number):,}" if math.isfinite(number) else "more than measured"


def _cells(points: Sequence[Point], base: Point, arm: str) -> tuple[list[int], list[NDArray[np.float64]]]:
    """The sizes of an arm, and for each the outcomes ``(seeds, m)``."""
    own = [each for each in points if each.arm == arm]
    sizes = [0, *sorted({each.labels for each in own})]
    rows = [[base.right], *([each.right for each in own if each.labels == size] for size in sizes[1:])]
    return sizes, [np.array(row, np.float64) for row in rows]


def _resampled_judges(judges: Judges, seed: int) -> NDArray[np.float64]:
    """``(REPEATS + 1, m)``, rows that sum to 1: the weights as they are, then with hands drawn again."""
    if not len(judges.weights):
        raise ValueError("judges: expected at least one answer")
    hand = np.unique(judges.sources, return_inverse=True)[1]
    hands = int(hand.max()) + 1
    drawn = np.random.default_rng([seed, 0]).multinomial(hands, np.full(hands, 1 / hands), REPEATS)
    rows = np.concatenate([np.ones((1, hands)), drawn])[:, hand] * judges.weights
    shares: NDArray[np.float64] = rows / rows.sum(axis=1, keepdims=True)
    return shares


def _lines(cells: Sequence[NDArray[np.float64]], weights: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """``(REPEATS + 1, sizes)``: the curve, and curves with seeds and judges drawn again; each is non-decreasing."""
    random = np.random.default_rng([seed, 1])
    columns = []
    for cell in cells:
        accuracies = cell @ weights.T  # (seeds, REPEATS + 1)
        picked = random.integers(0, len(cell), (len(cell), REPEATS))
        again = np.take_along_axis(accuracies[:, 1:], picked, axis=0).mean(axis=0)
        columns.append(np.concatenate([accuracies[:, :1].mean(axis=0), again]))
    counts = np.array([BASE_COUNTS, *(len(cell) for cell in cells[1:])])
    return _isotonic(np.column_stack(columns), counts)


def _isotonic(rows: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row as the nearest non-decreasing one, weighted by ``counts``: max-min formula, for a dozen columns."""
    n = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows * counts, axis=1)], axis=1)
    total = np.concatenate([[0.0], np.cumsum(counts)])
    found = np.empty_like(rows)
    for i in range(n):
        best = np.full(len(rows), -np.inf)
        for begin in range(i + 1):
            ends = np.arange(i + 1, n + 1)
            means = (sums[:, ends] - sums[:, [begin]]) / (total[ends] - total[begin])
            best = np.maximum(best, means.min(axis=1))
        found[:, i] = best
    return found


def _crossing(sizes: Sequence[int], accuracies: NDArray[np.float64], target: float) -> float:
    """The number of labels at which the curve reaches the target."""
    at = int(np.searchsorted(accuracies, target - 1e-12))
    if at == len(sizes):
        return math.inf
    if at == 0:
        return 0.0
    below, above = accuracies[at - 1], accuracies[at]
    return float(sizes[at - 1] + (target - below) / (above - below) * (sizes[at] - sizes[at - 1]))
