"""Networks that could run but not compile for a phone: the rules by which Apple's validator refuses a network.

``load`` refuses them too, so that a file that runs here compiles by Apple's published rules. Source: coremltools'
mlmodel/src/Validation/NeuralNetwork (NeuralNetworkValidator.cpp, NeuralNetworkLayerValidator.cpp), where it goes beyond
what layers refuse anyway; the rule for quantised weights is in ``weights``. Ranks are checked even where the file does
not state them and Apple's validator cannot.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import versions
from .budget import Budget
from .features import Feature
from .layers.layer import Layer
from .preprocessing import EXACT_ARRAYS, RANK4_IMAGES
from .weights import precision

Rule = Callable[[Layer], str]
"""The reason to refuse a layer, or None."""

_RANKS: Mapping[str, range] = {"convolution": range(4, 9), "pooling": range(4, 9), "reshape": range(5, 6)}
_NEAREST = 0


def exact(network: Any, inputs: Sequence[Feature], budget: Budget) -> bool:
    """Return whether tensors have their exact rank; False is the old form, always 5. Refuses conflicting mappings.

    The rank is exact if at least one mapping or layer is newer than iOS 12.
    """
    arrays = network.arrayInputShapeMapping == EXACT_ARRAYS
    images = network.imageInputShapeMapping == RANK4_IMAGES
    newer = next((layer for layer in network.layers if versions.of_layer(layer) >= versions.IOS_13), None)
    if not arrays and any(feature.kind == "array" for feature in inputs):
        why = "Apple's compiler refuses it: rank-5 mapping of arrays with"
        if newer is not None:
            kind = newer.WhichOneof("layer")
            raise budget.malformed(f"layer {newer.name!r} ({kind}): {why} a layer of iOS 13 or later")
        if images:
            raise budget.malformed(f"{why} rank-4 mapping of images")
    return arrays or images or newer is not None


def check(layer: Layer, exact: bool) -> None:
    """Refuse a layer that Apple's compiler refuses, with the rule."""
    ranks = _RANKS.get(layer.kind)
    rank = len(layer.shapes[0]) if layer.shapes else 0
    why = _RULES[layer.kind](layer) if layer.kind in _RULES else ""
    if exact and ranks and layer.shapes and rank not in ranks:
        why = f"rank {rank}, where {ranks.start} {'or more ' if len(ranks) > 1 else ''}is needed"
    if why:
        raise layer.malformed(f"Apple's compiler refuses it: {why}")


def _mixed(*fields: str) -> Rule:
    """Return the rule that full and half precision must not meet in one layer; a bias counts if it is used."""

    def rule(layer: Layer) -> str:
        used = [field for field in fields if field != "bias" or layer.params.hasBias]
        found = {precision(getattr(layer.params, field)) for field in used}
        return "both full and half precision" if {"float32", "float16"} <= found else ""

    return rule


def _batchnorm(layer: Layer) -> str:
    for field in ("gamma", "beta"):
        if precision(getattr(layer.params, field)) == "none":
            return f"it has empty {field}"
    return _mixed("gamma", "beta", "mean", "variance")(layer)


def _activation(layer: Layer) -> str:
    softplus = layer.params.parametricSoftplus
    if layer.params.WhichOneof("NonlinearityType") != "parametricSoftplus":
        return ""
    return "" if precision(softplus.alpha) == precision(softplus.beta) else "alpha and beta in different precisions"


def _upsample(layer: Layer) -> str:
    whole, parts = len(layer.params.scalingFactor), len(layer.params.fractionalScalingFactor)
    if whole and parts:
        return "both whole and fractional factors"
    nearest, default = layer.params.mode == _NEAREST, layer.params.linearUpsampleMode == 0
    if parts and (nearest or default):
        return "fractional factors without a bilinear mode that says how corners are aligned"
    return "a bilinear mode for nearest neighbours" if nearest and not default else ""


def _layer_normalization(layer: Layer) -> str:
    found = {precision(layer.params.gamma), precision(layer.params.beta)}
    return "" if found == {"float32"} else "gamma and beta in other than full precision"


def _several(layer: Layer) -> str:
    return "" if len(layer.shapes) > 1 else "fewer than two inputs"


def _parts(layer: Layer) -> str:
    return "" if layer.outputs > 1 else "fewer than two outputs"


def _named_axes(layer: Layer) -> str:
    whole = layer.kind == "squeeze" and layer.params.squeezeAll
    return "" if whole or len(layer.params.axes) else "no axes"


def _crop(layer: Layer) -> str:
    given = len(layer.params.offset if len(layer.shapes) > 1 else layer.params.cropAmounts.borderAmounts)
    return "" if given == 2 else f"{given} amounts or offsets, where 2 are needed"


_RULES: Mapping[str, Rule] = {
    "convolution": _mixed("weights", "bias"),
    "innerProduct": _mixed("weights", "bias"),
    "batchedMatmul": _mixed("weights", "bias"),
    "scale": _mixed("scale", "bias"),
    "batchnorm": _batchnorm,
    "activation": _activation,
    "upsample": _upsample,
    "layerNormalization": _layer_normalization,
    "pooling": lambda layer: "" if layer.params.WhichOneof("PoolingPaddingType") else "no padding type",
    "lrn": lambda layer: "a negative k" if layer.params.k < 0 else "",
    "clip": lambda layer: "a minimum above the maximum" if layer.params.minVal > layer.params.maxVal else "",
    "permute": lambda layer: "" if len(layer.params.axis) == 4 else "other than four axes",
    "loadConstantND": lambda layer: "a shape of more than 5 axes" if len(layer.params.shape) > 5 else "",
    "crop": _crop,
    "concat": _several,
    "concatND": _several,
    "stack": _several,
    "split": _parts,
    "splitND": _parts,
    "expandDims": _named_axes,
    "squeeze": _named_axes,
}
