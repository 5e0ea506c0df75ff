"""Convolution and pooling of 2-D images: the layers of neural networks, with a program's names for their options.

Formulas: ``conv`` and ``pool`` of coremltools' MIL operation sets.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

from collections.abc import Mapping
from typing import Any

from ..layers import convolution, pooling
from ..layers.layer import Plan
from .operation import Kind, Operation, kind

_MAX, _AVERAGE = 0, 1
_TOP_LEFT_HEAVY = 1
_PADDINGS = ("valid", "custom", "same", "same_lower")


def _convolution(op: Operation) -> Plan:
    """Plan ``conv`` of ``(n, C, H, W)`` by a constant kernel ``(outputs, C / groups, height, width)``."""
    _flat(op)
    weight = op.array("weight")
    if weight.ndim != 4:
        raise op.malformed(f"expected a kernel of rank 4, got shape {weight.shape}")
    bias = {"bias": op.array("bias", (weight.shape[0],))} if op.has("bias") else {}
    layer = op.as_layer("convolution", {"weights": weight, **bias})
    params = layer.params
    params.outputChannels, params.kernelChannels = weight.shape[:2]
    params.nGroups, params.hasBias = op.whole("groups", 1, least=1), bool(bias)
    params.kernelSize.extend(weight.shape[2:])
    params.stride.extend(op.wholes("strides", (1, 1), least=1))
    params.dilationFactor.extend(op.wholes("dilations", (1, 1), least=1))
    _pad(op, params)
    return convolution.convolution(layer)


def _pooling(op: Operation, kind: int) -> Plan:
    """Plan pooling of ``(n, C, H, W)``."""
    _flat(op)
    layer = op.as_layer("pooling")
    layer.params.type = kind
    layer.params.avgPoolExcludePadding = op.flag("exclude_padding_from_average")
    layer.params.kernelSize.extend(op.wholes("kernel_sizes", least=1))
    layer.params.stride.extend(op.wholes("strides", (1, 1), least=1))
    _pad(op, layer.params)
    planned = pooling.pooling(layer)
    if op.flag("ceil_mode") and _cut(op, layer.params):
        raise op.unsupported("ceil_mode where windows do not fill the image")
    return planned


def _flat(op: Operation) -> None:
    if len(op.shape) != 4:
        raise op.unsupported(f"an input of shape {op.shape}, other than (n, channels, height, width),")


def _pad(op: Operation, params: Any) -> None:
    """Set the padding of a layer's parameters."""
    mode = op.text("pad_type", "valid")
    amounts = op.wholes("pad", (0, 0, 0, 0), least=0)
    if mode not in _PADDINGS or len(amounts) != 4:
        raise op.unsupported(f"pad_type {mode!r} with {len(amounts)} amounts")
    if mode in ("same", "same_lower"):
        params.same.asymmetryMode = _TOP_LEFT_HEAVY if mode == "same_lower" else 0
        return
    params.valid.SetInParent()
    if mode == "custom":
        for start, end in (amounts[:2], amounts[2:]):
            params.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)


def _cut(op: Operation, params: Any) -> bool:
    """Whether the windows do not cover all pixels, so that ``ceil_mode`` would add one more window."""
    edges = params.valid.paddingAmounts.borderAmounts
    added = [edge.startEdgeSize + edge.endEdgeSize for edge in edges] or [0, 0]
    sides = zip(op.shape[-2:], added, params.kernelSize, params.stride, strict=True)
    return params.WhichOneof("PoolingPaddingType") == "valid" and any((n + a - k) % s for n, a, k, s in sides)


_POOL = "kernel_sizes strides pad_type pad ceil_mode"
OPERATIONS: Mapping[str, Kind] = {
    "conv": kind(_convolution, constants="weight bias strides pad_type pad dilations groups"),
    "max_pool": kind(lambda op: _pooling(op, _MAX), constants=_POOL),
    "avg_pool": kind(lambda op: _pooling(op, _AVERAGE), constants=f"{_POOL} exclude_padding_from_average"),
}
