"""Whatever people drop on ``score``, ``inspect`` and ``import`` is named, with a next step."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from loop.cli import app
from loop.data.handwriting import people
from loop.errors import BadImage, BadModel
from tests.cli.test_score import write_idx
from tests.helpers import strange, stripes
from tests.helpers.shared import SHARED
from tests.models.coreml.mil.programs import Program

NAMES = [*strange.FILES, *strange.FOLDERS]
WANTED = strange.FILES | strange.FOLDERS


def refused(*arguments: object) -> Any:
    """Return the error of a command line that fails."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exception is not None, result.output
    return result.exception


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["inspect", "score"])
def test_given_as_a_model(name: str, command: str, tmp_path: Path) -> None:
    """Each is named by what it is, not by how parsing failed, and the message ends in the next step."""
    path, (_, kind, step) = strange.write(tmp_path, name), WANTED[name]
    error = refused(command, path, *([tmp_path] if command == "score" else []))
    assert isinstance(error, BadModel)
    assert f"expected a Core ML model, got {kind}" in str(error)
    assert step in str(error).partition("; ")[2]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in strange.TAKEN_AS_DIGITS | {"stuff"}])
def test_given_as_digits(name: str, tmp_path: Path) -> None:
    """``import`` and ``score`` name it too, and never advise to give what was given."""
    path, (_, kind, _) = strange.write(tmp_path, name), WANTED[name]
    with pytest.raises(BadImage) as error:
        people([path])
    assert f"expected labelled digits, got {kind}" in str(error.value)
    assert "; " in str(error.value)
    if name not in strange.READ_ALONE:
        (tmp_path / "model").write_bytes(stripes.image_model())
        assert str(refused("score", tmp_path / "model", path)) == str(error.value)


@pytest.mark.parametrize("name", sorted(strange.TAKEN_AS_DIGITS))
def test_looked_into_and_refused(name: str, tmp_path: Path) -> None:
    """A file of a kind that can contain digits, but contains none, is refused for what it lacks."""
    with pytest.raises(BadImage, match=r"expected|name it|in the same folder"):
        next(people([strange.write(tmp_path, name)])[0].samples()).digit()


def test_a_model_where_digits_are_expected(tmp_path: Path) -> None:
    """Two arguments in the wrong order are named as that."""
    path = tmp_path / "digits.mlmodel"
    path.write_bytes(stripes.image_model())
    with pytest.raises(BadImage, match="got a Core ML model; give the model first, the digits second"):
        people([path])


@pytest.mark.parametrize("how", ["folder", "zip"])
def test_an_ml_program_is_scored(how: str, tmp_path: Path) -> None:
    """A package, as a folder or zipped, is inspected and scored like any model; scores are those of its program."""
    images, labels = stripes.images(), np.arange(10, dtype=np.uint8)
    path = tmp_path / "stripes.mlpackage"
    data = striped().package()
    if how == "zip":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():  # of our own making
                member = path / name.removeprefix("digits.mlpackage/")
                member.parent.mkdir(parents=True, exist_ok=True)
                member.write_bytes(archive.read(name))
    write_idx(tmp_path / "data", "t10k", images, labels)
    assert json.loads(ran("score", path, tmp_path / "data", "--json"))["accuracy"] == 1
    assert json.loads(ran("inspect", path, "--json"))["problem"] is None
    with pytest.raises(BadImage, match="got a Core ML package"):
        people([path])


def striped() -> Program:
    """Return an ML Program that reads stripes: the row of two that is brightest names the digit."""
    made = Program()
    made.image("image", 28, 28)
    made.operation("reduce_mean", "rows", (1, 28), x="image", axes=np.array([1, 3]), keep_dims=np.array(False))
    begin, end, stride = np.array([0, 4]), np.array([1, 24]), np.array([1, 2])
    made.operation("slice_by_index", "stripes", (1, 10), x="rows", begin=begin, end=end, stride=stride)
    made.operation("softmax", "s", (1, 10), x="stripes", axis=np.array(-1))
    made.classifies("s", [str(digit) for digit in range(10)])
    return made


def ran(*arguments: object) -> str:
    """Return what a command line that succeeds prints."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_program_that_was_reported() -> None:
    """The ML Program of the report, without its weights, is named as that; its operations are listed."""
    path = SHARED / "strange" / "mlprog.mlmodel"
    if not path.exists():
        pytest.skip(f"no {path}: set TEST_SHARED to the shared data")
    found = json.loads(ran("inspect", path, "--json"))
    assert "give the .mlpackage that it is from" in found["problem"]
    assert [layer["kind"] for layer in found["layers"]].count("conv") == 3
    assert found["weights"] == 158_086


def test_the_pointer_that_was_reported() -> None:
    """The Git LFS pointer of the report is named, with the command that fetches the file."""
    path = SHARED / "strange" / "git-lfs-pointer.mlmodel"
    if not path.exists():
        pytest.skip(f"no {path}: set TEST_SHARED to the shared data")
    assert "git lfs pull" in str(refused("inspect", path))
