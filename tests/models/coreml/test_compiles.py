"""Files that Apple's compiler refuses are refused here, with the rule; the features of a file give its lowest iOS."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import seeds, specs

ONES = np.ones(4)
STATISTICS = {"channels": 4, "mean": ONES, "variance": ONES}


def _conv(shape: tuple[int, ...] = (1, 1, 4, 4), **fields: Any) -> Any:
    return specs.single(
        "convolution",
        shape,
        **{"outputChannels": 4, "kernelChannels": 1, "kernelSize": [1, 1], "valid": {}, "weights": ONES, **fields},
    )


def _half(message: Any, field: str) -> Any:
    """Return the message with one field of its only layer in half precision."""
    layer = message.neuralNetwork.layers[0]
    weights = getattr(getattr(layer, layer.WhichOneof("layer")), field)
    weights.float16Value = np.array(weights.floatValue, dtype="<f2").tobytes()
    del weights.floatValue[:]
    return message


def _quantised(message: Any, field: str, scales: int, biases: int) -> Any:
    """Return the message with one field of its only layer as bytes, with that many scales and biases."""
    layer = message.neuralNetwork.layers[0]
    weights = getattr(getattr(layer, layer.WhichOneof("layer")), field)
    weights.rawValue, weights.quantization.numberOfBits = bytes(range(len(weights.floatValue))), 8
    weights.quantization.linearQuantization.scale.extend([1.0] * scales)
    weights.quantization.linearQuantization.bias.extend([0.5] * biases)
    del weights.floatValue[:]
    return message


def _pooled(shape: tuple[int, ...], **fields: Any) -> Any:
    return specs.single("pooling", shape, kernelSize=[2, 2], **fields)


def _picture_and_array() -> Any:
    """Return a network of old layers with an image of rank 4 and an array of rank 5."""
    message = specs.single("add", (4,), version=1)
    specs.image(message.description.input, "image", 4, 4, 10)
    message.neuralNetwork.imageInputShapeMapping = 1
    return message


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no gamma": (lambda: specs.single("batchnorm", (4, 1, 1), **STATISTICS, beta=ONES), "empty gamma"),
    "no beta": (lambda: specs.single("batchnorm", (4, 1, 1), **STATISTICS, gamma=ONES), "empty beta"),
    "batch normalisation in two precisions": (
        lambda: _half(specs.single("batchnorm", (4, 1, 1), **STATISTICS, gamma=ONES, beta=ONES), "gamma"),
        "both full and half precision",
    ),
    "a half kernel with a full bias": (lambda: _half(_conv(hasBias=True, bias=ONES), "weights"), "both full and half"),
    "a full kernel with a half bias": (lambda: _half(_conv(hasBias=True, bias=ONES), "bias"), "both full and half"),
    "a half matrix with a full bias": (
        lambda: _half(
            specs.single(
                "innerProduct", (1,), inputChannels=1, outputChannels=4, weights=ONES, hasBias=True, bias=ONES
            ),
            "weights",
        ),
        "both full and half",
    ),
    "four scales with one bias": (lambda: _quantised(_conv(), "weights", 4, 1), "got 4 and 1"),
    "one scale with four biases": (lambda: _quantised(_conv(), "weights", 1, 4), "got 1 and 4"),
    "a bias quantised by channel": (
        lambda: _quantised(_conv(hasBias=True, bias=ONES), "bias", 4, 4),
        "expected 1 or 1 scales",
    ),
    "whole and fractional factors": (
        lambda: specs.single("upsample", (1, 4, 4), scalingFactor=[2, 2], fractionalScalingFactor=[1.5, 1.5]),
        "both whole and fractional",
    ),
    "fractional factors to nearest neighbours": (
        lambda: specs.single("upsample", (1, 4, 4), fractionalScalingFactor=[1.5, 1.5]),
        "fractional factors without",
    ),
    "a bilinear mode for nearest neighbours": (
        lambda: specs.single("upsample", (1, 4, 4), linearUpsampleMode=1),
        "for nearest neighbours",
    ),
    "a convolution of rank 3": (lambda: _conv((1, 4, 4)), "rank 3, where 4 or more"),
    "pooling of rank 3": (lambda: _pooled((1, 4, 4), valid={}), "rank 3, where 4 or more"),
    "global pooling without a padding type": (lambda: _pooled((1, 1, 4, 4), globalPooling=True), "no padding type"),
    "a reshape of rank 4": (lambda: specs.single("reshape", (1, 4, 2, 1), targetShape=[8, 1, 1]), "where 5 is needed"),
    "a new layer behind the old mapping": (
        lambda: specs.single("softmaxND", (4,), version=1, axis=-3),
        r"layer 'the softmaxND' \(softmaxND\): .* a layer of iOS 13",
    ),
    "an old and a new mapping": (_picture_and_array, "rank-4 mapping of images"),
    "half gamma in a layer normalisation": (
        lambda: _half(specs.single("layerNormalization", (4,), normalizedShape=[4], gamma=ONES, beta=ONES), "gamma"),
        "other than full precision",
    ),
    "a split into one": (lambda: specs.single("split", (4, 1, 1), nOutputs=1), "fewer than two outputs"),
    "a concatenation of one": (lambda: specs.single("concat", (4, 1, 1)), "fewer than two inputs"),
    "a negative k": (lambda: specs.single("lrn", (4, 1, 1), localSize=1, k=-1.0), "a negative k"),
    "a clip upside down": (lambda: specs.single("clip", (4,), minVal=1.0, maxVal=0.0), "above the maximum"),
    "a squeeze of no axes": (lambda: specs.single("squeeze", (1, 4)), "no axes"),
    "a crop without amounts": (lambda: specs.single("crop", (1, 4, 4), cropAmounts={}), "0 amounts or offsets"),
    "softplus in two precisions": (
        lambda: specs.single("activation", (4, 1, 1), parametricSoftplus={"alpha": ONES}),
        "different precisions",
    ),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_what_apples_compiler_refuses_is_refused_with_its_rule(rule: str) -> None:
    """A file that does not compile for a phone does not load; ``inspect`` gives the same reason."""
    make, match = REFUSED[rule]
    data = make().SerializeToString()
    with pytest.raises(coreml.Malformed, match=match) as caught:
        coreml.load(data)
    assert coreml.inspect(data).problem == str(caught.value)


ACCEPTED: dict[str, Callable[[], Any]] = {
    "full kernel and bias": lambda: _conv(hasBias=True, bias=ONES),
    "half kernel and bias": lambda: _half(_half(_conv(hasBias=True, bias=ONES), "weights"), "bias"),
    "half kernel, unused full bias": lambda: _half(_conv(bias=ONES), "weights"),
    "8-bit kernel by channel, full bias": lambda: _quantised(_conv(hasBias=True, bias=ONES), "weights", 4, 4),
    "8-bit kernel without quantisation bias": lambda: _quantised(_conv(), "weights", 4, 0),
    "8-bit kernel and bias": lambda: _quantised(_conv(hasBias=True, bias=ONES), "bias", 1, 1),
    "rank 3 in old mapping": lambda: specs.single("pooling", (1, 4, 4), version=1, kernelSize=[2, 2], valid={}),
    "a new layer behind an image": lambda: _softmax_nd_of_an_image(),
}


def _softmax_nd_of_an_image() -> Any:
    message = specs.classifier(["a", "b"])
    specs.layer(message.neuralNetworkClassifier, "softmaxND", ["dense"], ["again"], axis=-3)
    message.neuralNetworkClassifier.labelProbabilityLayerName = "again"
    return message


@pytest.mark.parametrize("file", ACCEPTED)
def test_what_it_accepts_is_accepted(file: str) -> None:
    """The rules accept all networks that they do not exclude."""
    assert coreml.load(ACCEPTED[file]().SerializeToString())


LOWEST: dict[str, tuple[Callable[[], Any], str]] = {
    "old layers, full precision": (lambda: specs.classifier(["a", "b"]), "11.0"),
    "a machine": (seeds.machine, "11.0"),
    "half precision": (lambda: _versioned(_half(_conv(), "weights"), exact=False), "11.2"),
    "8 bits": (lambda: _versioned(_quantised(_conv(), "weights", 1, 1), exact=False), "12.0"),
    "resizing": (
        lambda: _versioned(specs.single("resizeBilinear", (1, 4, 4), targetSize=[2, 2]), exact=False),
        "12.0",
    ),
    "exact mapping": (lambda: _versioned(specs.single("add", (4,)), exact=True), "13.0"),
    "a layer of version 4": (_softmax_nd_of_an_image, "13.0"),
    "a layer of version 5": (lambda: _versioned(specs.single("clampedReLU", (4,)), exact=True), "14.0"),
    "fractional upsampling": (
        lambda: _versioned(
            specs.single("upsample", (1, 4, 4), mode=1, linearUpsampleMode=1, fractionalScalingFactor=[1.5, 1.5]),
            exact=True,
        ),
        "14.0",
    ),
    "an ML program": (lambda: _program(), "15.0"),
}


def _versioned(message: Any, exact: bool) -> Any:
    message.specificationVersion = 1
    message.neuralNetwork.arrayInputShapeMapping = int(exact)
    return message


def _program() -> Any:
    message = specs.single("add", (4,), version=1)
    message.mlProgram.SetInParent()
    return message


@pytest.mark.parametrize("file", LOWEST)
def test_the_lowest_ios_is_that_of_what_is_used(file: str) -> None:
    """The lowest iOS of a file that states version 1 but uses more is higher; a higher stated version counts."""
    make, lowest = LOWEST[file]
    message = make()
    assert message.specificationVersion == 1
    assert coreml.inspect(message.SerializeToString()).lowest_ios == lowest
    message.specificationVersion = 7
    assert coreml.inspect(message.SerializeToString()).lowest_ios == "16.0"
