"""The SVM family through the same loop, beside the CNN's champion."""

from pathlib import Path

import pytest

import models
from loop import home as homes
from loop import registry
from loop.evaluation import digit_classifier
from loop.night import retrain
from loop.store.feedback import split
from models.svm import Svm
from tests.helpers import linear, stores
from tests.night.test_retrain import settings, write


@pytest.mark.slow
def test_the_svm_goes_through_the_same_loop(
    tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SVM is created, taught, judged and promoted as a family of its own; the CNN's champion does not move."""
    monkeypatch.setattr(models, "get", models.get)  # so that both are put back
    monkeypatch.setattr(homes, "corpus", homes.corpus)
    linear.install(small_corpus)
    monkeypatch.setattr(models, "get", lambda name: Svm() if name == "svm" else linear.Linear(name))
    home = homes.at(settings(f"sqlite:///{tmp_path}/loop.db", tmp_path), migrated=False)
    stores.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")
    cnn, svm = retrain.create_base(home), retrain.create_base(home, "svm")
    write(home, hand=lambda images: images.transpose(0, 2, 1))  # the ink's place means nothing to tiles, its form does
    done = retrain.run(home, "svm")
    assert done.version is not None
    assert done.judged is not None
    assert done.judged.outcome == "passed", [r.text for v in done.judged.verdicts.values() for r in v.reasons]
    champions = [registry.champion(home, family) for family in ("cnn", "svm")]
    assert [one.number for one in champions if one] == [cnn.number, done.version.number]
    assert svm.number < done.version.number
    model = digit_classifier.load(home.artifacts.get(done.version.artifact_digest, ".mlmodel"))
    assert (model.kind, model.labels) == ("supportVectorClassifier", tuple("0123456789"))
    assert model.metadata["loop.family"] == "svm"
    home.store.close()
