"""Slow imports once per session, and where real data lies."""

import gzip
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models.cnn import Cnn
from models.family import Card
from models.svm import Recipe, export, vectors
from tests.helpers.paths import SHARED


@pytest.fixture(scope="session")
def ct() -> ModuleType:
    """The real coremltools; takes seconds to import, and TensorFlow with it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import coremltools

    return coremltools


@pytest.fixture(scope="session")
def foreign() -> dict[str, bytes]:
    """The two files by other people, or a skip where they are not."""
    folder = SHARED / "data" / "coreml-models"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set TEST_SHARED to the shared data")
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.mlmodel"))}


@pytest.fixture(scope="session")
def mnist_test() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's test set, images ``(10000, 28, 28)`` and labels, or a skip where it is not."""
    folder = SHARED / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set TEST_SHARED to the shared data")
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8),
    )


@pytest.fixture(scope="session")
def bundled() -> tuple[np.ndarray, np.ndarray]:
    """The digits that come with scikit-learn: tiles ``(1797, 64)`` and labels."""
    from sklearn.datasets import load_digits

    tiles, labels = load_digits(return_X_y=True)
    return tiles, labels


@pytest.fixture(scope="session")
def exports(bundled: tuple[np.ndarray, np.ndarray]) -> dict[str, bytes]:
    """This repository's own files: the shipped network in each precision, and a support-vector machine."""
    from sklearn.svm import SVC

    card = Card("Reads digits", "someone", "MIT", "1")
    family = Cnn()
    base = family.shipped()
    assert base is not None
    network = family.load(base)
    files = {f"cnn-{each}": network.rounded(each).export(card) for each in family.precisions}
    tiles, labels = bundled
    machine = SVC(gamma=Recipe().gamma).fit(tiles, labels)
    return files | {"svm": export.mlmodel(vectors.taken(machine), card)}


@pytest.fixture
def torch_stand_in(ct: ModuleType) -> Iterator[Any]:
    """Let coremltools' own tests import torch where it is not installed; what needs it fails and is not counted."""
    assert ct
    missing = "torch" not in sys.modules
    if missing:
        sys.modules["torch"] = ModuleType("torch")
    yield
    if missing:
        del sys.modules["torch"]
