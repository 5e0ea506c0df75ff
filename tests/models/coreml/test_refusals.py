"""Attacks and damaged files: each is refused quickly while loading; the error names the layer, kind and file."""

import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from models import coreml
from tests.models.coreml import seeds, specs

BIG = 2**62


def _conv(**fields: Any) -> Any:
    return specs.single(
        "convolution",
        (1, 1, 8, 8),
        **{
            "outputChannels": 2,
            "kernelChannels": 1,
            "kernelSize": [3, 3],
            "stride": [1, 1],
            "valid": {},
            "weights": np.ones(18),
            **fields,
        },
    )


def _padded(kind: str, amount: int) -> Any:
    message = specs.single(kind, (1, 8, 8), **({"constant": {}} if kind == "padding" else {}))
    layer = message.neuralNetwork.layers[0]
    amounts = layer.padding.paddingAmounts if kind == "padding" else layer.crop.cropAmounts
    for _ in range(2):
        amounts.borderAmounts.add(startEdgeSize=amount, endEdgeSize=amount)
    return message


def _grouped(groups: int) -> Any:
    """Return a convolution of that many groups, each of one weight of one bit."""
    message = specs.single(
        "convolution", (1, groups, 1, 1), outputChannels=groups, kernelChannels=1, nGroups=groups, kernelSize=[1, 1]
    )
    convolution = message.neuralNetwork.layers[0].convolution
    convolution.valid.SetInParent()
    convolution.weights.rawValue, convolution.weights.quantization.numberOfBits = bytes(groups // 8), 1
    convolution.weights.quantization.linearQuantization.scale.append(1.0)
    return message


def _pool(**fields: Any) -> Any:
    return specs.single("pooling", (1, 1, 8, 8), **{"kernelSize": [2, 2], "valid": {}, **fields})


def _wired(*layers: tuple[list[str], list[str]]) -> Any:
    """Return a network of additions wired as given, from x0 to y0."""
    message = specs.single("add", (2,))
    del message.neuralNetwork.layers[:]
    for inputs, outputs in layers:
        specs.layer(message.neuralNetwork, "add", inputs, outputs)
    return message


def _unnamed(two_images: bool) -> Any:
    """Return a network with a scaler without an input's name, and two images or one array as inputs."""
    if not two_images:
        message = specs.single("add", (2,))
        message.neuralNetwork.preprocessing.add().scaler.channelScale = 2.0
        return message
    message = seeds.convolutional()
    message.neuralNetworkClassifier.preprocessing[0].featureName = ""
    specs.image(message.description.input, "other", 4, 4, 10)
    return message


def _changed(message: Any, change: Callable[[Any], Any]) -> Any:
    change(message)
    return message


def _doubling(times: int) -> Any:
    """Return a network that tiles a vector by two again and again."""
    message = specs.single("tile", (2,))
    del message.neuralNetwork.layers[:]
    names = ["x0", *(f"t{i}" for i in range(times)), "y0"]
    for source, target in pairwise(names):
        specs.layer(message.neuralNetwork, "tile", [source], [target], reps=[2])
    return message


MALFORMED: dict[str, Callable[[], Any]] = {
    "no layer gives an input": lambda: _wired((["nothing"], ["y0"])),
    "a cycle": lambda: _wired((["x0", "b"], ["a"]), (["a"], ["b"]), (["b"], ["y0"])),
    "a layer that feeds itself": lambda: _wired((["x0", "y0"], ["y0"])),
    "two layers of one output": lambda: _wired((["x0"], ["y0"]), (["x0"], ["y0"])),
    "an output named as the input": lambda: _wired((["x0"], ["x0"]), (["x0"], ["y0"])),
    "one output twice in a layer": lambda: _wired((["x0"], ["y0", "y0"])),
    "an output that nothing gives": lambda: _wired((["x0"], ["z"])),
    "too few weights": lambda: _conv(weights=np.ones(17)),
    "too many weights": lambda: _conv(weights=np.ones(19)),
    "no weights": lambda: _conv(weights=np.ones(0)),
    "a bias that is promised and missing": lambda: _conv(hasBias=True),
    "channels that do not match": lambda: _conv(kernelChannels=3, weights=np.ones(54)),
    "groups that do not divide": lambda: _conv(nGroups=3),
    "no output channels": lambda: _conv(outputChannels=0, weights=np.ones(0)),
    "a kernel of size 0": lambda: _conv(kernelSize=[0, 3], weights=np.ones(0)),
    "a stride of 0": lambda: _conv(stride=[0, 1]),
    "a kernel beyond the image": lambda: _conv(kernelSize=[9, 9], weights=np.ones(162)),
    "three kernel sizes": lambda: _conv(kernelSize=[3, 3, 3]),
    "no padding type": lambda: specs.single("pooling", (1, 1, 8, 8), kernelSize=[2, 2]),
    "a pooling window beyond the image": lambda: _pool(kernelSize=[9, 1]),
    "pooling of padding alone": lambda: _pool(includeLastPixel={"paddingAmounts": [2, 2]}, avgPoolExcludePadding=True),
    "cropping more than there is": lambda: _padded("crop", 4),
    "cropping 2^62": lambda: _padded("crop", BIG),
    "a reflection wider than the image": lambda: _changed(
        _padded("padding", 8), lambda m: m.neuralNetwork.layers[0].padding.reflection.SetInParent()
    ),
    "reshaping to another count": lambda: specs.single("reshapeStatic", (6,), targetShape=[4]),
    "two unknown axes": lambda: specs.single("reshapeStatic", (6,), targetShape=[-1, -1]),
    "a negative size": lambda: specs.single("reshapeStatic", (6,), targetShape=[-2, -3]),
    "a size of 0": lambda: specs.single("reshapeStatic", (6,), targetShape=[0, 6]),
    "a permutation with a repetition": lambda: specs.single("transpose", (2, 3), axes=[0, 0]),
    "an axis beyond the rank": lambda: specs.single("softmaxND", (2, 3), axis=2),
    "an axis of -2^63": lambda: specs.single("softmaxND", (2, 3), axis=-(2**63)),
    "shapes that do not broadcast": lambda: specs.single("addBroadcastable", (2, 3), (2, 4)),
    "matrices that do not fit": lambda: specs.single("batchedMatmul", (2, 3), (2, 3)),
    "concatenating different shapes": lambda: specs.single("concatND", (2, 3), (2, 4), axis=0),
    "splitting into 0": lambda: specs.single("split", (4, 1, 1), nOutputs=0),
    "splitting unevenly": lambda: specs.single("split", (4, 1, 1), outputs=3, nOutputs=3),
    "slicing nothing": lambda: specs.single("slice", (4, 1, 1), startIndex=3, endIndex=3, stride=1),
    "a slice stride of 0": lambda: specs.single("slice", (4, 1, 1), startIndex=0, endIndex=3),
    "softmax of a vector": lambda: specs.single("softmax", (4,)),
    "an activation of no kind": lambda: specs.single("activation", (4,)),
    "batch normalisation of other channels": lambda: specs.single("batchnorm", (4, 1, 1), channels=3),
    "an inner product of another size": lambda: specs.single(
        "innerProduct", (4,), inputChannels=5, outputChannels=1, weights=np.ones(5)
    ),
    "an input without a shape": lambda: specs.single("add", ()),
    "an input of negative size": lambda: specs.single("add", (-3,)),
    "two inputs of one name": lambda: _changed(
        specs.single("add", (2,)), lambda m: specs.array(m.description.input, "x0", (2,))
    ),
    "a rank-5 mapping of a matrix": lambda: specs.single("add", (2, 3), version=1),
    "no inputs": lambda: _changed(specs.single("add", (2,)), lambda m: m.description.ClearField("input")),
    "version 0": lambda: specs.single("add", (2,), version=0),
    "fewer labels than scores": lambda: _changed(
        seeds.convolutional(), lambda m: m.neuralNetworkClassifier.stringClassLabels.vector.pop()
    ),
    "no labels": lambda: _changed(seeds.convolutional(), lambda m: m.neuralNetworkClassifier.ClearField("ClassLabels")),
    "a label of another kind": lambda: _changed(
        seeds.convolutional(), lambda m: m.description.output[1].type.int64Type.SetInParent()
    ),
    "a mean image of another size": lambda: _changed(
        seeds.convolutional(),
        lambda m: m.neuralNetworkClassifier.preprocessing[0].meanImage.meanImage.extend([1.0]),
    ),
    "preprocessing of no name for two inputs": lambda: _unnamed(two_images=True),
    "preprocessing of no name for an array": lambda: _unnamed(two_images=False),
    "preprocessing for no input": lambda: _changed(
        seeds.convolutional(), lambda m: setattr(m.neuralNetworkClassifier.preprocessing[0], "featureName", "nobody")
    ),
    "an image of width 0": lambda: _changed(
        seeds.convolutional(), lambda m: setattr(m.description.input[0].type.imageType, "width", 0)
    ),
    "a pipeline stage without its input": lambda: _changed(
        seeds.machine(),
        lambda m: setattr(m.pipelineClassifier.pipeline.models[1].description.input[0], "name", "w"),
    ),
    "support vectors of another length": lambda: _changed(
        seeds.machine(),
        lambda m: (
            m.pipelineClassifier.pipeline.models[1]
            .supportVectorClassifier.denseSupportVectors.vectors[0]
            .values.append(1.0)
        ),
    ),
    "support vectors counted wrong": lambda: _changed(
        seeds.machine(),
        lambda m: m.pipelineClassifier.pipeline.models[
            1
        ].supportVectorClassifier.numberOfSupportVectorsPerClass.__setitem__(0, -1),
    ),
}

TOO_MUCH: dict[str, Callable[[], Any]] = {
    "padding by 2^62": lambda: _padded("padding", BIG),
    "convolution padding by 2^31": lambda: _changed(
        _conv(),
        lambda m: [
            m.neuralNetwork.layers[0].convolution.valid.paddingAmounts.borderAmounts.add(startEdgeSize=2**31)
            for _ in range(2)
        ],
    ),
    "a dilation of 2^62 in same padding": lambda: _changed(
        _conv(dilationFactor=[BIG, BIG]), lambda m: m.neuralNetwork.layers[0].convolution.same.SetInParent()
    ),
    "a kernel of 2^31 in same padding": lambda: _pool(same={}, kernelSize=[2**31, 2**31]),
    "a convolution stride of 2^62 with one window": lambda: _conv(kernelSize=[8, 8], stride=[BIG, BIG]),
    "a dilation of 2^62 with one tap": lambda: _conv(kernelSize=[1, 1], dilationFactor=[BIG, BIG]),
    "a stride of 2^64 - 1": lambda: _conv(stride=[2**64 - 1, 1]),
    "a pooling stride of 2^62 with one window": lambda: _pool(kernelSize=[8, 8], stride=[BIG, BIG]),
    "a pooling window of 2^62": lambda: _pool(kernelSize=[BIG, 1]),
    "a crop offset of 2^62": lambda: specs.single("crop", (1, 8, 8), (1, 1, 1), offset=[BIG, BIG]),
    "four million groups of one bit": lambda: _grouped(1 << 22),
    "a million groups": lambda: _grouped(1 << 20),
    "a last window 2^62 away": lambda: _pool(includeLastPixel={}, kernelSize=[3, 3], stride=[BIG, BIG]),
    "upsampling by 2^40": lambda: specs.single("upsample", (1, 8, 8), scalingFactor=[2**40, 1]),
    "upsampling 2^15 by 2^15": lambda: specs.single("upsample", (1, 8, 8), scalingFactor=[2**15, 2**15]),
    "resizing to 2^31": lambda: specs.single("resizeBilinear", (1, 8, 8), targetSize=[2**31, 2**31]),
    "doubling 60 times": lambda: _doubling(60),
    "tiling by 2^62": lambda: specs.single("tile", (2,), reps=[BIG]),
    "filling 2^62": lambda: specs.single("fillStatic", targetShape=[BIG]),
    "a constant of 2^62 values": lambda: specs.single("loadConstantND", shape=[BIG], data=np.ones(1)),
    "weights of 2^62 values": lambda: _conv(outputChannels=BIG),
    "a rank of 1000": lambda: specs.single("expandDims", (2,), axes=list(range(1000))),
    "pooling a long row by half": lambda: specs.single(
        "pooling", (1, 1, 2**24), version=1, type=0, kernelSize=[1, 2**23], valid={}
    ),
}

ABSENT: dict[str, tuple[Callable[[], Any], str]] = {
    "deconvolution": (lambda: _conv(isDeconvolution=True), r"'the convolution' \(convolution\): deconvolution"),
    "an unknown layer": (
        lambda: _changed(_conv(), lambda m: m.neuralNetwork.layers[0].ClearField("layer")),
        "a kind that",
    ),
    "a recurrent layer": (lambda: specs.single("gru", (1, 1, 1)), r"'the gru' \(gru\): this kind of layer"),
    "a custom layer": (lambda: specs.single("custom", (1, 1, 1)), r"\(custom\): this kind of layer"),
    "a tree": (
        lambda: _changed(specs.single("add", (2,)), lambda m: m.treeEnsembleClassifier.SetInParent()),
        "a model of kind treeEnsembleClassifier",
    ),
    "an ML program without a function": (
        lambda: _changed(specs.single("add", (2,)), lambda m: m.mlProgram.SetInParent()),
        "an ML Program of 0 functions",
    ),
    "batch statistics": (
        lambda: specs.single(
            "batchnorm", (3, 1, 1), channels=3, computeMeanVar=True, gamma=np.ones(3), beta=np.ones(3)
        ),
        "by the statistics of the batch",
    ),
    "an unknown mapping of arrays": (
        lambda: _changed(_conv(), lambda m: setattr(m.neuralNetwork, "arrayInputShapeMapping", 2)),
        "the input shape mapping 2 of arrays",
    ),
    "an unknown mapping of images": (
        lambda: _changed(
            seeds.convolutional(), lambda m: setattr(m.neuralNetworkClassifier, "imageInputShapeMapping", 7)
        ),
        "7 of images",
    ),
    "text in": (
        lambda: _changed(_conv(), lambda m: m.description.input[0].type.stringType.SetInParent()),
        "input 'x0' of kind string",
    ),
}


def _refused(message: Any, kind: type[coreml.ModelError], match: str | None = None) -> str:
    """Assert that loading raises ``kind``, within a second of processor time and 64 MB."""
    data = message.SerializeToString()
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(kind, match=match) as caught:
            coreml.load(data, name="digits.mlmodel")
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 1
    assert memory < 64 << 20
    text = str(caught.value)
    assert text.startswith("digits.mlmodel: ")
    assert len(text) < 400
    return text


@pytest.mark.parametrize("attack", MALFORMED)
def test_what_contradicts_itself_is_malformed(attack: str) -> None:
    """An inconsistent file is refused, with the layer's name if a layer is the cause."""
    message = MALFORMED[attack]()
    text = _refused(message, coreml.Malformed)
    try:
        problem = coreml.inspect(message.SerializeToString(), name="digits.mlmodel").problem
    except coreml.Malformed as error:  # not even the description can be read
        problem = str(error)
    assert problem == text


@pytest.mark.parametrize("attack", TOO_MUCH)
def test_what_would_need_too_much_is_refused_before_it_is_made(attack: str) -> None:
    """Huge paddings, kernels, sizes and factors are refused before memory of that size is allocated."""
    _refused(TOO_MUCH[attack](), coreml.LimitExceeded)


@pytest.mark.parametrize("wish", ABSENT)
def test_what_is_missing_here_is_named(wish: str) -> None:
    """Unsupported features are never guessed: the error names the layer, kind and file."""
    make, match = ABSENT[wish]
    _refused(make(), coreml.Unsupported, match)


@pytest.mark.parametrize("length", [0, 1, 10, 100, 300, 600])
def test_truncated(length: int) -> None:
    """A truncated file is refused."""
    data = seeds.convolutional().SerializeToString()
    assert length < len(data)
    with pytest.raises(coreml.ModelError, match=r"digits\.mlmodel"):
        coreml.load(data[:length], name="digits.mlmodel")
