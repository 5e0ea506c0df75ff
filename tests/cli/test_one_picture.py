"""`loop score FILE.mlmodel PICTURE`: what a model reads in one picture."""

import json
from pathlib import Path

import pytest

from loop.data import digits
from loop.errors import BadImage
from tests.cli.test_score import in_a_folder_of_its_own, invoked, model
from tests.helpers import stripes

__all__ = ["in_a_folder_of_its_own", "model"]  # the fixtures


def picture(folder: Path, digit: int) -> Path:
    """A stripe as a PNG file; its name says nothing of its kind."""
    path = folder / "picture"
    path.write_bytes(digits.to_png(stripes.images()[digit]))
    return path


def test_the_answer_for_one_picture(model: Path, tmp_path: Path) -> None:
    """The JSON has the digit and ten probabilities; the text says how picture and file were read."""
    path = picture(tmp_path, 4)
    found = json.loads(invoked("score", model, path, "--json").stdout)
    assert found["label"] == 4
    assert found["normalised"] is False
    assert len(found["probabilities"]) == 10
    assert sum(found["probabilities"]) == pytest.approx(1, abs=1e-3)
    shown = invoked("score", model, path).stdout
    for words in ("reads 4", "kept bit for bit", "How the file was read", "assumed"):
        assert words in shown, shown


def test_a_broken_picture_is_refused(model: Path, tmp_path: Path) -> None:
    """A PNG that is cut off is refused, and the message names the file."""
    path = picture(tmp_path, 4)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadImage, match="picture: "):
        invoked("score", model, path)
