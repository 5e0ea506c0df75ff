"""Write folded arrays and a card as a specification-4 ``.mlmodel``; equal input gives equal bytes.

The layers are written through coremltools' protobuf classes, without its converter: importing and running the
converter costs a seventh of a night, its files carry a date and version strings, and its layers for this
network are a detour (transpose, reshape, batched product). A test proves that both files answer alike.

Layers used are those that Core ML has had since iOS 11: convolution, activation, pooling, flatten,
innerProduct, softmax. Core ML orders channels before rows and columns: kernels are transposed on the way.

Half-precision weights need specification 2 and half-precision biases beside them (Core ML's validator refuses a mix),
8-bit weights need specification 3 and take float32 biases: all are older than what we publish.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cnn import rounding
from models.cnn.network import CLASSES, LAYERS, SIDE, Convolution, Layer, Pooling, checked
from models.coreml.proto import model_pb2
from models.family import Card, Precision, Weights

Array = NDArray[np.float32]

SPECIFICATION = 4  # iOS 13
IMAGE = "image"
LABEL = "classLabel"
PROBABILITIES = "probabilities"


def mlmodel(
    weights: Weights, card: Card, layers: tuple[Layer, ...] = LAYERS, precision: Precision = "float32"
) -> bytes:
    """Return the ``.mlmodel`` of folded weights. Raises ``ValueError`` for a wrong shape or precision."""
    arrays = {name: array.astype(np.float32) for name, array in checked(weights, layers, finite=False).items()}
    if not rounding.held(arrays, precision):
        raise ValueError(f"expected {precision} weights; round them before they are judged and published")
    spec = model_pb2().Model(specificationVersion=SPECIFICATION)
    describe(spec.description, card)
    classifier = spec.neuralNetworkClassifier
    scaler = classifier.preprocessing.add(featureName=IMAGE).scaler
    scaler.channelScale = 1.0 / 255.0
    classifier.stringClassLabels.vector.extend(str(digit) for digit in range(CLASSES))
    classifier.labelProbabilityLayerName = PROBABILITIES
    write_layers(classifier, arrays, layers, precision)
    return bytes(spec.SerializeToString(deterministic=True))  # map entries in the order of their keys


def describe(description: Any, card: Card) -> None:
    """Write the interface and the metadata."""
    image = description.input.add(name=IMAGE, shortDescription="A digit, white ink on black")
    image.type.imageType.width = image.type.imageType.height = SIDE
    image.type.imageType.colorSpace = image.type.imageType.ColorSpace.Value("GRAYSCALE")
    label = description.output.add(name=LABEL, shortDescription="The most probable digit")
    label.type.stringType.SetInParent()
    each = description.output.add(name=PROBABILITIES, shortDescription="Probability of each digit")
    each.type.dictionaryType.stringKeyType.SetInParent()
    description.predictedFeatureName = LABEL
    description.predictedProbabilitiesName = PROBABILITIES
    description.metadata.shortDescription = card.description
    description.metadata.author = card.author
    description.metadata.license = card.licence
    description.metadata.versionString = card.version
    for key, value in card.metadata.items():
        description.metadata.userDefined[key] = value


def write_layers(classifier: Any, arrays: Weights, layers: tuple[Layer, ...], precision: Precision) -> None:
    """Write the layers in order; each reads the output of the previous one."""
    below, side, channels = IMAGE, SIDE, 1

    def add(name: str) -> Any:
        nonlocal below
        layer = classifier.layers.add(name=name, input=[below], output=[name])
        below = name
        return layer

    for layer in layers:
        if isinstance(layer, Pooling):
            write_pooling(add(layer.name).pooling)
            side //= 2
        elif isinstance(layer, Convolution):
            kernel, bias = arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"]
            target = add(layer.name).convolution
            write_convolution(target, layer, kernel)
            write_values(target, kernel, bias, precision)
            add(f"{layer.name}_relu").activation.ReLU.SetInParent()
            side -= layer.size - 1 if layer.padding == "valid" else 0
            channels = layer.channels
        else:
            flat = add("flat").flatten
            flat.mode = flat.FlattenOrder.Value("CHANNEL_FIRST")
            kernel = arrays[f"{layer.name}/kernel"].reshape(side, side, channels, layer.units)
            target = add(layer.name).innerProduct
            target.inputChannels, target.outputChannels = side * side * channels, layer.units
            write_values(target, kernel, arrays[f"{layer.name}/bias"], precision)
    add(PROBABILITIES).softmax.SetInParent()


def write_pooling(pooling: Any) -> None:
    """Write the largest of each 2×2."""
    pooling.type = pooling.PoolingType.Value("MAX")
    pooling.kernelSize.extend([2, 2])
    pooling.stride.extend([2, 2])
    border(pooling.valid)


def write_convolution(target: Any, layer: Convolution, kernel: Array) -> None:
    """Write a convolution without its values."""
    target.outputChannels, target.kernelChannels = kernel.shape[3], kernel.shape[2]
    target.nGroups = 1
    target.kernelSize.extend([layer.size, layer.size])
    target.stride.extend([1, 1])
    target.dilationFactor.extend([1, 1])
    if layer.padding == "same":
        target.same.asymmetryMode = target.same.SamePaddingMode.Value("BOTTOM_RIGHT_HEAVY")
    else:
        border(target.valid)


def write_values(target: Any, kernel: Array, bias: Array, precision: Precision) -> None:
    """Write kernel and bias: (height, width, in, out) becomes (out, in, height, width)."""
    target.hasBias = True
    turned = kernel.transpose(3, 2, 0, 1)
    if precision == "float16":
        target.weights.float16Value = turned.astype("<f2").tobytes()
        target.bias.float16Value = bias.astype("<f2").tobytes()
        return
    if precision == "int8":
        write_steps(target.weights, turned)
    else:
        target.weights.floatValue.extend(turned.ravel())
    target.bias.floatValue.extend(bias)


def write_steps(weights: Any, turned: Array) -> None:
    """Write 8-bit values: ``scale * (step + 128) - 128 * scale``, exactly ``scale * step`` in float32."""
    taken, scales = rounding.steps(turned, 0)
    weights.rawValue = (taken.astype(np.int16) + 128).astype(np.uint8).tobytes()
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend(scales)
    weights.quantization.linearQuantization.bias.extend(-128 * scales)


def border(valid: Any) -> None:
    """Write a border of width 0 on all four sides, as every converter does."""
    for _ in range(2):
        valid.paddingAmounts.borderAmounts.add(startEdgeSize=0, endEdgeSize=0)
