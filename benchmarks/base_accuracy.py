"""Train the base from each seed on all 60,000 and score its rounded, exported form once on MNIST's test set.

    python benchmarks/base_accuracy.py [--seeds 0 1 2] [--save FOLDER] [--shipped]

``--shipped`` scores the base that comes with the code instead; ``--save`` keeps each base as ``base-SEED.npz``.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop.data import corpus  # noqa: E402 - after the path
from models import coreml  # noqa: E402
from models.cnn import Cnn  # noqa: E402
from models.family import Candidate, Card  # noqa: E402

SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))


def accuracy(candidate: Candidate, mnist: corpus.Corpus) -> float:
    """Return per cent right on the test set, by the exported bytes."""
    model = coreml.load(candidate.export(Card("", "", "", "")))
    answers = np.asarray(model.predict({"image": mnist.test_images})["probabilities"]).argmax(1)
    return 100 * float((answers == mnist.test_labels).mean())


def progress(what: str, done: int, total: int) -> None:
    """Print every twentieth of the way."""
    if done % (total // 20 // 10 * 10 or total) == 0:
        print(f"  {what} {done}/{total}", file=sys.stderr, flush=True)


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--save", type=Path)
    parser.add_argument("--shipped", action="store_true")
    asked = parser.parse_args()
    mnist, family, found = corpus.mnist(SHARED / "data" / "mnist"), Cnn(), []
    if asked.shipped:
        weights = family.shipped()
        assert weights is not None  # noqa: S101 - it comes with the code
        print(f"shipped base: {accuracy(family.load(weights), mnist):.2f} % of {len(mnist.test_labels)}")
        return
    for seed in asked.seeds:
        start = time.perf_counter()
        base = family.train_base(mnist.train_images, mnist.train_labels, seed, progress)
        seconds = time.perf_counter() - start
        if asked.save:
            np.savez_compressed(asked.save / f"base-{seed}.npz", allow_pickle=False, **base.weights())
        found.append(accuracy(base, mnist))
        print(f"seed {seed}: {found[-1]:.2f} %  in {seconds:.0f} s", flush=True)
    print(f"mean {np.mean(found):.3f} %, lowest {min(found):.2f}, highest {max(found):.2f}, n={len(mnist.test_labels)}")
    print(f"seeds {asked.seeds}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
