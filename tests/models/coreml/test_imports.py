"""The modules that the package loads; it does not change coremltools."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import models.coreml
from models.coreml import Limits, load, proto
from tests.models.coreml import seeds

FOLDER = Path(models.coreml.__file__).parent
HEAVY = ("tensorflow", "keras", "coremltools", "sklearn", "scipy", "PIL", "torch")


def _python(code: str, folder: Path) -> str:
    """Run ``code`` in a fresh interpreter in ``folder`` and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small classifier on disk."""
    path = tmp_path / "small.mlmodel"
    path.write_bytes(seeds.convolutional().SerializeToString())
    return path


USE = """
import pathlib, sys
from {package} import load, inspect
data = pathlib.Path({path!r}).read_bytes()
assert load(data).labels == ("a", "b", "c") and inspect(data).problem is None
print(sorted(name for name in {heavy!r} if name in sys.modules))
"""


@pytest.mark.slow
def test_scoring_loads_numpy_and_protobuf_only(file: Path) -> None:
    """Importing, loading and inspecting load neither TensorFlow nor coremltools' package nor anything else heavy."""
    code = USE.format(package="models.coreml", path=str(file), heavy=HEAVY)
    assert _python(code, FOLDER.parents[1]) == "[]"


@pytest.mark.slow
def test_the_folder_works_alone(file: Path) -> None:
    """Copied out under another name, without the rest of the repository, the folder loads the same file."""
    shutil.copytree(FOLDER, file.parent / "lifted", ignore=shutil.ignore_patterns("__pycache__"))
    code = USE.format(package="lifted", path=str(file), heavy=HEAVY)
    assert _python(code, file.parent) == "[]"


def test_the_real_coremltools_shares_the_messages(file: Path, ct: ModuleType) -> None:
    """With both in one process, a message is of one class, and each reads and accepts the other's."""
    ours = proto.parse(file.read_bytes(), "small", Limits())
    theirs = ct.utils.load_spec(str(file))
    assert ours == theirs
    assert isinstance(ours, ct.proto.Model_pb2.Model)
    assert load(theirs.SerializeToString()).labels == ("a", "b", "c")


ORDERS = {
    "runtime first": ("from models.coreml import proto; proto.model_pb2()", "import coremltools"),
    "coremltools first": ("import coremltools", "from models.coreml import proto; proto.model_pb2()"),
}


@pytest.mark.campaign
@pytest.mark.parametrize("order", ORDERS)
def test_either_may_come_first(order: str) -> None:
    """In a fresh process the two load in either order, without doubling a message class."""
    first, second = ORDERS[order]
    code = f"{first}\n{second}\nprint(proto.model_pb2().Model is coremltools.proto.Model_pb2.Model)"
    assert _python(code, FOLDER.parents[1]) == "True"
