"""How long the Core ML runtime takes for 10,000 images: the shipped network at each precision, and files by others.

Wall time is the best of ``--rounds``, beside the processor time of that round; loading the file is not counted.

    python benchmarks/runtime_speed.py [FILE.mlmodel …] [--rounds 5]
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from models import coreml  # noqa: E402 - after the path
from models.cnn import Cnn  # noqa: E402
from models.family import Card  # noqa: E402

IMAGES = 10_000


def files(others: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Our network as it is published, then what was named."""
    family = Cnn()
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    for precision in family.precisions:
        yield f"cnn {precision}", family.load(weights).rounded(precision).export(Card("", "", "", ""))
    for path in others:
        yield path.name, path.read_bytes()


def seconds(model: coreml.Model, images: np.ndarray, rounds: int) -> tuple[float, float]:
    """Wall and processor seconds of the quickest round."""
    found = []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        model.predict({model.inputs[0].name: images})
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(found)


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE.mlmodel", help="grayscale 28×28 in")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    images = np.random.default_rng(1).integers(0, 256, (IMAGES, 28, 28)).astype(np.uint8)
    for name, data in files(asked.files):
        wall, processor = seconds(coreml.load(data, name=name), images, asked.rounds)
        steps = coreml.inspect(data).macs
        print(f"{name:<24} {steps:>10,} steps  {wall:5.2f} s wall  {processor:5.2f} s processor, {IMAGES:,} images")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
