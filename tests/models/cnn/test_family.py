"""A small base and night: they learn, repeat bit for bit, and do not change their arguments."""

from pathlib import Path

import numpy as np
import pytest

from models.cnn import Cnn, backend, network
from models.family import Lesson, Weights, no_progress
from tests.models.cnn.tiny import digest, shipped


@pytest.mark.slow
def test_training_learns(tiny: Cnn, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """After sixty steps the network reads most of 300 unseen digits; an untrained one reads few."""
    images, labels = digits
    calls: list[tuple[str, int, int]] = []
    base = tiny.train_base(images[:1000], labels[:1000], 1, lambda *call: calls.append(call))
    right = (base.probabilities(images[1000:1300]).argmax(1) == labels[1000:1300]).mean()
    assert right > 0.6
    assert calls[-1] == ("train base", 60, 60)
    assert all(array.dtype == np.float16 for array in base.weights().values())


@pytest.mark.slow
def test_another_seed_teaches_other_weights(tiny: Cnn, weights: Weights, lesson: Lesson) -> None:
    """The order of the images, the augmentation and the dropout follow the seed."""
    first, other = (tiny.fine_tune(weights, lesson, seed, no_progress) for seed in (1, 2))
    assert digest(first.weights()) != digest(other.weights())


def test_the_recipe_names_every_layer() -> None:
    """A changed network is another recipe."""
    assert len(Cnn().recipe()["layers"]) == len(network.LAYERS)


def test_shipped_base() -> None:
    """The shipped base is at most 650 kB, float16, needs no pickle, and fits the network."""
    from models.cnn import family

    assert family.BASE_FILE.stat().st_size <= 650_000
    base = shipped()
    assert {array.dtype for array in base.values()} == {np.dtype(np.float16)}
    assert list(base) == list(network.shapes())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu avx512f avx512_bf16\n", "mixed_bfloat16"),
        ("flags : fpu amx_bf16\n", "mixed_bfloat16"),
        ("flags : fpu avx2\n", "float32"),
        ("Features : asimd\n", "float32"),
    ],
)
def test_arithmetic_follows_the_processor(tmp_path: Path, text: str, expected: str) -> None:
    """bfloat16 is used only where the processor multiplies it in hardware."""
    (tmp_path / "cpuinfo").write_text(text)
    assert backend.policy(tmp_path / "cpuinfo") == expected
    assert backend.policy(tmp_path / "absent") == "float32"
