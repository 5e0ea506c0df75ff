"""The last hidden layer as one more output: of our networks, of programs, and where there is none."""

import numpy as np
import pytest

from models import coreml
from models.cnn import Cnn
from models.family import Card
from tests.helpers import stripes
from tests.models import converted
from tests.models.cnn.tiny import shipped


def test_the_last_layer_applied_to_it_gives_the_answers() -> None:
    """Kernel and bias of the last layer, applied to the hidden values, give the logarithm of the probabilities."""
    weights = shipped()
    model = coreml.load(Cnn().load(weights).export(Card("d", "a", "l", "1", {}))).with_hidden()
    found = model.predict({"image": stripes.images()}, ["probabilities", coreml.LAST_HIDDEN])
    hidden = found[coreml.LAST_HIDDEN]
    assert hidden.shape == (10, model.outputs[-1].shape[0]) == (10, 1536)
    # a file orders channels before rows and columns
    kernel = weights["digits/kernel"].reshape(4, 4, 96, 10).transpose(2, 0, 1, 3).reshape(1536, 10)
    logits = hidden @ kernel.astype(np.float32) + weights["digits/bias"].astype(np.float32)
    expected = np.log(found["probabilities"])
    np.testing.assert_allclose(
        logits - logits.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True), atol=2e-3
    )


def test_the_other_outputs_are_unchanged() -> None:
    """The model keeps its outputs, and the one without the hidden layer is not changed."""
    model = coreml.load(stripes.image_model())
    wide = model.with_hidden()
    plain, more = model.predict({"picture": stripes.images()}), wide.predict({"picture": stripes.images()})
    assert set(more) == {*plain, coreml.LAST_HIDDEN}
    assert all(np.array_equal(plain[name], more[name]) for name in plain)
    assert coreml.LAST_HIDDEN not in {output.name for output in model.outputs}


def test_results_stay_within_their_limit() -> None:
    """The hidden values count as results that a call keeps."""
    model = coreml.load(stripes.image_model(), limits=coreml.Limits(results=10_000)).with_hidden()
    with pytest.raises(coreml.LimitExceeded):
        model.predict({"picture": np.repeat(stripes.images(), 2, axis=0)}, [coreml.LAST_HIDDEN])


def test_models_without_hidden_layers_are_refused_by_name() -> None:
    """A support-vector machine has no hidden layer; the message says so."""
    data = converted.case("tutorial")["file"].tobytes()
    with pytest.raises(coreml.Unsupported, match="supportVectorClassifier has no hidden layer"):
        coreml.load(data, name="a.mlmodel").with_hidden()
