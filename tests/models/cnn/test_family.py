"""A base and a night, shrunken: they learn, repeat bit for bit, and keep what they are given."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.cnn import Cnn, backend, network
from models.family import Lesson, Weights, no_progress
from tests.helpers.paths import ROOT
from tests.models.cnn.tiny import digest, shipped


@pytest.mark.slow
def test_training_learns(tiny: Cnn, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Sixty steps from nothing read most of 300 digits that were not trained on; untrained reads a few."""
    images, labels = digits
    calls: list[tuple[str, int, int]] = []
    base = tiny.train_base(images[:1000], labels[:1000], 1, lambda *call: calls.append(call))
    right = (base.probabilities(images[1000:1300]).argmax(1) == labels[1000:1300]).mean()
    assert right > 0.6
    assert calls[-1] == ("train base", 60, 60)
    assert all(array.dtype == np.float16 for array in base.weights().values())


@pytest.mark.slow
def test_a_night_teaches_and_repeats(tiny: Cnn, weights: Weights, lesson: Lesson) -> None:
    """The same base, lesson and seed give the same bits; another seed others; the base stays untouched."""
    before = digest(weights)
    first, second, other = (tiny.fine_tune(weights, lesson, seed, no_progress) for seed in (1, 1, 2))
    assert digest(first.weights()) == digest(second.weights())
    assert digest(first.weights()) != digest(other.weights())
    assert digest(first.weights()) != before
    assert digest(weights) == before


@pytest.mark.slow
def test_a_night_of_nothing_new_is_allowed(tiny: Cnn, weights: Weights, lesson: Lesson) -> None:
    """A lesson without corrections replays the base corpus alone."""
    none = Lesson(lesson.replay_images, lesson.replay_labels, lesson.images[:0], lesson.labels[:0], lesson.weights[:0])
    taught = tiny.fine_tune(weights, none, 1, no_progress)
    assert np.isfinite(taught.probabilities(lesson.images)).all()


def test_a_night_starts_from_a_checked_base(tiny: Cnn, weights: Weights, lesson: Lesson) -> None:
    """A base of wrong arrays is refused by name before anything is trained."""
    wrong = {name: array for name, array in weights.items() if name != "digits/bias"}
    with pytest.raises(ValueError, match="digits/bias"):
        tiny.fine_tune(wrong, lesson, 1, no_progress)


@pytest.mark.slow
def test_probabilities(weights: Weights, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Probabilities are (n, 10), sum to 1, do not depend on the batch, and refuse other images."""
    candidate = Cnn().load(weights)
    answer = candidate.probabilities(digits[0][:7])
    assert answer.shape == (7, 10)
    np.testing.assert_allclose(answer.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(candidate.probabilities(digits[0][3:4])[0], answer[3], atol=1e-5)
    assert candidate.probabilities(digits[0][:0]).shape == (0, 10)
    with pytest.raises(ValueError, match="uint8"):
        candidate.probabilities(digits[0][:7].astype(np.float32))


def test_recipe_is_plain_json() -> None:
    """The recipe survives JSON unchanged, so that its digest is stable."""
    recipe = Cnn().recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    assert len(recipe["layers"]) == len(network.LAYERS)


def test_shipped_base() -> None:
    """The shipped base is at most 650 kB, float16, needs no pickle, and fits the network."""
    from models.cnn import family

    assert family.BASE_FILE.stat().st_size <= 650_000
    base = shipped()
    assert {array.dtype for array in base.values()} == {np.dtype(np.float16)}
    assert list(base) == list(network.shapes())


@pytest.mark.slow
def test_import_is_cheap() -> None:
    """Importing the family, and exporting from it, loads neither TensorFlow, Keras nor coremltools' converter."""
    code = (
        "import sys; from models.cnn import Cnn; from models.family import Card;"
        "c = Cnn(); c.recipe(); c.load(c.shipped()).export(Card('', '', '', ''));"
        "print(sorted({'tensorflow', 'keras', 'coremltools', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
