"""What bounds a file as a whole, and what ``predict`` says to arrays that do not fit."""

import resource
import time
from typing import Any

import numpy as np
import pytest

from models import coreml
from models.coreml import proto
from tests.models.coreml import seeds, specs


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
    "limit", ["layers", "labels", "weights", "tensor", "tensors", "macs", "fields", "file_bytes", "depth"]
)
def test_every_limit_bites(limit: str) -> None:
    """With one limit at its least and the others wide open, the same file that runs is refused."""
    data = seeds.convolutional().SerializeToString()
    assert coreml.load(data)
    with pytest.raises(coreml.ModelError):
        coreml.load(data, limits=coreml.Limits(**{limit: 1}))


IMAGES = np.zeros((2, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({}, "expected the inputs"),
        ({"picture": IMAGES}, "expected the inputs"),
        ({"image": IMAGES.tolist()}, "expected a numpy array"),
        ({"image": IMAGES / 255}, "expected uint8, came float64"),
        ({"image": IMAGES[0]}, r"expected \(n, 4, 4\), came \(4, 4\)"),
        ({"image": np.zeros((2, 28, 28), np.uint8)}, r"expected \(n, 4, 4\)"),
        ({"image": np.zeros((2, 4, 4, 3), np.uint8)}, r"expected \(n, 4, 4\)"),
    ],
)
def test_wrong_arrays_are_named(inputs: Any, match: str) -> None:
    """``predict`` says what it expected and what came."""
    model = coreml.load(seeds.convolutional().SerializeToString())
    with pytest.raises(coreml.BadInput, match=match):
        model.predict(inputs)


def test_messages_are_those_of_the_wheel() -> None:
    """The reader is coremltools' own generated module, under another name."""
    assert proto.model_pb2().Model.DESCRIPTOR.full_name == "CoreML.Specification.Model"
