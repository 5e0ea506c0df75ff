"""Batches, and the training step under every strategy."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cnn import backend, recipe, train
from tests.helpers.paths import ROOT
from tests.models.cnn import tiny


def material(corrections: int) -> train.Material:
    """Return twenty base images and some corrections, all blank."""
    images = np.zeros((20 + corrections, 28, 28), np.uint8)
    labels = np.zeros(20 + corrections, np.uint8)
    return train.material((images[:20], labels[:20]), (images[20:], labels[20:]), np.ones(corrections))


def test_share_of_corrections() -> None:
    """Every batch contains exactly the recipe's share of corrections; without corrections, only the base corpus."""
    for corrections in (0, 9, 900):
        expected = train.share(recipe.NIGHT, corrections)
        for indices in train.batches(material(corrections), recipe.NIGHT, 1):
            assert len(indices) == recipe.NIGHT.batch
            assert (indices >= 20).sum() == expected


def test_a_small_corpus_is_trained_shortly() -> None:
    """MNIST gets the whole recipe; a small corpus gets at most its passes, and the same share of steps to average."""
    assert train.fitted(recipe.BASE, 60_000) == recipe.BASE
    small = train.fitted(recipe.BASE, 776)
    assert (small.steps, small.average_every) == (364, 1)
    assert train.fitted(recipe.NIGHT, 60_000) == recipe.NIGHT


def test_few_corrections_take_a_small_share() -> None:
    """The share grows with the corrections up to its bound: no correction is used more often than the recipe allows."""
    shares = [train.share(recipe.NIGHT, n) for n in (0, 1, 100, 250, 500, 900, 5000)]
    assert shares == [0, 1, 4, 9, 18, 32, 32]


def test_batches_repeat_for_a_seed() -> None:
    """Batches are a function of the seed."""
    first, second, other = (np.stack(list(train.batches(material(9), tiny.PLAIN, s))) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40), st.integers(1, 300), st.integers(0, 9))
def test_corrections_come_as_often_as_their_weight(weights: list[float], count: int, seed: int) -> None:
    """Each correction is drawn its expected number of times, rounded down or up."""
    chances = np.array(weights) / sum(weights)
    drawn = train.spread(chances, count, np.random.default_rng(seed))
    times = np.bincount(drawn, minlength=len(weights))
    assert len(drawn) == count
    assert (np.abs(times - count * chances) < 1.0 + 1e-6).all()


def test_never_drawn_with_weight_nought() -> None:
    """A correction of weight 0 is never drawn."""
    drawn = train.spread(np.array([0.0, 0.5, 0.0, 0.5, 0.0]), 1000, np.random.default_rng(1))
    assert set(drawn) == {1, 3}


def test_an_epoch_meets_every_image_once() -> None:
    """A pass over the base corpus uses each image exactly once."""
    drawn = train.epochs(20, 60, np.random.default_rng(1)).reshape(3, 20)
    for one in drawn:
        assert sorted(one) == list(range(20))


@pytest.mark.parametrize(
    ("images", "labels", "weights", "named"),
    [
        (np.zeros((2, 28, 28), np.float32), [1, 2], [1, 1], "uint8"),
        (np.zeros((2, 28, 27), np.uint8), [1, 2], [1, 1], "28, 28"),
        (np.zeros((2, 28, 28), np.uint8), [1, 11], [1, 1], "labels"),
        (np.zeros((2, 28, 28), np.uint8), [1], [1, 1], "labels"),
        (np.zeros((2, 28, 28), np.uint8), [1, 2], [1], "weights"),
        (np.zeros((2, 28, 28), np.uint8), [1, 2], [1, np.nan], "weights"),
        (np.zeros((2, 28, 28), np.uint8), [1, 2], [-1, 2], "weights"),
        (np.zeros((2, 28, 28), np.uint8), [1, 2], [0, 0], "all 0"),
    ],
)
def test_wrong_lessons_are_refused(images: np.ndarray, labels: list[int], weights: list[float], named: str) -> None:
    """Corrections of the wrong shape, type, range or weight are refused with the array's name."""
    good = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match=named):
        train.material(good, (images, np.array(labels, np.uint8)), np.array(weights, np.float64))


def test_no_replay_is_refused() -> None:
    """A lesson without a base corpus is refused, because the network would forget it."""
    none = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)
    some = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match="replayed base corpus is empty"):
        train.material(none, some, np.ones(3))


def test_average_moves_by_its_decay() -> None:
    """The running average starts with the first arrays and moves by (1 − decay) of the difference."""
    first, second = np.array([0.0, 4.0], np.float32), np.array([4.0, 4.0], np.float32)
    average = train.blend(train.blend({}, {"a": first}, 0.75), {"a": second}, 0.75)
    np.testing.assert_allclose(average["a"], np.array([1.0, 4.0]))


def process(*arguments: str) -> "subprocess.Popen[str]":
    """Start ``tests.models.cnn.tiny`` in one of its modes."""
    command = [sys.executable, "-m", "tests.models.cnn.tiny", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(started: "subprocess.Popen[str]") -> str:
    """Wait for a process; return what it printed last."""
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err[-2000:]
    return out.split()[-1]


def close(path: Path, other: dict[str, np.ndarray]) -> None:
    """Assert that saved arrays equal others up to the order of float32 sums."""
    with np.load(path) as stored:
        for name, array in other.items():
            np.testing.assert_allclose(stored[name], array, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_two_replicas_equal_one(tmp_path: Path) -> None:
    """Another process gives the same bits; MirroredStrategy on two logical CPUs the same weights."""
    same = process("same", str(tmp_path / "same.npz"))
    mirrored = process("mirrored", str(tmp_path / "mirrored.npz"))
    assert finished(same) == tiny.digest(tiny.teach(backend.policy()))
    finished(mirrored)
    close(tmp_path / "mirrored.npz", tiny.teach())


@pytest.mark.campaign
def test_two_machines_equal_one(tmp_path: Path) -> None:
    """MultiWorkerMirroredStrategy over two processes: both end with one process's weights, and each other's bits."""
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("127.0.0.1", 0))
        ports = f"{a.getsockname()[1]},{b.getsockname()[1]}"
    workers = [process("worker", str(i), ports, str(tmp_path / f"{i}.npz")) for i in (0, 1)]
    first, second = (finished(worker) for worker in workers)
    assert first == second
    close(tmp_path / "0.npz", tiny.teach())
