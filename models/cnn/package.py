"""Write folded arrays and a card as a zipped ``.mlpackage`` (ML Program, iOS 15); equal input gives equal bytes.

The program is written with coremltools' own builder, operation by operation, as ``export`` writes layers. No Keras
graph is traced, so names and order do not depend on other conversions in the process. coremltools (7 s to import) is
loaded only here. It saves a date and random identifiers; both are replaced.

The package contains the judged weights, and each of its operations is checked. The gate judges the ``.mlmodel``; a test
shows that ``models.coreml`` gives the same answers for both.
"""

import hashlib
import io
import json
import tempfile
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from models.cnn import backend
from models.cnn.export import IMAGE, LABEL, PROBABILITIES, describe
from models.cnn.network import CLASSES, LAYERS, SIDE, Convolution, Layer, Pooling, checked
from models.coreml.proto import model_pb2
from models.family import Card, Weights

FOLDER = "digits.mlpackage"
MODEL, VALUES = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights/weight.bin"
SILENT = {"const", "cast"}  # operations that compute nothing


def mlpackage(weights: Weights, card: Card, *, half: bool, layers: tuple[Layer, ...] = LAYERS) -> bytes:
    """Return the zip. Raises ``ValueError`` if the weights have wrong shapes or coremltools wrote another program.

    ``half`` stores and computes in float16, which is exact only for weights with float16 values; otherwise float32.
    """
    arrays = {name: array.astype(np.float32) for name, array in checked(weights, layers).items()}
    with backend.muted():  # progress bars, and warnings about the missing Core ML
        spec, values = converted(arrays, layers, half)
    expect(spec, layers)
    name_outputs(spec)
    spec.description.Clear()
    describe(spec.description, card)
    model = bytes(spec.SerializeToString(deterministic=True))
    files = {"Manifest.json": manifest(model), f"Data/{MODEL}": model, f"Data/{VALUES}": values}
    return zipped({f"{FOLDER}/{name}": data for name, data in files.items()})


def converted(arrays: Weights, layers: tuple[Layer, ...], half: bool) -> tuple[Any, bytes]:
    """Have coremltools write the program: its specification and the file of its weights."""
    import coremltools as ct

    image = ct.ImageType(name=IMAGE, shape=(1, 1, SIDE, SIDE), scale=1.0 / 255.0, color_layout=ct.colorlayout.GRAYSCALE)
    model = ct.convert(
        program(arrays, layers),
        convert_to="mlprogram",
        inputs=[image],
        classifier_config=ct.ClassifierConfig([str(digit) for digit in range(CLASSES)], predicted_feature_name=LABEL),
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS15,
        skip_model_load=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FOLDER
        model.save(str(path))
        spec = model_pb2().Model.FromString((path / "Data" / MODEL).read_bytes())
        return spec, (path / "Data" / VALUES).read_bytes()


def program(arrays: Weights, layers: tuple[Layer, ...]) -> Any:
    """Return the network in coremltools' intermediate language; kernels are (out, in, height, width)."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb  # noqa: N813 - the name in all of coremltools' examples

    def network(image: Any) -> Any:
        value, side, channels = image, SIDE, 1
        for layer in layers:
            if isinstance(layer, Pooling):
                value = mb.max_pool(x=value, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name=layer.name)
                side //= 2
                continue
            kernel, bias = arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"]
            if isinstance(layer, Convolution):
                kernel = kernel.transpose(3, 2, 0, 1)
                value = mb.conv(x=value, weight=kernel, bias=bias, pad_type=layer.padding, name=layer.name)
                value = mb.relu(x=value, name=f"{layer.name}_relu")
                side -= layer.size - 1 if layer.padding == "valid" else 0
                channels = layer.channels
            else:
                turned = kernel.reshape(side, side, channels, layer.units).transpose(3, 2, 0, 1)
                value = mb.reshape(x=value, shape=[1, channels * side * side], name="flat")
                value = mb.linear(x=value, weight=turned.reshape(layer.units, -1), bias=bias, name=layer.name)
        return mb.softmax(x=value, axis=-1, name="softmax")

    image = mb.TensorSpec((1, 1, SIDE, SIDE))
    return mb.program(input_specs=[image], opset_version=ct.target.iOS15)(network)


def block(spec: Any) -> Any:
    """Return the only block of an ML Program's only function."""
    (function,) = spec.mlProgram.functions.values()
    return function.block_specializations[function.opset]


def expect(spec: Any, layers: tuple[Layer, ...]) -> None:
    """Raise ``ValueError`` for a program that is not the network, such as after another release's optimisation."""
    wanted = ["mul"]  # by 1/255
    for layer in layers:
        convolution = isinstance(layer, Convolution)
        wanted += (
            ["max_pool"] if isinstance(layer, Pooling) else ["conv", "relu"] if convolution else ["reshape", "linear"]
        )
    wanted += ["softmax", "classify"]
    found = [operation.type for operation in block(spec).operations if operation.type not in SILENT]
    if found != wanted:
        raise ValueError(f"expected the ML Program {' '.join(wanted)}, coremltools wrote {' '.join(found)}")


def name_outputs(spec: Any) -> None:
    """Give the outputs the names of the ``.mlmodel``'s outputs."""
    body = block(spec)
    classify = body.operations[-1]
    for output, name in zip(classify.outputs, (LABEL, PROBABILITIES), strict=True):
        output.name = name
    body.outputs[:] = [LABEL, PROBABILITIES]


def manifest(model: bytes) -> bytes:
    """Return the package's table of contents; its identifiers are derived from the model's bytes, not random."""
    seed = hashlib.sha256(model).hexdigest()
    root, weights = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {what}")) for what in ("model", "weights"))
    entry = {"author": "com.apple.CoreML"}
    contents = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            root: entry | {"description": "CoreML Model Specification", "name": "model.mlmodel", "path": MODEL},
            weights: entry
            | {"description": "CoreML Model Weights", "name": "weights", "path": str(Path(VALUES).parent)},
        },
        "rootModelIdentifier": root,
    }
    return json.dumps(contents, indent=4, sort_keys=True).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip without dates; stored, because zlib's output differs between its builds."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # of 1 January 1980
            entry.create_system = 3  # Unix on every platform, so that the mode is used
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return made.getvalue()
