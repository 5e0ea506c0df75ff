"""The specification version that a file needs, regardless of the version it states.

Source: ``hasIOS11_2Features`` to ``hasIOS14Features`` and ``isIOS12NeuralNetworkLayer`` in coremltools'
mlmodel/src/Utils.cpp, by which Apple lowers the version of a model that could run on older systems.
"""

from collections.abc import Mapping
from typing import Any

from .weights import every, precision

FIRST, HALF, IOS_12, IOS_13, IOS_14, IOS_15 = 1, 2, 3, 4, 5, 6
NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


def _by_name(names_by_version: Mapping[int, str]) -> Mapping[str, int]:
    return {name: version for version, names in names_by_version.items() for name in names.split()}


_LAYERS = _by_name(
    {
        FIRST: "convolution innerProduct batchnorm activation pooling padding concat lrn softmax split add multiply"
        " unary upsample bias l2normalize reshape flatten permute reduce loadConstant scale simpleRecurrent gru"
        " uniDirectionalLSTM biDirectionalLSTM crop average max min dot mvn embedding sequenceRepeat reorganizeData"
        " slice",
        HALF: "custom",
        IOS_12: "resizeBilinear cropResize",
        IOS_14: "cumSum oneHot clampedReLU argSort pooling3d globalPooling3d sliceBySize convolution3d",
    }
)
"""All others appeared in iOS 13."""
_MODELS = _by_name(
    {
        IOS_12: "customModel visionFeaturePrint textClassifier wordTagger nonMaximumSuppression"
        " bayesianProbitRegressor",
        IOS_13: "kNearestNeighborsClassifier itemSimilarityRecommender soundAnalysisPreprocessing linkedModel gazetteer"
        " wordEmbedding",
        IOS_14: "serializedModel",
        IOS_15: "mlProgram",
    }
)
"""All others appeared in iOS 11."""
_PIXEL_SHUFFLE = 2


def of_layer(layer: Any) -> int:
    """Return the version that introduced a ``NeuralNetworkLayer``, regardless of its weights."""
    kind = layer.WhichOneof("layer") or ""
    params: Any = getattr(layer, kind, None)
    newer = (
        (kind == "upsample" and (params.linearUpsampleMode != 0 or len(params.fractionalScalingFactor) > 0))
        or (kind == "reorganizeData" and params.mode == _PIXEL_SHUFFLE)
        or (kind in ("innerProduct", "batchedMatmul") and params.int8DynamicQuantize)
    )
    if newer:
        return IOS_14
    if kind == "convolution" and len(layer.input) > 1:
        return IOS_13
    return _LAYERS.get(kind, IOS_13)


def needed(model: Any) -> int:
    """Return the version that a model other than a pipeline needs for its kind, inputs, layers and weights."""
    kind = model.WhichOneof("Type") or ""
    found = max(_MODELS.get(kind, FIRST), _inputs(model))
    if kind not in NETWORKS:
        return found
    network = getattr(model, kind)
    if network.arrayInputShapeMapping or network.imageInputShapeMapping:
        found = max(found, IOS_13)
    return max(found, *(max(of_layer(layer), _weights(layer)) for layer in network.layers), FIRST)


def _inputs(model: Any) -> int:
    """Return the version that flexible sizes and training on the phone need."""
    if model.isUpdatable:
        return IOS_13
    kinds = [feature.type for feature in model.description.input]
    flexible = any(
        each.multiArrayType.WhichOneof("ShapeFlexibility") or each.imageType.WhichOneof("SizeFlexibility")
        for each in kinds
    )
    return IOS_12 if flexible else FIRST


def _weights(layer: Any) -> int:
    versions = {"float32": FIRST, "none": FIRST, "float16": HALF, "int8 dynamic": IOS_14}
    return max((versions.get(precision(params), IOS_12) for params in every(layer)), default=FIRST)
