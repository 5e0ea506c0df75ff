"""Whatever people drop on ``score``, ``inspect`` and ``import`` is named, with a next step."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loop.cli import app
from loop.data.handwriting import people
from loop.errors import BadImage, BadModel
from tests.helpers import strange, stripes
from tests.helpers.shared import SHARED

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
    (tmp_path / "model").write_bytes(stripes.image_model())
    assert str(refused("score", tmp_path / "model", path)) == str(error.value)


def test_a_model_where_digits_are_expected(tmp_path: Path) -> None:
    """Two arguments in the wrong order are named as that."""
    path = tmp_path / "digits.mlmodel"
    path.write_bytes(stripes.image_model())
    with pytest.raises(BadImage, match="got a Core ML model; give the model first, the digits second"):
        people([path])


def test_the_pointer_that_was_reported() -> None:
    """The Git LFS pointer of the report is named, with the command that fetches the file."""
    path = SHARED / "strange" / "git-lfs-pointer.mlmodel"
    if not path.exists():
        pytest.skip(f"no {path}: set LOOP_SHARED to the shared data")
    assert "git lfs pull" in str(refused("inspect", path))
