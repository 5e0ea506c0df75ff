"""Operations that rename, join, cut, pad or repeat values without computing any.

Formulas: ``tensor_transformation``, ``tensor_operation`` and ``image_resizing`` of coremltools' MIL operation sets.
"""
# ruff: noqa: TID252  (relative, so that the folder can be lifted out whole)

import math
from collections.abc import Mapping

import numpy as np

from ..layers import arrange, reshape, spatial
from ..layers.layer import Plan, Shape, plan
from .operation import Kind, Operation, kind


def _reshape(op: Operation) -> Plan:
    """Plan ``reshape``; at most one -1 stands for whatever is left."""
    layer = op.as_layer("reshapeStatic")
    layer.params.targetShape.extend(op.wholes("shape", least=-1))
    return reshape.reshape_static(layer)


def _renamed(op: Operation, shape: Shape) -> Plan:
    """Plan the same values under another shape."""
    return plan(op.fits(shape), lambda x: x.reshape(x.shape[0], *shape))


def _expand_dims(op: Operation) -> Plan:
    axes = op.wholes("axes")
    rank = len(op.shape) + len(axes)
    op.fits((1,) * rank)
    added, sizes = op.axes(axes, rank), iter(op.shape)
    return _renamed(op, tuple(1 if i - rank in added else next(sizes) for i in range(rank)))


def _squeeze(op: Operation) -> Plan:
    """Plan ``squeeze`` of the named axes of length 1, or of all."""
    rank = len(op.shape)
    dropped = op.axes(op.wholes("axes", tuple(i for i, size in enumerate(op.shape) if size == 1)))
    if any(op.shape[axis] != 1 for axis in dropped):
        raise op.malformed(f"axes {dropped} of shape {op.shape} are not all of length 1")
    return _renamed(op, tuple(size for i, size in enumerate(op.shape) if i - rank not in dropped))


def _flatten(op: Operation) -> Plan:
    """Plan ``flatten2d``: the axes before ``axis`` make the rows, those from it on the columns."""
    layer = op.as_layer("flattenTo2D")
    layer.params.axis = op.whole("axis", 1)
    return reshape.flatten_to_2d(layer)


def _transpose(op: Operation) -> Plan:
    layer = op.as_layer("transpose")
    rank = len(op.shape)
    layer.params.axes.extend(op.axis(axis) + rank for axis in op.wholes("perm"))
    return reshape.transpose(layer)


def _concat(op: Operation) -> Plan:
    if op.flag("interleave"):
        raise op.unsupported("interleaving")
    layer = op.as_layer("concatND")
    layer.params.axis = op.whole("axis")
    return arrange.concat_nd(layer)


def _stack(op: Operation) -> Plan:
    layer = op.as_layer("stack")
    layer.params.axis = op.whole("axis")
    return arrange.stack(layer)


def _split(op: Operation) -> Plan:
    """Plan ``split`` into equal parts or parts of stated sizes."""
    layer = op.as_layer("splitND")
    layer.params.axis = op.whole("axis")
    sizes = op.wholes("split_sizes", (), least=1)
    count = op.whole("num_splits", len(sizes) or None, least=1)
    if count != op.outputs or (not sizes and op.shape[op.axis(layer.params.axis)] % count):
        raise op.malformed(f"{count} equal parts of {op.shape} for {op.outputs} outputs")
    layer.params.numSplits = count
    layer.params.splitSizes.extend(sizes)
    return arrange.split_nd(layer)


def _tile(op: Operation) -> Plan:
    layer = op.as_layer("tile")
    layer.params.reps.extend(op.wholes("reps", least=1))
    return arrange.tile(layer)


def _reverse(op: Operation) -> Plan:
    axes = op.axes(op.wholes("axes", tuple(range(len(op.shape)))))
    return plan(op.shape, lambda x: np.flip(x, axes))


def _pad(op: Operation) -> Plan:
    """Plan ``pad`` of the last axes by a constant, or by reflection or replication where the whole of an image is."""
    amounts, mode = op.wholes("pad", least=0), op.text("mode", "constant")
    if len(amounts) % 2 or len(amounts) > 2 * len(op.shape):
        raise op.malformed(f"expected two amounts for each axis, got {len(amounts)}")
    every = [(0, 0)] * (len(op.shape) - len(amounts) // 2) + list(zip(amounts[::2], amounts[1::2], strict=True))
    shape = op.fits(tuple(size + sum(pair) for size, pair in zip(op.shape, every, strict=True)))
    if mode == "constant":
        value = op.number("constant_val", 0.0)
        return plan(shape, lambda x: np.pad(x, [(0, 0), *every], constant_values=value), 0, math.prod(shape))
    if mode == "reflect" and any(max(pair) >= size for size, pair in zip(op.shape, every, strict=True) if any(pair)):
        raise op.malformed(f"{op.shape} cannot be reflected by {amounts[:8]}")
    if mode not in ("reflect", "replicate"):
        raise op.unsupported(f"mode {mode!r}")
    if mode == "reflect":
        return plan(shape, lambda x: np.pad(x, [(0, 0), *every], mode="reflect"), 0, math.prod(shape))
    return plan(shape, lambda x: np.pad(x, [(0, 0), *every], mode="edge"), 0, math.prod(shape))


def _slice_by_index(op: Operation) -> Plan:
    """Plan a slice as numpy's ``begin:end:stride``; marked ends are open, marked axes are dropped."""
    rank = len(op.shape)
    begins, ends = op.wholes("begin"), op.wholes("end")
    strides = op.wholes("stride", (1,) * rank)
    open_begin, open_end, dropped = (op.flags(f"{name}_mask", rank) for name in ("begin", "end", "squeeze"))
    if not len(begins) == len(ends) == len(strides) == rank or 0 in strides:
        raise op.malformed(f"expected {rank} begins, ends and strides other than 0")
    cuts: list[slice | int] = []
    for i, size in enumerate(op.shape):
        if dropped[i]:
            cuts.append(begins[i])
            if not -size <= begins[i] < size:
                raise op.malformed(f"index {begins[i]} is outside a length of {size}")
        else:
            cuts.append(slice(None if open_begin[i] else begins[i], None if open_end[i] else ends[i], strides[i]))
    return _cut(op, cuts)


def _slice_by_size(op: Operation) -> Plan:
    """Plan a slice from ``begin`` on; a size of -1 is up to the end."""
    begins, sizes = op.wholes("begin", least=0), op.wholes("size", least=-1)
    if not len(begins) == len(sizes) == len(op.shape):
        raise op.malformed(f"expected {len(op.shape)} begins and sizes")
    ends = [n if size < 0 else begin + size for n, begin, size in zip(op.shape, begins, sizes, strict=True)]
    if any(end > n for n, end in zip(op.shape, ends, strict=True)):
        raise op.malformed(f"a slice up to {ends[:8]} is outside {op.shape}")
    return _cut(op, [slice(begin, end) for begin, end in zip(begins, ends, strict=True)])


def _cut(op: Operation, cuts: list[slice | int]) -> Plan:
    lengths = [
        len(range(*cut.indices(n))) if isinstance(cut, slice) else None for cut, n in zip(cuts, op.shape, strict=True)
    ]
    shape = op.fits(tuple(length for length in lengths if length is not None))
    return plan(shape, lambda x: x[(slice(None), *cuts)])


def _upsample(op: Operation) -> Plan:
    """Plan ``upsample_nearest_neighbor`` by whole factors."""
    factors = op.number("scale_factor_height", 1.0), op.number("scale_factor_width", 1.0)
    if not all(1 <= each <= op.budget.limits.tensor and each == int(each) for each in factors):
        raise op.unsupported(f"upsampling by {factors[0]:g} and {factors[1]:g}")
    layer = op.as_layer("upsample")
    layer.params.scalingFactor.extend(int(each) for each in factors)
    return spatial.upsample(layer)


OPERATIONS: Mapping[str, Kind] = {
    "reshape": kind(_reshape, constants="shape"),
    "expand_dims": kind(_expand_dims, constants="axes"),
    "squeeze": kind(_squeeze, constants="axes"),
    "flatten2d": kind(_flatten, constants="axis"),
    "transpose": kind(_transpose, constants="perm"),
    "concat": kind(_concat, "values", constants="axis interleave"),
    "stack": kind(_stack, "values", constants="axis"),
    "split": kind(_split, constants="num_splits split_sizes axis"),
    "tile": kind(_tile, constants="reps"),
    "reverse": kind(_reverse, constants="axes"),
    "pad": kind(_pad, constants="pad mode constant_val"),
    "slice_by_index": kind(_slice_by_index, constants="begin end stride begin_mask end_mask squeeze_mask"),
    "slice_by_size": kind(_slice_by_size, constants="begin size"),
    "upsample_nearest_neighbor": kind(_upsample, constants="scale_factor_height scale_factor_width"),
}
