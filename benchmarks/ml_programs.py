"""A version's two files, the ``.mlmodel`` and the ``.mlpackage`` (an ML Program), read by the same runtime.

The shipped base in each precision is written as both; ``models.coreml`` runs both on MNIST's test set. Prints a
Markdown table: accuracy, how many labels differ, the largest difference of a probability, and the program's processor
time as a multiple of the network's, each the least of ROUNDS.

    python benchmarks/ml_programs.py
"""

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
from models.family import Card  # noqa: E402

SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
CARD = Card("Reads a digit", "Digit Loop", "MIT", "1")
ROUNDS = 3


def answers(data: bytes, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the probabilities, and the processor seconds of the quickest round."""
    model = coreml.load(data)
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        found = model.predict({model.inputs[0].name: images}, (model.probabilities_name or "",))
        seconds.append(time.process_time() - start)
    return next(iter(found.values())), min(seconds)


def main() -> None:
    """Print a row for each precision."""
    family, mnist = Cnn(), corpus.mnist(SHARED / "data" / "mnist")
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    print("| precision | accuracy | labels that differ | largest difference | processor time |\n|---|---|---|---|---|")
    for precision in family.precisions:
        network = family.load(weights).rounded(precision)
        package = network.package(CARD)
        assert package is not None  # noqa: S101 - this family has one
        (one, before), (other, after) = (answers(data, mnist.test_images) for data in (network.export(CARD), package))
        right, differ = (other.argmax(1) == mnist.test_labels).mean(), (one.argmax(1) != other.argmax(1)).sum()
        print(
            f"| {precision} | {100 * right:.2f} % | {differ} | {np.abs(one - other).max():.1e} | {after / before:.2f} |"
        )
    print(f"{len(mnist.test_labels):,} images; {os.cpu_count()} cores, {platform.machine()}")


if __name__ == "__main__":
    main()
