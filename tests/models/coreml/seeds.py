"""Files to start mutations from: small ones that together contain every layer kind of this runtime."""

from typing import Any

import numpy as np

from tests.models.coreml import specs
from tests.models.coreml.mil import programs


def convolutional() -> Any:
    """A classifier of 4×4 gray images with convolution, pooling, constants, both flattenings and string labels."""
    message = specs.classifier(["a", "b", "c"])
    network = message.neuralNetworkClassifier
    del network.layers[:]
    scaler = network.preprocessing.add(featureName="image").scaler
    scaler.channelScale, scaler.grayBias = 1 / 255, 0.1
    specs.layer(
        network,
        "convolution",
        ["image"],
        ["c"],
        outputChannels=2,
        kernelChannels=1,
        kernelSize=[3, 3],
        stride=[1, 1],
        hasBias=True,
        same={},
        weights=np.ones(18),
        bias=np.ones(2),
    )
    specs.layer(network, "batchnorm", ["c"], ["n"], channels=2, **{k: np.ones(2) for k in ("gamma", "beta", "mean")})
    specs.fill(network.layers[-1].batchnorm, {"variance": np.ones(2)})
    specs.layer(network, "activation", ["n"], ["r"], PReLU={"alpha": np.ones(2)})
    specs.layer(network, "padding", ["r"], ["q"], constant={"value": 1.0})
    amounts = network.layers[-1].padding.paddingAmounts
    amounts.borderAmounts.add(startEdgeSize=1)
    amounts.borderAmounts.add(endEdgeSize=1)
    specs.layer(network, "pooling", ["q"], ["p"], kernelSize=[2, 2], stride=[2, 2], type=1, includeLastPixel={})
    specs.layer(network, "upsample", ["p"], ["u"], scalingFactor=[2, 2])
    specs.layer(network, "crop", ["u"], ["k"], cropAmounts={})
    for _ in range(2):
        network.layers[-1].crop.cropAmounts.borderAmounts.add()
    specs.layer(network, "lrn", ["k"], ["l"], alpha=1.0, beta=0.5, localSize=3)
    specs.layer(network, "flatten", ["l"], ["f"], mode=1)
    size = 2 * 6 * 6
    specs.layer(network, "innerProduct", ["f"], ["d"], inputChannels=size, outputChannels=3, weights=np.ones(3 * size))
    specs.layer(network, "softmax", ["d"], ["scores"])
    return message


def exact() -> Any:
    """A network on arrays with the shape-changing layers of version 4, quantised weights and two inputs."""
    message = specs.single("add", (2, 3, 4), (2, 3, 4))
    network = message.neuralNetwork
    del network.layers[:]
    specs.layer(network, "add", ["x0", "x1"], ["a"])
    specs.layer(network, "transpose", ["a"], ["t"], axes=[2, 0, 1])
    specs.layer(network, "reshapeStatic", ["t"], ["r"], targetShape=[4, -1])
    quantised = specs.layer(
        network, "batchedMatmul", ["r"], ["m"], weightMatrixFirstDimension=6, weightMatrixSecondDimension=4
    ).batchedMatmul.weights
    quantised.rawValue, quantised.quantization.numberOfBits = bytes(range(9)), 3
    quantised.quantization.lookupTableQuantization.floatValue.extend(range(8))
    specs.layer(network, "loadConstantND", [], ["k"], shape=[4, 1], data=np.ones(4))
    specs.layer(network, "multiplyBroadcastable", ["m", "k"], ["b"])
    specs.layer(network, "concatND", ["b", "b"], ["c"], axis=-1)
    specs.layer(network, "splitND", ["c"], ["s", "z"], axis=1, numSplits=2)
    specs.layer(network, "sliceStatic", ["s"], ["v"], beginIds=[0, 1], endIds=[4, 4], strides=[1, 2])
    specs.fill(network.layers[-1].sliceStatic, {"beginMasks": [False] * 2, "endMasks": [False] * 2})
    specs.layer(network, "tile", ["v"], ["w"], reps=[2, 2])
    specs.layer(network, "expandDims", ["w"], ["e"], axes=[0])
    specs.layer(network, "constantPad", ["e"], ["g"], padAmounts=[0, 0, 1, 1, 0, 2])
    specs.layer(network, "reduceMean", ["g"], ["h"], axes=[-1], keepDims=True)
    specs.layer(network, "resizeBilinear", ["h"], ["i"], targetSize=[3, 5])
    specs.layer(network, "unary", ["i"], ["j"], type=4)
    specs.layer(network, "reorganizeData", ["g"], ["o"], blockSize=2)
    specs.layer(network, "softmaxND", ["j"], ["y0"], axis=-1)
    return message


def machine() -> Any:
    """A pipeline of a vectoriser and a support-vector classifier of three classes with probabilities."""
    message = specs.model(1)
    specs.array(message.description.input, "x0", (2,))
    message.description.output.add(name="label").type.int64Type.SetInParent()
    message.description.output.add(name="p").type.dictionaryType.int64KeyType.SetInParent()
    message.description.predictedFeatureName, message.description.predictedProbabilitiesName = "label", "p"
    stages = message.pipelineClassifier.pipeline.models
    first, second = stages.add(specificationVersion=1), stages.add(specificationVersion=1)
    specs.array(first.description.input, "x0", (2,))
    specs.array(first.description.output, "v", (2,))
    first.featureVectorizer.inputList.add(inputColumn="x0", inputDimensions=2)
    second.description.CopyFrom(message.description)
    second.description.input[0].name = "v"
    svm = second.supportVectorClassifier
    svm.kernel.rbfKernel.gamma = 0.5
    svm.numberOfSupportVectorsPerClass.extend([1, 2, 1])
    for values in ((0.0, 1.0), (1.0, 1.0), (2.0, 0.0), (0.5, 0.5)):
        svm.denseSupportVectors.vectors.add(values=values)
    for _ in range(2):
        svm.coefficients.add(alpha=[1.0, -1.0, 0.5, -0.5])
    svm.rho.extend([0.1, -0.1, 0.0])
    svm.probA.extend([-1.0] * 3)
    svm.probB.extend([0.0] * 3)
    svm.int64ClassLabels.vector.extend([1, 2, 3])
    return message


def program() -> Any:
    """An ML Program that classifies 4×4 gray images, its weights in it."""
    return programs.network().message


ALL = (convolutional, exact, machine, program, programs.arranged)
