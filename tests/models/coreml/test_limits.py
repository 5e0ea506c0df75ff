"""The limits on a whole file, and the errors of ``predict`` for arrays that do not match."""

import resource
import time
from typing import Any

import numpy as np
import pytest

from models import coreml
from models.coreml import proto
from tests.models.coreml import seeds, specs


@pytest.mark.slow
def test_a_file_that_parses_into_gigabytes() -> None:
    """Ten million empty layers in 20 MB would be a gigabyte of objects: they are counted before one is built."""
    network = b"\x0a\x00" * 10_000_000
    length = bytearray()
    rest = len(network)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    data = b"\x08\x04" + b"\xa2\x1f" + bytes([*length, rest]) + network
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with pytest.raises(coreml.LimitExceeded, match="more than 1000000 fields"):
        coreml.load(data)
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_pipelines_within_pipelines() -> None:
    """A hundred pipelines inside each other are refused by their depth, not by Python's stack."""
    message = specs.model()
    inner = message
    for _ in range(100):
        inner = inner.pipeline.models.add(specificationVersion=4)
    with pytest.raises(coreml.ModelError):
        coreml.load(message.SerializeToString())


def test_a_pipeline_shares_one_budget() -> None:
    """Stages that are each within the limits are together beyond them."""
    message = specs.model()
    specs.array(message.description.input, "x0", (64,))
    specs.array(message.description.output, "y0")
    for _ in range(4):
        stage = message.pipeline.models.add()
        stage.CopyFrom(specs.single("innerProduct", (64,), inputChannels=64, outputChannels=64, weights=np.ones(4096)))
    data = message.SerializeToString()
    assert coreml.load(data, limits=coreml.Limits(weights=4 * 4096))
    with pytest.raises(coreml.LimitExceeded, match="weights"):
        coreml.load(data, limits=coreml.Limits(weights=3 * 4096))


@pytest.mark.parametrize(
    "limit", ["layers", "labels", "weights", "tensor", "tensors", "macs", "products", "fields", "file_bytes", "depth"]
)
def test_every_limit_bites(limit: str) -> None:
    """A file that runs is refused with any one limit at its minimum and the others unlimited."""
    data = seeds.convolutional().SerializeToString()
    assert coreml.load(data)
    with pytest.raises(coreml.ModelError):
        coreml.load(data, limits=coreml.Limits(**{limit: 0}))


def _upsampled() -> bytes:
    """Return a classifier whose second output, upsampled by 200, is 51 MB for an image of 16 pixels."""
    message = specs.classifier(["a", "b", "c"])
    specs.array(message.description.output, "huge")
    specs.layer(message.neuralNetworkClassifier, "upsample", ["image"], ["more"], scalingFactor=[200, 200])
    specs.layer(message.neuralNetworkClassifier, "concat", ["more"] * 20, ["huge"])
    data: bytes = message.SerializeToString()
    return data


@pytest.mark.slow
def test_outputs_too_large_together_are_refused_before_they_are_made() -> None:
    """Of a small file with a huge second output, the small output works, and all outputs together are refused."""
    model = coreml.load(_upsampled())
    images = np.zeros((10_000, 4, 4), np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(coreml.LimitExceeded, match="values of outputs for 10000 inputs"):
        model.predict({"image": images})
    assert model.predict({"image": images[:4]})["huge"].shape == (4, 20, 800, 800)
    few = model.predict({"image": images[:20]}, wanted=("scores", "label"))
    assert [few["scores"].shape, few["label"].shape, len(few)] == [(20, 3), (20,), 2]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


@pytest.mark.parametrize("wanted", [("label",), ("scores",), ("scores", "label"), ()])
@pytest.mark.parametrize("make", [seeds.convolutional, seeds.machine])
def test_only_what_is_wanted_is_given(make: Any, wanted: tuple[str, ...]) -> None:
    """``wanted`` lists outputs in any order; they equal those of a call for all outputs."""
    model = coreml.load(make().SerializeToString())
    names = {"scores": str(model.probabilities_name), "label": str(model.label_name)}
    asked = [names[name] for name in wanted]
    feature = model.inputs[0]
    shape = (5, 4, 4) if feature.kind == "image" else (5, *feature.shape)
    given = {feature.name: np.random.default_rng(1).integers(0, 3, shape).astype(np.uint8)}
    whole, part = model.predict(given), model.predict(given, wanted=asked)
    assert set(part) == set(asked)
    assert all(np.array_equal(part[name], whole[name]) for name in asked)
    with pytest.raises(coreml.BadInput, match="names among the outputs"):
        model.predict(given, wanted=("nobody",))


def test_labels_too_wide_for_an_array_are_refused() -> None:
    """One label of a million letters among thousands would take gigabytes as an array of strings."""
    message = specs.classifier([f"c{i}" for i in range(2_000)])
    message.neuralNetworkClassifier.stringClassLabels.vector[7] = "x" * 1_000_000
    with pytest.raises(coreml.LimitExceeded, match="the longest of 1000000 characters"):
        coreml.load(message.SerializeToString())


@pytest.mark.slow
def test_many_tensors_at_once_make_chunks_smaller() -> None:
    """Ten thousand tensors alive together, none of them large, are not held for a thousand images at once."""
    message = specs.single("add", (1_000,))
    del message.neuralNetwork.layers[:], message.description.output[:]
    for i in range(9_000):
        specs.layer(message.neuralNetwork, "add", ["x0"], [f"y{i}"], alpha=1.0)
        specs.array(message.description.output, f"y{i}")
    model = coreml.load(message.SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = model.predict({"x0": np.zeros((64, 1_000), np.float32)}, wanted=("y0",))
    assert found["y0"].min() == found["y0"].max() == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


@pytest.mark.slow
def test_a_split_of_very_many_loads_in_time() -> None:
    """10,000 declared outputs out of a split of 300,000 are planned in seconds, not in their product."""
    count = 300_000
    message = specs.single("splitND", (count,), outputs=count, axis=0, numSplits=count)
    del message.description.output[10_000:]
    data = message.SerializeToString()
    start = time.process_time()
    assert len(coreml.load(data).outputs) == 10_000
    assert time.process_time() - start < 10


IMAGES = np.zeros((2, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({}, "expected the inputs"),
        ({"picture": IMAGES}, "expected the inputs"),
        ({"image": IMAGES.tolist()}, "expected a numpy array"),
        ({"image": IMAGES / 255}, "expected uint8, got float64"),
        ({"image": IMAGES[0]}, r"expected \(n, 4, 4\), got \(4, 4\)"),
        ({"image": np.zeros((2, 28, 28), np.uint8)}, r"expected \(n, 4, 4\)"),
        ({"image": np.zeros((2, 4, 4, 3), np.uint8)}, r"expected \(n, 4, 4\)"),
    ],
)
def test_wrong_arrays_are_named(inputs: Any, match: str) -> None:
    """The errors of ``predict`` give the expected and the actual input."""
    model = coreml.load(seeds.convolutional().SerializeToString())
    with pytest.raises(coreml.BadInput, match=match):
        model.predict(inputs)


def test_messages_are_those_of_the_wheel() -> None:
    """The reader is coremltools' own generated module, under another name."""
    assert proto.model_pb2().Model.DESCRIPTOR.full_name == "CoreML.Specification.Model"
