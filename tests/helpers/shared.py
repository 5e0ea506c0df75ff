"""Real data for tests that is not in the repository; tests skip with a reason if it is missing."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loop.data import idx
from tests.helpers import paths

SHARED = paths.SHARED / "data"
MNIST = SHARED / "mnist"
WRITERS = SHARED / "european-writers"


def mnist_folder() -> Path:
    """The folder of MNIST's gzipped IDX files; skips the test if it is missing."""
    return _needed(MNIST, "t10k-images-idx3-ubyte.gz")


def mnist_training(count: int) -> NDArray[np.uint8]:
    """The first training images ``(count, 28, 28)``. Never the test set, because constants were chosen on these."""
    return idx.load(mnist_folder() / "train-images-idx3-ubyte.gz")[:count]


def writers() -> list[Path]:
    """The zips of European writers, one per person; skips the test if they are missing."""
    return sorted(_needed(WRITERS, "*.zip").glob("*.zip"))


def strange(name: str) -> Path:
    """A small input that was once read wrong, or a skip."""
    return _needed(SHARED / "strange", name) / name


def _needed(folder: Path, pattern: str) -> Path:
    if not any(folder.glob(pattern)):
        pytest.skip(f"no {folder}/{pattern}: TEST_SHARED names the folder that has data/{folder.name}")
    return folder
