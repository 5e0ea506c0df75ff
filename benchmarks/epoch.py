"""Seconds of one epoch of base training: the second of two, without imports and tracing.

python benchmarks/epoch.py
"""

import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop.data import corpus  # noqa: E402 - after the path
from models.cnn import Cnn, backend, recipe  # noqa: E402

SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
STEPS = 60_000 // recipe.BASE.batch


def main() -> None:
    """Train two epochs, print what the second took."""
    mnist, marks = corpus.mnist(SHARED / "data" / "mnist"), {}

    def mark(what: str, done: int, total: int) -> None:  # noqa: ARG001 - the protocol's signature
        marks[done] = time.perf_counter()

    family = Cnn(base_recipe=replace(recipe.BASE, steps=2 * STEPS))
    family.train_base(mnist.train_images, mnist.train_labels, 0, mark)
    first = min(done for done in marks if done >= STEPS)
    seconds = (marks[2 * STEPS] - marks[first]) * STEPS / (2 * STEPS - first)
    print(f"{seconds:.1f} s an epoch of 60,000 images, {backend.policy()}")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
