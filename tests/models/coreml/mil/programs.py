"""Small ML Programs written field by field, without coremltools: as correct or as wrong as a test needs them."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.models.coreml import specs

BOOL, STRING, FLOAT16, FLOAT32, INT8, INT32, UINT8 = 1, 2, 10, 11, 21, 23, 31
CODES = {FLOAT16: 1, FLOAT32: 2, UINT8: 3, INT8: 4}
"""Types in a weight file."""
OPSET = "CoreML5"


@dataclass(frozen=True)
class Text:
    """A text parameter; plain strings are names of tensors."""

    value: str


@dataclass
class Program:
    """A program under construction; ``blob`` is its weight file."""

    message: Any = field(default_factory=lambda: specs.model(6))
    blob: bytearray = field(default_factory=lambda: bytearray(struct.pack("<II", 0, 2) + bytes(56)))

    def __post_init__(self) -> None:
        """Begin with an empty function."""
        self.message.mlProgram.version = 1
        self.function.opset = OPSET
        self.function.block_specializations[OPSET].SetInParent()

    @property
    def function(self) -> Any:
        """The message of the only function."""
        return self.message.mlProgram.functions["main"]

    @property
    def block(self) -> Any:
        """The message of its operations."""
        return self.function.block_specializations[OPSET]

    def array(self, name: str, *shape: int) -> None:
        """Add an array input."""
        specs.array(self.message.description.input, name, shape)
        typed(self.function.inputs.add(name=name).type, shape)

    def image(self, name: str, height: int, width: int) -> None:
        """Add a grayscale input."""
        specs.image(self.message.description.input, name, height, width, 10)
        typed(self.function.inputs.add(name=name).type, (1, 1, height, width))

    def gives(self, name: str) -> None:
        """Make a tensor an output."""
        specs.array(self.message.description.output, name)
        self.block.outputs.append(name)

    def constant(self, name: str, value: Any, kind: int = FLOAT32) -> str:
        """Add a constant with its value in the program."""
        operation = self.block.operations.add(type="const")
        immediate(operation.attributes["val"], value)
        operation.outputs.add(name=name).type.CopyFrom(operation.attributes["val"].type)
        return name

    def weights(self, name: str, values: np.ndarray, kind: int = FLOAT32) -> str:
        """Add a constant with its value in the weight file."""
        operation = self.block.operations.add(type="const")
        self.stored(operation.attributes["val"], values, kind)
        operation.outputs.add(name=name).type.CopyFrom(operation.attributes["val"].type)
        return name

    def stored(self, value: Any, values: np.ndarray, kind: int) -> None:
        """Append a record to the weight file and let a ``Value`` name it."""
        data = values.astype({FLOAT16: "<f2", FLOAT32: "<f4", INT8: "i1", UINT8: "u1"}[kind]).tobytes()
        self.blob += bytes(-len(self.blob) % 64)
        value.blobFileValue.fileName, value.blobFileValue.offset = "@model_path/weights/weight.bin", len(self.blob)
        typed(value.type, values.shape, kind)
        record = struct.pack("<IIQQ", 0xDEADBEEF, CODES[kind], len(data), len(self.blob) + 64)
        self.blob += record + bytes(64 - len(record)) + data

    def operation(self, kind: str, name: str, shape: Sequence[int], /, **parameters: Any) -> Any:
        """Add an operation; parameters are names of tensors, lists of names, or constants."""
        added = self.block.operations.add(type=kind)
        for key, value in parameters.items():
            for each in value if isinstance(value, list) else [value]:
                binding = added.inputs[key].arguments.add()
                if isinstance(each, str):
                    binding.name = each
                else:
                    immediate(binding.value, each)
        typed(added.outputs.add(name=name).type, shape)
        return added

    def classifies(self, tensor: str, labels: Sequence[str]) -> None:
        """End with a classifier's operation and describe it."""
        added = self.operation("classify", "label", (), probabilities=tensor)
        added.outputs[0].type.tensorType.dataType = STRING
        added.outputs.add(name="scores").type.dictionaryType.SetInParent()
        listed = added.inputs["classes"].arguments.add().value.immediateValue.list
        for label in labels:
            immediate(listed.values.add(), Text(label))
        description = self.message.description
        description.output.add(name="label").type.stringType.SetInParent()
        description.output.add(name="scores").type.dictionaryType.stringKeyType.SetInParent()
        description.predictedFeatureName, description.predictedProbabilitiesName = "label", "scores"
        self.block.outputs.extend(["label", "scores"])

    def model(self) -> bytes:
        """Return the program alone."""
        data: bytes = self.message.SerializeToString()
        return data

    def package(self) -> bytes:
        """Return the zipped package."""
        return packed(self.model(), {"weights/weight.bin": bytes(self.blob)})


def typed(message: Any, shape: Sequence[int], kind: int = FLOAT32) -> None:
    """Set a ``ValueType`` to a tensor."""
    message.tensorType.dataType, message.tensorType.rank = kind, len(shape)
    for size in shape:
        message.tensorType.dimensions.add().constant.size = size


def immediate(message: Any, value: Any) -> None:
    """Set a ``Value`` to a text, truths, whole numbers or numbers."""
    tensor = message.immediateValue.tensor
    if isinstance(value, Text):
        typed(message.type, (), STRING)
        tensor.strings.values.append(value.value)
        return
    array = np.asarray(value)
    form, kind = {"b": ("bools", BOOL), "i": ("ints", INT32)}.get(array.dtype.kind, ("floats", FLOAT32))
    typed(message.type, array.shape, kind)
    getattr(tensor, form).values.extend(array.ravel().tolist())


MODEL, DATA = "com.apple.CoreML/model.mlmodel", "digits.mlpackage/Data/"


def manifest(path: str = MODEL) -> bytes:
    """Return a package's table of contents."""
    return json.dumps({"itemInfoEntries": {"a": {"path": path}}, "rootModelIdentifier": "a"}).encode()


def packed(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return a zip of a package: a manifest, the model, and files beside it."""
    return zipped(
        {"digits.mlpackage/Manifest.json": manifest(), DATA + MODEL: model}
        | {f"{DATA}com.apple.CoreML/{name}": data for name, data in files.items()}
    )


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def network(stored: bool = False) -> Program:
    """Return a classifier of 4×4 images with convolution, pooling and a dense layer; ``stored`` in a weight file."""
    made, rng = Program(), np.random.default_rng(2)
    made.image("image", 4, 4)
    keep = made.weights if stored else made.constant
    kernel = keep("kernel", rng.normal(size=(2, 1, 3, 3)).astype(np.float32), FLOAT16)
    matrix = keep("matrix", rng.normal(size=(3, 8)).astype(np.float32), FLOAT32)
    made.operation("mul", "scaled", (1, 1, 4, 4), x="image", y=1 / 255)
    made.operation(
        "conv", "c", (1, 2, 4, 4), x="scaled", weight=kernel, pad_type=Text("same"), strides=np.array([1, 1])
    )
    made.operation("relu", "r", (1, 2, 4, 4), x="c")
    made.operation("avg_pool", "p", (1, 2, 2, 2), x="r", kernel_sizes=np.array([2, 2]), strides=np.array([2, 2]))
    made.operation("reshape", "f", (1, 8), x="p", shape=np.array([1, 8]))
    made.operation("linear", "d", (1, 3), x="f", weight=matrix, bias=np.ones(3, np.float32))
    made.operation("softmax", "s", (1, 3), x="d", axis=np.array(-1))
    made.classifies("s", ["a", "b", "c"])
    return made


def arranged() -> Any:
    """Return a program's message on an array, with operations that cut, join, reduce and normalise."""
    made = Program()
    made.array("x0", 1, 4, 6)
    made.operation("transpose", "t", (1, 6, 4), x="x0", perm=np.array([0, 2, 1]))
    made.operation("slice_by_index", "v", (1, 3, 4), x="t", begin=np.array([0, 0, 0]), end=np.array([1, 6, 4]),
                   stride=np.array([1, 2, 1]))  # fmt: skip
    made.operation("concat", "k", (1, 6, 4), values=["v", "v"], axis=np.array(1))
    made.operation("pad", "g", (1, 6, 7), x="k", pad=np.array([1, 2]), mode=Text("constant"))
    made.operation("layer_norm", "n", (1, 6, 7), x="g", axes=np.array([-1]))
    made.operation("batch_norm", "b", (1, 6, 7), x="n", mean=np.ones(6, np.float32), variance=np.ones(6, np.float32))
    made.operation("tile", "w", (1, 6, 14), x="b", reps=np.array([1, 1, 2]))
    made.operation("reduce_mean", "m", (1, 6), x="w", axes=np.array([2]), keep_dims=np.array(False))
    made.operation("matmul", "q", (1, 2), x="m", y=np.ones((6, 2), np.float32))
    made.operation("clip", "y0", (1, 2), x="q", alpha=0.0, beta=9.0)
    made.gives("y0")
    return made.message


def compact() -> Program:
    """Return a program whose matrix is quantised in the weight file."""
    made = Program()
    made.array("x0", 1, 4)
    operation = made.block.operations.add(type="constexpr_affine_dequantize")
    made.stored(operation.attributes["quantized_data"], np.arange(12).reshape(3, 4) - 6, INT8)
    immediate(operation.attributes["scale"], np.full(3, 0.5, np.float32))
    immediate(operation.attributes["zero_point"], np.zeros(3, int))
    immediate(operation.attributes["axis"], np.array(0))
    typed(operation.outputs.add(name="matrix").type, (3, 4))
    made.operation("linear", "y0", (1, 3), x="x0", weight="matrix")
    made.gives("y0")
    return made
