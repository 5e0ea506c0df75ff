"""A night with smaller files and a second artifact: the judged file is published, and the base keeps full precision."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from loop import home as homes
from loop import registry
from loop.clock import utc_now
from loop.errors import ArtifactCorrupt, DeploymentError
from loop.home import Home, artifacts
from loop.night import retrain
from loop.store.feedback import split
from loop.store.nights import runs, versions
from loop.store.values import Attribution, RunStatus
from models import coreml, family
from models.svm import Svm
from tests.cli.test_cli import Shell
from tests.helpers import linear, stores
from tests.night.test_retrain import champion, settings, write


def made(url: str, folder: Path, **changes: Any) -> Home:
    """A founded home with these settings."""
    home = homes.at(settings(url, folder).model_copy(update=changes), migrated=False)
    stores.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(home)
    return home


@pytest.fixture(autouse=True)
def linear_family(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CNN family is the linear one, on the bundled digits."""
    monkeypatch.setattr(models, "get", models.get)  # so that both are put back
    monkeypatch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)


@pytest.fixture
def small(url: str, tmp_path: Path) -> Iterator[Home]:
    """A home that publishes 8-bit files and packages."""
    home = made(url, tmp_path, precision="int8", mlpackage=True)
    yield home
    home.store.close()


def arrays(home: Home, digest: str) -> dict[str, np.ndarray[Any, Any]]:
    """Stored arrays."""
    return artifacts.unpack(home.artifacts.get(digest, ".npz"))


@pytest.mark.slow
def test_the_next_night_starts_from_the_unrounded_base(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first version's file is 8-bit, its base is not, and the night is taught from the base."""
    with small.store.read() as tx:
        first = versions.get(tx, 1)
    assert first.base_digest != first.weights_digest
    whole = arrays(small, first.base_digest)
    rounded = linear.Line(whole).rounded("int8").weights()
    np.testing.assert_array_equal(arrays(small, first.weights_digest)["digits/kernel"], rounded["digits/kernel"])
    given = []
    taught = linear.Linear.fine_tune
    monkeypatch.setattr(linear.Linear, "fine_tune", lambda *all_: given.append(all_[1]) or taught(*all_))
    write(small)
    done = retrain.run(small)
    assert done.version is not None
    assert done.version.base_digest == first.base_digest
    np.testing.assert_array_equal(given[0]["digits/kernel"], whole["digits/kernel"])


@pytest.mark.slow
def test_report_parity_and_golden_are_of_the_published_values(small: Home) -> None:
    """The file's 8-bit values equal the stored weights, and its answers agree with them up to rounding."""
    write(small)
    done = retrain.run(small)
    assert done.version is not None
    assert done.judged is not None
    data = small.artifacts.get(done.version.artifact_digest, ".mlmodel")
    held = linear.Line(arrays(small, done.version.weights_digest))
    images = homes.corpus(small.settings, "mnist").test_images[:50]
    ran = coreml.load(data).predict({"image": images})["probabilities"]
    np.testing.assert_allclose(ran, held.probabilities(images), atol=1e-5)
    parity = next(r for r in done.judged.verdicts["loads and runs"].reasons if r.check == "parity")
    assert parity.numbers["off"] < 1e-5
    assert done.version.artifact_bytes < sum(array.size for array in held.weights().values()) * 1.5
    assert done.version.recipe["precision"] == "int8"


@pytest.mark.slow
def test_another_precision_is_another_recipe(small: Home) -> None:
    """After the setting changed, the same snapshot is taught again; unchanged, it is skipped."""
    write(small)
    retrain.run(small)
    assert retrain.run(small).status is RunStatus.SKIPPED
    whole = replace(small, settings=small.settings.model_copy(update={"precision": "float32"}))
    done = retrain.run(whole, force=True)
    assert done.version is not None
    assert done.version.artifact_bytes > 4 * 7_840
    assert done.version.recipe["precision"] == "float32"


def test_a_family_that_knows_one_precision_keeps_it() -> None:
    """An SVM's file contains doubles whatever the setting, and the recipe records this."""
    assert family.precision(Svm(), "int8") == "float64"
    assert family.precision(linear.Linear(), "int8") == "int8"


@pytest.mark.slow
def test_a_package_lies_beside_the_model(small: Home) -> None:
    """The package is made from the same candidate, stored under its digest, and checked before a promotion."""
    write(small)
    done = retrain.run(small)
    assert done.version is not None
    assert done.version.mlpackage_digest is not None
    assert small.artifacts.get(done.version.mlpackage_digest, ".zip").startswith(b"PK")
    registry.rollback(small, "cnn", 1, Attribution("ops", "try"), utc_now())
    small.artifacts.path(done.version.mlpackage_digest, ".zip").unlink()
    with pytest.raises(ArtifactCorrupt, match="missing"):
        registry.promote(small, 2, Attribution("ops", "back"), utc_now())


@pytest.mark.slow
def test_no_package_unless_asked(url: str, tmp_path: Path) -> None:
    """By default a version has one file for phones."""
    home = made(url, tmp_path)
    with home.store.read() as tx:
        assert versions.get(tx, 1).mlpackage_digest is None
    assert not list(home.artifacts.root.rglob("*.zip"))
    home.store.close()


@pytest.mark.slow
def test_a_night_that_cannot_pack_publishes_nothing(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night without its package registers nothing, keeps the champion and stores the reason; the next night works."""
    write(small)
    files = sorted(small.artifacts.root.rglob("*"))

    def refuse(*_: object) -> bytes:
        raise ValueError("coremltools wrote another program")

    with monkeypatch.context() as patch:
        patch.setattr(linear.Line, "package", refuse)
        with pytest.raises(DeploymentError, match=r"another program.*set mlpackage = false"):
            retrain.run(small)
    assert champion(small) == 1
    assert sorted(small.artifacts.root.rglob("*")) == files
    with small.store.read() as tx:
        assert runs.recent(tx)[0].status is RunStatus.FAILED
        assert "another program" in str(runs.recent(tx)[0].reason)
    assert retrain.run(small).version is not None


@pytest.mark.slow
def test_a_family_without_such_a_form_publishes_without(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SVM has no ML Program: its versions go without, and nothing fails."""
    monkeypatch.setattr(linear.Line, "package", lambda *_: None)
    write(small)
    done = retrain.run(small)
    assert done.version is not None
    assert done.version.mlpackage_digest is None


@pytest.mark.slow
def test_show_names_and_saves_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, small_corpus: Path
) -> None:
    """`loop show` names path, digest and size of the package, saves it, and says where there is none."""
    loop = Shell(monkeypatch, capsys, tmp_path, small_corpus)
    loop.set(MLPACKAGE="true")
    loop("init")
    package = loop.json("show", 1)["package"]
    loop("show", 1, "--save-package", tmp_path / "Digits.mlpackage.zip")
    assert package["path"] in loop("show", 1)
    data = (tmp_path / "Digits.mlpackage.zip").read_bytes()
    assert (artifacts.digest(data), len(data)) == (package["sha256"], package["bytes"])
    Path(package["path"]).unlink()
    loop("show", 1, status=1)
    assert "missing" in loop.err
    loop.set(HOME=str(tmp_path / "other"), MLPACKAGE="false")
    loop("init")
    assert loop.json("show", 1)["package"] is None
    loop("show", 1, "--save-package", tmp_path / "none.zip", status=1)
    assert "mlpackage = true" in loop.err
