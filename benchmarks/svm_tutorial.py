"""The second tutorial's own experiment: scikit-learn's digits, taught the first half, asked about the second.

Raw 8×8 digits as they come with scikit-learn, ``SVC(gamma=0.001)``, no shuffling. The answers are given by the
exported ``.mlmodel``, run by ``models.coreml``, and compared with scikit-learn's own. The second line is the
family's way: the same digits cut to their ink's bounding box first, as a phone sends drawings.

    python benchmarks/svm_tutorial.py
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop.evaluation import intervals  # noqa: E402 - after the path
from models import coreml  # noqa: E402
from models.bundled import load_bundled  # noqa: E402
from models.family import Card  # noqa: E402
from models.svm import Recipe, export, vectors  # noqa: E402
from models.svm.tiles import tiles  # noqa: E402


def experiment(name: str, inputs: np.ndarray, labels: np.ndarray) -> None:
    """Teach the first half, ask about the second, print one line."""
    from sklearn.svm import SVC

    half = len(inputs) // 2
    machine = SVC(gamma=Recipe().gamma).fit(inputs[:half], labels[:half])
    data = export.mlmodel(vectors.taken(machine), Card("", "", "", ""))
    answers = coreml.load(data).predict({export.TILES: inputs[half:]})[export.LABEL]
    right, n = int((answers == labels[half:].astype(str)).sum()), len(inputs) - half
    low, high = intervals.wilson(right / n, n)
    same = int((answers == machine.predict(inputs[half:]).astype(str)).sum())
    print(
        f"{name:<28} {right / n:.1%} ({right} of {n}, 95 % interval {low:.1%} to {high:.1%}); "
        f"{len(machine.support_vectors_)} support vectors, {len(data):,} bytes; as scikit-learn on {same} of {n}"
    )


def main() -> None:
    """Print both lines."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    images, labels = load_bundled()
    whole = labels.astype(np.int64)
    experiment("8×8 as in the tutorial", images.reshape(-1, 64).astype(np.float64), whole)
    levels = np.rint(images * (255 / 16)).astype(np.uint8)
    experiment("8×8 cut to the bounding box", tiles(levels), whole)


if __name__ == "__main__":
    main()
