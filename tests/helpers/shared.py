"""Where tests find real data that is not in the repository, and how they say that it is missing."""

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
    """The folder of MNIST's gzipped IDX files, or a skip."""
    return _needed(MNIST, "t10k-images-idx3-ubyte.gz")


def mnist_training(count: int) -> NDArray[np.uint8]:
    """The first training images ``(count, 28, 28)``, or a skip. Never the test set: constants were chosen by these."""
    return idx.load(mnist_folder() / "train-images-idx3-ubyte.gz")[:count]


def writers() -> list[Path]:
    """The zips of European writers, one a person, or a skip."""
    return sorted(_needed(WRITERS, "*.zip").glob("*.zip"))


def _needed(folder: Path, pattern: str) -> Path:
    if not any(folder.glob(pattern)):
        pytest.skip(f"no {folder}/{pattern}: TEST_SHARED names the folder that has data/{folder.name}")
    return folder
