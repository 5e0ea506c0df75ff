"""``loop score`` and ``loop inspect`` on files by us and by others, as people and programs call them."""

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from loop.cli import app
from loop.data import digits, idx, labelled
from loop.errors import BadImage, BadModel, DiskFull
from loop.evaluation import intervals
from models.coreml.proto import model_pb2
from tests.helpers import stripes
from tests.helpers.paths import ROOT
from tests.helpers.shared import MNIST, SHARED

FOREIGN = SHARED / "coreml-models" / "keras-cnn-2021.mlmodel"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default sheet is written to the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that reads stripes, and takes a stripe of 8 for a 3."""
    message = model_pb2().Model.FromString(stripes.image_model())
    dense = message.neuralNetworkClassifier.layers[1].innerProduct
    rows = np.array(dense.weights.floatValue).reshape(10, -1)
    rows[3] += 2 * rows[8]
    dense.weights.floatValue[:] = rows.ravel().tolist()
    path = tmp_path / "stripes.mlmodel"
    path.write_bytes(message.SerializeToString())
    return path


def write_idx(folder: Path, stem: str, images: np.ndarray, labels: np.ndarray) -> None:
    """An IDX pair, the images gzipped."""
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / f"{stem}-images-idx3-ubyte.gz", "wb") as file:
        file.write(idx.header(images.shape) + images.tobytes())
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx.header(labels.shape) + labels.tobytes())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty stripes, three of each digit, as MNIST's test set; beside it a training set of wrong labels."""
    images, labels = np.tile(stripes.images(), (3, 1, 1)), np.tile(np.arange(10, dtype=np.uint8), 3)
    write_idx(tmp_path / "data", "t10k", images, labels)
    write_idx(tmp_path / "data", "train", images, ((labels + 1) % 10).astype(np.uint8))
    return tmp_path / "data"


def invoked(*arguments: object) -> Any:
    """The result of a command line that succeeds."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def scored(*arguments: object) -> dict[str, Any]:
    """The JSON of ``loop score``."""
    found: dict[str, Any] = json.loads(invoked("score", *arguments, "--json").stdout)
    return found


@pytest.mark.slow
def test_a_test_set_in_idx_files(model: Path, data: Path) -> None:
    """Of a folder with MNIST's files the test set is scored; everything the issue asks for is in the JSON."""
    found = scored(model, data)
    assert (found["n"], found["errors"], found["accuracy"]) == (30, 3, 0.9)
    assert found["interval"] == pytest.approx(list(intervals.wilson(0.9, 30)))
    assert found["per_class"][8] == {"digit": 8, "n": 3, "accuracy": 0.0}
    assert found["per_class"][3] == {"digit": 3, "n": 3, "accuracy": 1.0}
    assert found["confusion"][8] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert np.trace(found["confusion"]) == 27
    assert len(found["model"]) == 64
    assert found["milliseconds_per_image"] > 0
    assert found["refused"] == []
    assert any("white on black" in line for line in found["assumptions"])
    assert found["sheet"] is None
    assert not list(Path.cwd().glob("*.png"))


@pytest.mark.slow
def test_one_file_of_an_idx_pair(model: Path, data: Path) -> None:
    """Either file of a pair names both; the training set is scored when it is named."""
    assert scored(model, data / "t10k-images-idx3-ubyte.gz")["accuracy"] == 0.9
    with gzip.open(data / "train-images-idx3-ubyte.gz") as file:
        (data / "train-images-idx3-ubyte").write_bytes(file.read())
    assert scored(model, data / "train-labels-idx1-ubyte")["accuracy"] < 0.2


def write_digits(folder: Path) -> None:
    """A PNG of each digit's stripes, one that is none, and one of no digit."""
    for digit, image in enumerate(stripes.images()):
        (folder / str(digit)).mkdir(parents=True)
        (folder / str(digit) / "one.png").write_bytes(digits.to_png(image))
    (folder / "7" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "x").mkdir()
    (folder / "x" / "other.png").write_bytes(digits.to_png(stripes.images()[0]))


def test_a_folder_and_a_zip_of_digits(model: Path, tmp_path: Path) -> None:
    """A folder and a zip of <digit>/*.png score alike; what cannot be read is listed with its reason."""
    write_digits(tmp_path / "person")
    with zipfile.ZipFile(tmp_path / "person.zip", "w") as archive:
        for path in sorted((tmp_path / "person").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "person"))
    of_folder, of_zip = scored(model, tmp_path / "person"), scored(model, tmp_path / "person.zip")
    assert (of_folder["n"], of_folder["errors"]) == (10, 1)
    assert sorted(each["name"] for each in of_folder["refused"]) == ["7/torn.png", "x/other.png"]
    assert all(each["reason"] for each in of_folder["refused"])
    for key in ("n", "accuracy", "confusion", "refused"):
        assert of_folder[key] == of_zip[key]


@pytest.mark.slow
def test_what_a_person_sees(model: Path, data: Path) -> None:
    """Accuracy, its interval, each digit, assumptions and the sheet's place are printed, and the sheet is there."""
    shown = invoked("score", model, data).stdout
    for text in ("90.00 %", "of 30 images", "3 (3×)", "Confusion", "assumed", "ms per image", "stripes-worst.png"):
        assert text in shown, text
    with Image.open("stripes-worst.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 200


@pytest.mark.slow
def test_the_sheet_goes_where_it_is_told(model: Path, data: Path, tmp_path: Path) -> None:
    """--sheet names the file, with --json too; a place that cannot be written is an error that says so."""
    assert scored(model, data, "--sheet", tmp_path / "worst.png")["sheet"] == str(tmp_path / "worst.png")
    assert (tmp_path / "worst.png").exists()
    with pytest.raises(DiskFull, match="--sheet"):
        scored(model, data, "--sheet", tmp_path / "no" / "worst.png")


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_files_that_are_no_model(content: bytes | None, data: Path, tmp_path: Path) -> None:
    """Missing, empty and foreign files are BadModel, naming the file, for both commands."""
    path = tmp_path / "seven.mlmodel"
    if content is not None:
        path.write_bytes(content)
    for arguments in (["score", str(path), str(data)], ["inspect", str(path)]):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, BadModel)
        assert "seven.mlmodel" in str(result.exception)


@pytest.mark.slow
def test_a_model_of_other_things(data: Path, tmp_path: Path) -> None:
    """A model whose labels are not the ten digits is refused with its labels named, and can be inspected."""
    path = tmp_path / "nine.mlmodel"
    path.write_bytes(stripes.image_model([str(digit) for digit in range(1, 10)]))
    result = CliRunner().invoke(app, ["score", str(path), str(data)])
    assert isinstance(result.exception, BadModel)
    assert "'1', '2'" in str(result.exception)
    assert json.loads(invoked("inspect", path, "--json").stdout)["labels"] == [str(digit) for digit in range(1, 10)]


def test_data_that_is_none(tmp_path: Path) -> None:
    """Missing, empty, and mismatched data are BadImage with one line."""
    (tmp_path / "empty").mkdir()
    write_idx(tmp_path / "odd", "t10k", stripes.images(), np.zeros(9, np.uint8))
    write_idx(tmp_path / "eleven", "t10k", stripes.images(), np.full(10, 11, np.uint8))
    write_idx(tmp_path / "none", "t10k", stripes.images()[:0], np.zeros(0, np.uint8))
    write_idx(tmp_path / "two", "emnist-test", stripes.images(), np.zeros(10, np.uint8))
    write_idx(tmp_path / "two", "t10k", stripes.images(), np.zeros(10, np.uint8))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    for name in ("missing", "empty", "odd", "eleven", "none", "two", "half"):
        with pytest.raises(BadImage) as refused:
            labelled.read(tmp_path / name)
        assert "\n" not in str(refused.value)
        assert name in str(refused.value)


def test_idx_images_of_another_size(tmp_path: Path) -> None:
    """IDX images that are not 28×28 go through the normaliser; a blank one is refused by its number."""
    images = np.zeros((2, 40, 40), np.uint8)
    images[1, 10:30, 18:22] = 200
    write_idx(tmp_path / "large", "t10k", images, np.array([0, 1], np.uint8))
    found = labelled.read(tmp_path / "large")
    assert found.images.shape == (1, 28, 28)
    assert found.labels.tolist() == [1]
    assert [name for name, _ in found.refused] == ["image 0"]


def test_inspect(model: Path) -> None:
    """Layers, their weights, the lowest iOS, and the labels are printed and given as JSON."""
    found = json.loads(invoked("inspect", model, "--json").stdout)
    assert [layer["kind"] for layer in found["layers"]] == ["flatten", "innerProduct", "softmax"]
    assert found["weights"] == 7850
    assert found["lowest_ios"] == "11.0"
    shown = invoked("inspect", model).stdout
    for text in ("innerProduct", "7,850", "iOS 11.0", "'picture': grayscale image 28×28", "0, 1, 2, 3"):
        assert text in shown, text


def test_a_hostile_description_does_not_reach_the_terminal(tmp_path: Path) -> None:
    """Escape sequences and markup in a file are shown as text, not obeyed."""
    path = tmp_path / "hostile.mlmodel"
    path.write_bytes(stripes.image_model(input_text="\x1b[2J[bold]A[/]", text="\x1b]0;owned\x07"))
    shown = invoked("inspect", path).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]A[/]" in shown


@pytest.mark.slow
def test_errors_are_one_line_and_tensorflow_stays_unloaded(model: Path, data: Path) -> None:
    """As a process: a wrong file is one line on standard error and status 1; scoring loads no framework."""
    code = (
        "import sys\nfrom loop.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('tensorflow', 'coremltools', 'sklearn', 'keras') if m in sys.modules])"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "score", *map(str, arguments)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    right, wrong = run(model, data, "--json"), run(data / "train-labels-idx1-ubyte", data)
    assert right.returncode == 0, right.stderr
    assert right.stdout.splitlines()[-1] == "[]"
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 1, wrong.stderr
    assert "BadModel" in wrong.stderr


@pytest.mark.slow
def test_someone_elses_model_on_mnist() -> None:
    """A file by another person scores on MNIST's test set what a correct reading must give: 98.80 %."""
    if not FOREIGN.exists() or not MNIST.exists():
        pytest.skip(f"no {FOREIGN} or {MNIST}; TEST_SHARED names the folder that has them under data/")
    found = scored(FOREIGN, MNIST)
    assert (found["n"], found["errors"]) == (10_000, 120)
