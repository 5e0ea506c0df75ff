"""The real CNN through the real night, shortened to a few steps: TensorFlow in, a judged Core ML file out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from loop import home as homes
from loop import registry
from loop.evaluation import digit_classifier, export_check
from loop.home import Home
from loop.night import retrain
from loop.store.feedback import split
from models.cnn import Cnn
from models.cnn.recipe import NIGHT
from tests.helpers import linear, stores
from tests.night.test_retrain import settings, write

pytestmark = pytest.mark.slow

STEPS = 12


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[tuple[Home, retrain.Night]]:
    """A home founded on the shipped base, and one short night."""
    patch = pytest.MonkeyPatch()
    patch.setattr(models, "get", models.get)  # so that both are put back
    patch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)
    family = Cnn(night_recipe=replace(NIGHT, steps=STEPS))
    patch.setattr(models, "get", lambda name: family)
    folder = tmp_path_factory.mktemp("cnn")
    home = homes.at(settings(f"sqlite:///{folder}/loop.db", folder), migrated=False)
    stores.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(home, weights=family.shipped())
    write(home)
    yield home, retrain.run(home)
    home.store.close()
    patch.undo()


def test_the_night_publishes_what_it_judged(taught: tuple[Home, retrain.Night]) -> None:
    """The night registers a version with both verdicts; *loads and runs* passed: Keras and the judged file agree."""
    home, done = taught
    assert done.version is not None
    assert done.judged is not None
    second = done.judged.verdicts["loads and runs"]
    assert second.outcome == "passed", [reason.text for reason in second.reasons]
    assert home.artifacts.get(done.version.artifact_digest, ".mlmodel") == done.judged.data
    assert {"parity", "same network"} <= {reason.check for reason in second.reasons}


def test_teaching_changed_the_network(taught: tuple[Home, retrain.Night]) -> None:
    """A dozen steps on slanted digits already raise accuracy on the holdout, and the base does not change."""
    home, done = taught
    assert done.judged is not None
    assert done.judged.before is not None
    before, after = done.judged.before.on("feedback"), done.judged.after.on("feedback")
    assert before is not None
    assert after is not None
    assert not np.array_equal(before.predictions, after.predictions)
    champion = registry.champion(home, "cnn")
    assert champion is not None
    assert done.version is not None
    assert done.version.base_digest == retrain._champion_and_base(home, models.get("cnn"))[1].base_digest


def test_golden_vectors_are_stored_with_the_version(taught: tuple[Home, retrain.Night]) -> None:
    """A device's golden vectors match the published file, and no other file."""
    home, done = taught
    assert done.version is not None
    golden = home.artifacts.get(done.version.golden_digest, ".json")
    data = home.artifacts.get(done.version.artifact_digest, ".mlmodel")
    assert export_check.check_golden(data, golden) == []
    with home.store.read() as tx:
        base = retrain.versions.get(tx, 1)
    assert export_check.check_golden(home.artifacts.get(base.artifact_digest, ".mlmodel"), golden) != []


def test_the_file_is_what_apps_expect(taught: tuple[Home, retrain.Night]) -> None:
    """Specification 4, `image` 28×28 grayscale in, `classLabel` and `probabilities` out, labels "0" to "9"."""
    home, done = taught
    assert done.version is not None
    model = digit_classifier.load(home.artifacts.get(done.version.artifact_digest, ".mlmodel"))
    feature = model.inputs[0]
    assert (model.spec_version, feature.name, feature.colour, feature.width, feature.height) == (
        4,
        "image",
        "grayscale",
        28,
        28,
    )
    assert model.labels == tuple("0123456789")
    assert (model.label_name, model.probabilities_name) == ("classLabel", "probabilities")
