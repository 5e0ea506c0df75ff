"""This repository's own files through this runtime: how fast, and that each precision loads and answers."""

import time

import numpy as np
import pytest

from models import coreml


def test_ten_thousand_images_through_our_network(exports: dict[str, bytes]) -> None:
    """10,000 images through the shipped network take seconds: some 2.3 s of processor time, 1.2 s on two idle cores."""
    model = coreml.load(exports["cnn-float32"])
    images = np.random.default_rng(1).integers(0, 256, (10_000, 28, 28)).astype(np.uint8)
    model.predict({"image": images[:100]})
    wall, processor = time.perf_counter(), time.process_time()
    found = model.predict({"image": images})["probabilities"]
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    macs = coreml.inspect(exports["cnn-float32"]).macs
    print(f"\n10,000 images of {macs:,} steps: {wall:.2f} s, {processor:.2f} s of processor time")  # noqa: T201  (shown by -s)
    assert found.shape == (10_000, 10)
    assert processor < 8


@pytest.mark.parametrize("name", ["cnn-float32", "cnn-float16", "cnn-int8", "svm"])
def test_each_of_our_files_compiles_by_the_rules(name: str, exports: dict[str, bytes]) -> None:
    """No rule of Apple's compiler refuses a file of ours, and it runs where it says it does."""
    summary = coreml.inspect(exports[name])
    assert summary.problem is None
    assert summary.lowest_ios == ("11.0" if name == "svm" else "13.0")
