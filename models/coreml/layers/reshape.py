"""Layers that only rename axes: flatten, reshape in its variants, transpose, permute, squeeze, expand.

Formulas: the messages of these names in NeuralNetwork.proto.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan

_CHANNEL_LAST = 1


def _as(layer: Layer, shape: Shape) -> Plan:
    """Plan the same values in row-major order under another shape."""
    layer.fits(shape)
    if math.prod(shape) != math.prod(layer.shape):
        raise layer.malformed(f"shape {layer.shape} cannot become {shape}")
    return plan(shape, lambda x: x.reshape(x.shape[0], *shape))


def flatten(layer: Layer) -> Plan:
    """Plan ``(…, C, H, W)`` to ``(…, C·H·W, 1, 1)``, channels first or last."""
    layer.expect(1, rank=3)
    shape = (*layer.shape[:-3], math.prod(layer.shape[-3:]), 1, 1)
    if layer.params.mode != _CHANNEL_LAST:
        return _as(layer, shape)
    return plan(shape, lambda x: np.moveaxis(x, -3, -1).reshape(x.shape[0], *shape))


def reshape(layer: Layer) -> Plan:
    """Plan ``reshape``: a target ``[C, H, W]``, or ``[Seq, C, H, W]`` where the input is ``(Seq, 1, C, H, W)``."""
    layer.expect(1, rank=3)
    target = tuple(layer.params.targetShape)
    if len(target) == 3:
        leading: Shape = layer.shape[:-3]
    elif len(target) == 4 and len(layer.shape) == 5 and layer.shape[1] == 1:
        leading = (target[0], 1)
    else:
        raise layer.malformed(f"expected a target [C, H, W] or [Seq, C, H, W], got {target} for {layer.shape}")
    shape = layer.fits((*leading, *target[-3:]))
    if layer.params.mode != _CHANNEL_LAST:
        return _as(layer, shape)
    _as(layer, shape)
    channels, height, width = target[-3:]

    def run(x: Array) -> Array:
        last = np.moveaxis(x, -3, -1).reshape(x.shape[0], *leading, height, width, channels)
        return np.moveaxis(last, -1, -3)

    return plan(shape, run)


def reshape_static(layer: Layer) -> Plan:
    """Plan ``reshapeStatic``; at most one -1 stands for whatever is left."""
    layer.expect(1)
    return _as(layer, _completed(layer, layer.params.targetShape))


def rank_preserving_reshape(layer: Layer) -> Plan:
    """Plan ``rankPreservingReshape``: 0 keeps an axis, at most one -1 stands for whatever is left."""
    layer.expect(1)
    target = layer.params.targetShape
    if len(target) != len(layer.shape):
        raise layer.malformed(f"expected {len(layer.shape)} axes, got {list(target)[:8]}")
    kept = [old if new == 0 else new for old, new in zip(layer.shape, target, strict=True)]
    return _as(layer, _completed(layer, kept))


def _completed(layer: Layer, target: Sequence[int]) -> Shape:
    """Return ``target`` with a -1 replaced by the length that the number of values requires."""
    if list(target).count(-1) > 1:
        raise layer.malformed(f"more than one -1 in {list(target)[:8]}")
    known = math.prod(size for size in target if size != -1)
    rest = math.prod(layer.shape) // known if known > 0 else 0
    return tuple(rest if size == -1 else size for size in target)


def flatten_to_2d(layer: Layer) -> Plan:
    """Plan ``flattenTo2D``: the axes before ``axis`` make the rows, those from it on the columns."""
    layer.expect(1)
    rank, axis = len(layer.shape), layer.params.axis
    if not -rank <= axis <= rank:
        raise layer.malformed(f"axis {axis} is outside rank {rank}")
    at = axis + rank if axis < 0 else axis
    return _as(layer, (math.prod(layer.shape[:at]), math.prod(layer.shape[at:])))


def squeeze(layer: Layer) -> Plan:
    """Plan ``squeeze``: drop the named axes of length 1, or all of them; one axis always stays."""
    layer.expect(1)
    rank = len(layer.shape)
    dropped = (
        tuple(i - rank for i, size in enumerate(layer.shape) if size == 1)
        if layer.params.squeezeAll
        else layer.axes(layer.params.axes)
    )
    if any(layer.shape[axis] != 1 for axis in dropped):
        raise layer.malformed(f"axes {dropped} of shape {layer.shape} are not all of length 1")
    shape = tuple(size for i, size in enumerate(layer.shape) if i - rank not in dropped)
    return _as(layer, shape or (1,))


def expand_dims(layer: Layer) -> Plan:
    """Plan ``expandDims``: the named axes of the output have length 1."""
    layer.expect(1)
    rank = len(layer.shape) + len(layer.params.axes)
    layer.fits((1,) * min(rank, layer.budget.limits.rank + 1))
    added = layer.axes(layer.params.axes, rank)
    sizes = iter(layer.shape)
    return _as(layer, tuple(1 if i - rank in added else next(sizes) for i in range(rank)))


def transpose(layer: Layer) -> Plan:
    """Plan ``transpose``: output axis i is input axis ``axes[i]``."""
    layer.expect(1)
    return _permuted(layer, tuple(layer.params.axes))


def permute(layer: Layer) -> Plan:
    """Plan ``permute`` of ``(Seq, B, C, H, W)``: four axes are named, the batch stays where it is."""
    layer.expect(1)
    axes = tuple(layer.params.axis) or (0, 1, 2, 3)
    if len(layer.shape) != 5 or sorted(axes) != [0, 1, 2, 3]:
        raise layer.malformed(f"expected rank 5 and a permutation of 0 to 3, got {layer.shape} and {axes[:8]}")
    named = [(0, 2, 3, 4)[axis] for axis in axes]
    return _permuted(layer, (named[0], 1, *named[1:]))


def _permuted(layer: Layer, axes: Shape) -> Plan:
    if sorted(axes) != list(range(len(layer.shape))):
        raise layer.malformed(f"expected a permutation of {len(layer.shape)} axes, got {axes[:8]}")
    lifted = (0, *(axis + 1 for axis in axes))
    return plan(tuple(layer.shape[axis] for axis in axes), lambda x: x.transpose(lifted))


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "flatten": flatten,
    "reshape": reshape,
    "reshapeStatic": reshape_static,
    "rankPreservingReshape": rank_preserving_reshape,
    "flattenTo2D": flatten_to_2d,
    "squeeze": squeeze,
    "expandDims": expand_dims,
    "transpose": transpose,
    "permute": permute,
}
