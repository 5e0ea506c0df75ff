"""Which query strategies deserve real nights: every one of ours and of scikit-activeml's, on the development writers.

A stand-in for the night, 100 times as cheap: only the last layer is taught, on the frozen embeddings, with the night's
steps, batches, shares and reach and without distortions. Each development writer is judged once, the other three are
the pool. The best few of each side are then compared by real nights:

    python -m benchmarks.active_screening [--budget 100] [--seeds 3] [--strategies margin scikit:Falcun]
    python benchmarks/active_learning.py --development --references base --budgets 100 --seeds 1 --out dev.jsonl \\
        --strategies margin badge scikit:Falcun
"""

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import scikit_strategies
from benchmarks.active_learning import Fold, Reading, choose, development_folds, reading_of
from benchmarks.unseen_writers import SHARED, read_writers
from loop.asking.strategies import STRATEGIES
from loop.data import corpus
from models.cnn import Cnn
from models.cnn.recipe import NIGHT
from models.cnn.train import share

REPLAYED = 12_000

Points = NDArray[np.float32]
Labels = NDArray[np.uint8]


Head = tuple[NDArray[Any], NDArray[Any]]
"""Kernel ``(d, 10)`` and bias ``(10,)``."""


def taught(head: Head, replay: tuple[Points, Labels], lesson: tuple[Points, Labels], seed: int) -> Head:
    """The last layer after the night's steps: SGD with momentum, a cosine, and the night's reach."""
    random = np.random.default_rng([seed, 7])
    kernel, bias = (part.astype(np.float32) for part in head)
    speed = np.zeros_like(kernel), np.zeros_like(bias)
    new = share(NIGHT, len(lesson[1]))
    for step in range(NIGHT.steps):
        old_rows = random.integers(0, len(replay[1]), NIGHT.batch - new)
        new_rows = random.integers(0, len(lesson[1]), new)
        points = np.concatenate([replay[0][old_rows], lesson[0][new_rows]])
        labels = np.concatenate([replay[1][old_rows], lesson[1][new_rows]])
        truth = np.eye(10, dtype=np.float32)[labels] * (1 - NIGHT.label_smoothing) + NIGHT.label_smoothing / 10
        off = (_softmax(points @ kernel + bias) - truth) / NIGHT.batch
        rate = np.float32(NIGHT.learning_rate * 0.5 * (1 + np.cos(np.pi * step / NIGHT.steps)))
        speed = (NIGHT.momentum * speed[0] - rate * points.T @ off, NIGHT.momentum * speed[1] - rate * off.sum(0))
        kernel, bias = kernel + speed[0], bias + speed[1]
    part = NIGHT.reach
    return head[0] + part * (kernel - head[0]), head[1] + part * (bias - head[1])


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    found: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return found


def main() -> None:
    """Print each strategy's mean accuracy over folds and seeds, with what choosing costs."""
    every = [*sorted(STRATEGIES), *scikit_strategies.NAMES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", nargs="+", default=every, choices=every)
    asked = parser.parse_args()
    weights = Cnn().shipped()
    if weights is None:
        raise SystemExit("expected a shipped base, got none")
    mnist = corpus.mnist(SHARED / "data" / "mnist")
    rows = np.random.default_rng(0).permutation(len(mnist.train_labels))[:REPLAYED]
    replay = reading_of(mnist.train_images[rows], weights)[1], mnist.train_labels[rows]
    start = scikit_strategies.last_layer(weights)
    folds = list(development_folds(read_writers()))
    read: list[tuple[Fold, Reading, Points]] = []
    for fold in folds:
        judged = np.concatenate([writer.images for writer in fold.judged])
        read.append((fold, reading_of(fold.images, weights), reading_of(judged, weights)[1]))
    base = np.mean([_accuracy(start, points, fold) for fold, _, points in read])
    print(f"{'no label':22} {base:6.2f} %", flush=True)
    for name in asked.strategies:
        found, spent = [], 0.0
        for seed in range(asked.seeds):
            for fold, pool, judged in read:
                begun = time.process_time()
                chosen = choose(name, pool, weights, seed, asked.budget)
                spent += time.process_time() - begun
                head = taught(start, replay, (pool[1][chosen], fold.labels[chosen]), seed)
                found.append(_accuracy(head, judged, fold))
        mean, off = (
            np.mean(found),
            np.std(np.reshape(found, (asked.seeds, -1)).mean(1), ddof=1) if asked.seeds > 1 else 0,
        )
        print(f"{name:22} {mean:6.2f} %  ±{off:.2f} between seeds; choosing {spent / len(found):.1f} s", flush=True)


def _accuracy(head: Head, points: Points, fold: Fold) -> float:
    labels = np.concatenate([writer.labels for writer in fold.judged])
    best = (points.astype(np.float64) @ head[0] + head[1]).argmax(1)
    return 100 * float((best == labels).mean())


if __name__ == "__main__":
    main()
