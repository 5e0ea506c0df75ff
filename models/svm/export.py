"""Write arrays and a card as the bytes of a ``.mlmodel``; equal input gives equal bytes.

The file is written with coremltools' protobuf classes, without its converter: importing that takes 7 s and TensorFlow,
and its files contain version strings. A test proves that both give the same support-vector machine. The file is
of specification 1 (iOS 11): 64 doubles in, the digit as a string out, as in the tutorial.
"""

from typing import Any

from models.coreml.proto import model_pb2
from models.family import Card, Weights
from models.svm.tiles import SIDE
from models.svm.vectors import CLASSES, checked

SPECIFICATION = 1
TILES, LABEL = "tiles", "classLabel"
TILES_TEXT = (
    "The digit, white ink on black: its bounding box cut into 8×8 tiles, row by row from the top left, "
    "each the average of its pixels, 0 to 16 for full ink"
)


def mlmodel(weights: Weights, card: Card) -> bytes:
    """Return the ``.mlmodel`` of these arrays. Raises ``ValueError`` if they are inconsistent."""
    spec = model_pb2().Model(specificationVersion=SPECIFICATION)
    describe(spec.description, card)
    write(spec.supportVectorClassifier, checked(weights))
    return bytes(spec.SerializeToString(deterministic=True))  # map entries in the order of their keys


def describe(description: Any, card: Card) -> None:
    """Write the interface and the metadata."""
    tiles = description.input.add(name=TILES, shortDescription=TILES_TEXT)
    tiles.type.multiArrayType.shape.append(SIDE * SIDE)
    tiles.type.multiArrayType.dataType = tiles.type.multiArrayType.ArrayDataType.Value("DOUBLE")
    label = description.output.add(name=LABEL, shortDescription="The digit")
    label.type.stringType.SetInParent()
    description.predictedFeatureName = LABEL
    description.metadata.shortDescription = card.description
    description.metadata.author = card.author
    description.metadata.license = card.licence
    description.metadata.versionString = card.version
    for key, value in card.metadata.items():
        description.metadata.userDefined[key] = value


def write(machine: Any, arrays: Weights) -> None:
    """Write the machine; Core ML's rho is libsvm's intercept with the opposite sign."""
    machine.kernel.rbfKernel.gamma = float(arrays["gamma"])
    machine.numberOfSupportVectorsPerClass.extend(arrays["counts"].tolist())
    for vector in arrays["support_vectors"].tolist():
        machine.denseSupportVectors.vectors.add(values=vector)
    for row in arrays["coefficients"].tolist():
        machine.coefficients.add(alpha=row)
    machine.rho.extend((-arrays["intercepts"]).tolist())
    machine.stringClassLabels.vector.extend(str(digit) for digit in range(CLASSES))
