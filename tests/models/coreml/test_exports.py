"""This repository's own files through this runtime: each precision loads and answers."""

import numpy as np
import pytest

from models import coreml


@pytest.mark.slow
def test_ten_thousand_images_at_once(exports: dict[str, bytes]) -> None:
    """As many images as MNIST's test set has go through the shipped network in one call, each row a distribution."""
    images = np.random.default_rng(1).integers(0, 256, (10_000, 28, 28)).astype(np.uint8)
    found = coreml.load(exports["cnn-float32"]).predict({"image": images})["probabilities"]
    assert found.shape == (10_000, 10)
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("name", ["cnn-float32", "cnn-float16", "cnn-int8", "svm"])
def test_each_of_our_files_compiles_by_the_rules(name: str, exports: dict[str, bytes]) -> None:
    """Apple's rules accept this repository's files, and their lowest iOS is the stated one."""
    summary = coreml.inspect(exports[name])
    assert summary.problem is None
    assert summary.lowest_ios == ("11.0" if name == "svm" else "13.0")
