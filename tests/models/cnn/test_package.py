"""The ``.mlpackage``: bytes that repeat, the interface of the ``.mlmodel``, and a program that computes the same.

Its few operations are executed here one by one, in TensorFlow, with the values of the package's own weight file: by
other code than ``models.coreml``, which runs it in tests/models/coreml/mil.
"""

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from models import coreml
from models.cnn import Cnn, Network, export, package
from models.coreml.proto import model_pb2
from models.family import Card, Precision, Weights
from tests.models.cnn.tiny import random_weights

CARD = Card("Reads a digit", "Digit Loop", "MIT", "7", {"version": "7", "a": "1"})
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def packages() -> dict[Precision, tuple[Network, bytes]]:
    """The same random weights in each precision, and their packages."""
    whole = Cnn().load(random_weights())
    rounded = {precision: whole.rounded(precision) for precision in Cnn().precisions}
    return {precision: (network, network.package(CARD)) for precision, network in rounded.items()}


def opened(data: bytes) -> tuple[dict[str, bytes], Any]:
    """The package's files, and its specification."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name.removeprefix("digits.mlpackage/"): archive.read(name) for name in archive.namelist()}
    return files, model_pb2().Model.FromString(files["Data/com.apple.CoreML/model.mlmodel"])


class Program:
    """A tiny executor of the operations that our package may contain."""

    def __init__(self, data: bytes) -> None:
        """Read the program and the values of its constants."""
        files, spec = opened(data)
        self.blob = files["Data/com.apple.CoreML/weights/weight.bin"]
        self.operations = package.block(spec).operations
        self.known: dict[str, Any] = {}

    def constant(self, value: Any) -> Any:
        """An immediate value, or an array from the weight file (MILBlob: a record at the offset says where)."""
        shape = [dimension.constant.size for dimension in value.type.tensorType.dimensions]
        if value.WhichOneof("value") == "blobFileValue":
            sentinel, kind, size, start = struct.unpack_from("<IIQQ", self.blob, value.blobFileValue.offset)
            assert (sentinel, kind) in {(0xDEADBEEF, 1), (0xDEADBEEF, 2)}
            dtype = {1: "<f2", 2: "<f4"}[kind]
            return np.frombuffer(self.blob[start : start + size], dtype).astype(np.float32).reshape(shape)
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        if kind == "bytes":  # small float16 tensors
            return np.frombuffer(tensor.bytes.values, "<f2").astype(np.float32).reshape(shape)
        values = list(getattr(tensor, kind).values)
        return values if shape else values[0]

    def run(self, images: Array) -> tuple[list[str], Array]:
        """Labels and probabilities, in float32 throughout."""
        self.known["image"] = images[:, None].astype(np.float32)
        for operation in self.operations:
            names = [output.name for output in operation.outputs]
            if operation.type == "const":
                self.known[names[0]] = self.constant(operation.attributes["val"])
                continue
            given = {
                key: next(self.known[one.name] if one.name else one.value for one in argument.arguments)
                for key, argument in operation.inputs.items()
            }
            self.known[names[0]] = getattr(self, f"_{operation.type}")(**given)
        classes = [item.immediateValue.tensor.strings.values[0] for item in given["classes"].immediateValue.list.values]
        assert names == ["classLabel", "probabilities"]
        return [classes[i] for i in given["probabilities"].argmax(1)], given["probabilities"]

    def _mul(self, x: Array, y: float) -> Array:
        return x * np.float32(y)

    def _cast(self, x: Array, dtype: str) -> Array:
        return x

    def _conv(self, x: Array, weight: Array, bias: Array, pad_type: str, strides: Any, **rest: Any) -> Array:
        import tensorflow as tf

        assert (rest["groups"], rest["dilations"], strides) == (1, [1, 1], [1, 1])
        kernel, pixels = weight.transpose(2, 3, 1, 0), x.transpose(0, 2, 3, 1)
        found: Array = tf.nn.conv2d(pixels, kernel, 1, pad_type.upper()).numpy() + bias
        return found.transpose(0, 3, 1, 2)

    def _relu(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def _max_pool(self, x: Array, kernel_sizes: Any, strides: Any, pad_type: str, **rest: Any) -> Array:
        assert (kernel_sizes, strides, pad_type, rest["ceil_mode"]) == ([2, 2], [2, 2], "valid", False)
        n, channels, height, width = x.shape
        return x.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))

    def _reshape(self, x: Array, shape: Any) -> Array:
        assert shape[0] == 1  # the program reads one image at a time
        return x.reshape(len(x), shape[1])

    def _linear(self, x: Array, weight: Array, bias: Array) -> Array:
        return x @ weight.T + bias

    def _softmax(self, x: Array, axis: int) -> Array:
        raised = np.exp(x - x.max(axis, keepdims=True))
        return raised / raised.sum(axis, keepdims=True)

    def _classify(self, probabilities: Array, classes: Any) -> Array:
        return probabilities


@pytest.mark.slow
@pytest.mark.parametrize("precision", Cnn().precisions)
def test_the_program_computes_what_the_judged_file_computes(
    packages: dict[Precision, tuple[Network, bytes]], digits: tuple[Array, Array], precision: Precision
) -> None:
    """Executed operation by operation on its own weight file, it answers as the ``.mlmodel`` of the same candidate."""
    network, data = packages[precision]
    images = digits[0][:100]
    labels, probabilities = Program(data).run(images)
    judged = coreml.load(network.export(CARD)).predict({"image": images})
    np.testing.assert_allclose(probabilities, judged["probabilities"], atol=1e-5)
    assert labels == list(judged["classLabel"])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_packages_repeat(packages: dict[Precision, tuple[Network, bytes]], precision: Precision) -> None:
    """The same weights and card give the same bytes, though other packages were made in between."""
    network, data = packages[precision]
    assert network.package(CARD) == data
    assert network.package(Card("Reads a digit", "Digit Loop", "MIT", "8")) != data


@pytest.mark.slow
def test_interface(packages: dict[Precision, tuple[Network, bytes]]) -> None:
    """Specification 6 (iOS 15); inputs, outputs, labels and card are those of the ``.mlmodel``, without a date."""
    for network, data in packages.values():
        _, spec = opened(data)
        theirs = model_pb2().Model.FromString(network.export(CARD))
        assert spec.specificationVersion == 6
        assert spec.description == theirs.description
        (function,) = spec.mlProgram.functions.values()
        assert [given.name for given in function.inputs] == [export.IMAGE]
        assert list(package.block(spec).outputs) == [export.LABEL, export.PROBABILITIES]
        assert b"date" not in data


@pytest.mark.slow
def test_contents(packages: dict[Precision, tuple[Network, bytes]]) -> None:
    """The manifest lists the package's files, with the specification as root; half precision halves the size."""
    files, _ = opened(packages["float16"][1])
    contents = json.loads(files["Manifest.json"])
    entries = contents["itemInfoEntries"]
    assert entries[contents["rootModelIdentifier"]]["path"] == "com.apple.CoreML/model.mlmodel"
    paths = {f"Data/{entry['path']}" for entry in entries.values()}
    assert all(any(name.startswith(path) for path in paths) for name in files if name != "Manifest.json")
    assert len(files) == 3
    sizes = {precision: len(data) for precision, (_, data) in packages.items()}
    assert sizes["float16"] < 0.55 * sizes["float32"] == 0.55 * sizes["int8"]


@pytest.mark.slow
def test_another_program_is_refused(packages: dict[Precision, tuple[Network, bytes]]) -> None:
    """If coremltools writes other operations than the network's, the package is refused."""
    _, spec = opened(packages["float32"][1])
    operations = package.block(spec).operations
    package.expect(spec, export.LAYERS)
    next(operation for operation in operations if operation.type == "relu").type = "tanh"
    with pytest.raises(ValueError, match="coremltools wrote mul conv tanh"):
        package.expect(spec, export.LAYERS)


def test_weights_that_do_not_fit(weights: Weights) -> None:
    """A missing array is refused with its name before coremltools runs."""
    with pytest.raises(ValueError, match="missing"):
        package.mlpackage({name: a for name, a in weights.items() if name != "conv1/bias"}, CARD, half=False)
