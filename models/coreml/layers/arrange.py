"""Layers that join, cut, repeat or reorder values without computing any.

Formulas: the messages of these names in NeuralNetwork.proto.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .layer import Array, Layer, Plan, Shape, plan


def concat(layer: Layer) -> Plan:
    """Plan ``concat`` along the channels, or along the sequence (axis -5)."""
    sequence = layer.params.sequenceConcat
    layer.expect(range(1, 10_000), rank=5 if sequence else 3)
    return _joined(layer, -5 if sequence else -3)


def concat_nd(layer: Layer) -> Plan:
    """Plan ``concatND`` along any axis."""
    layer.expect(range(1, 10_000), rank=1)
    return _joined(layer, layer.axis(layer.params.axis))


def _joined(layer: Layer, axis: int) -> Plan:
    def rest(shape: Shape) -> Shape:
        return tuple(0 if i - len(shape) == axis else size for i, size in enumerate(shape))

    if len({rest(shape) for shape in layer.shapes}) != 1:
        raise layer.malformed(f"shapes {layer.shapes[:8]} differ beside axis {axis}")
    shape = list(layer.shape)
    shape[axis] = sum(each[axis] for each in layer.shapes)
    return plan(layer.fits(tuple(shape)), lambda *tensors: np.concatenate(_same_images(tensors), axis=axis))


def _same_images(tensors: tuple[Array, ...]) -> list[Array]:
    """Return the tensors with constants repeated for every image."""
    count = max(x.shape[0] for x in tensors)
    return [np.broadcast_to(x, (count, *x.shape[1:])) for x in tensors]


def stack(layer: Layer) -> Plan:
    """Plan ``stack``: equal shapes along a new axis."""
    layer.expect(range(1, 10_000))
    rank = len(layer.shape) + 1
    if len(set(layer.shapes)) != 1:
        raise layer.malformed(f"shapes {layer.shapes[:8]} differ")
    axis = layer.axis(layer.params.axis, rank)
    shape = list(layer.shape)
    shape.insert(rank + axis, len(layer.shapes))
    return plan(layer.fits(tuple(shape)), lambda *tensors: np.stack(_same_images(tensors), axis=axis))


def split(layer: Layer) -> Plan:
    """Plan ``split`` of the channels into equal parts."""
    count = layer.params.nOutputs
    if len(layer.shapes) != 1 or len(layer.shape) < 3:
        raise layer.malformed(f"expected an input of rank 3 or more, got shapes {layer.shapes[:8]}")
    if count != layer.outputs or count < 1 or layer.shape[-3] % count:
        raise layer.malformed(f"expected a divisor of {layer.shape[-3]} that is the number of outputs, got {count}")
    return _parted(layer, -3, [layer.shape[-3] // count] * count)


def split_nd(layer: Layer) -> Plan:
    """Plan ``splitND`` along any axis into parts of stated sizes, or of sizes that differ by one at most."""
    layer.known(1, "sizes")
    if len(layer.shapes) != 1:
        raise layer.malformed("expected an input, got none")
    axis, count = layer.axis(layer.params.axis), layer.params.numSplits
    sizes = list(layer.params.splitSizes)
    if not sizes:
        if count != layer.outputs:
            raise layer.malformed(f"expected {layer.outputs} parts, as many as outputs, got {count}")
        sizes = [(layer.shape[axis] + count - 1 - part) // count for part in range(count)]
    return _parted(layer, axis, sizes)


def _parted(layer: Layer, axis: int, sizes: Sequence[int]) -> Plan:
    if len(layer.shapes) != 1 or len(sizes) != layer.outputs:
        raise layer.malformed(f"expected 1 input and {len(sizes)} outputs, got {len(layer.shapes)} and {layer.outputs}")
    if min(sizes) < 1 or sum(sizes) != layer.shape[axis]:
        raise layer.malformed(f"parts {list(sizes)[:8]} do not make up {layer.shape[axis]}")
    shapes = []
    for size in sizes:
        shape = list(layer.shape)
        shape[axis] = size
        shapes.append(tuple(shape))
    cuts = np.cumsum(sizes)[:-1].tolist()
    return Plan(tuple(shapes), lambda x: tuple(np.split(x, cuts, axis=axis)), layer.shape[axis])


def tile(layer: Layer) -> Plan:
    """Plan ``tile``: each axis repeated; fewer repetitions than axes belong to the last ones."""
    layer.known(1, "repetitions")
    layer.expect(1)
    repeats = tuple(layer.params.reps)
    if not repeats or min(repeats) < 1 or len(repeats) > len(layer.shape):
        raise layer.malformed(f"expected 1 to {len(layer.shape)} positive repetitions, got {repeats[:8]}")
    every = (*(1,) * (len(layer.shape) - len(repeats)), *repeats)
    shape = tuple(size * times for size, times in zip(layer.shape, every, strict=True))
    return plan(layer.fits(shape), lambda x: np.tile(x, (1, *every)))


def reverse(layer: Layer) -> Plan:
    """Plan ``reverse`` of the axes that are marked."""
    layer.expect(1)
    marks = tuple(layer.params.reverseDim)
    if len(marks) != len(layer.shape):
        raise layer.malformed(f"expected a mark for each of {len(layer.shape)} axes, got {len(marks)}")
    axes = tuple(i - len(marks) for i, mark in enumerate(marks) if mark)
    return plan(layer.shape, lambda x: np.flip(x, axes))


def reorganize(layer: Layer) -> Plan:
    """Plan ``reorganizeData``: space to depth, depth to space (blocks outermost in the channels), or pixel shuffle."""
    layer.expect(1, rank=3)
    params, block = layer.params, layer.params.blockSize
    *leading, channels, height, width = layer.shape
    if block < 2 or block > layer.budget.limits.tensor:
        raise layer.malformed(f"expected a block size from 2, got {block}")
    if params.mode == 0:
        if height % block or width % block:
            raise layer.malformed(f"blocks of {block} do not fill {layer.shape}")
        parts: Shape = (channels, height // block, block, width // block, block)
        order: Shape = (2, 4, 0, 1, 3)
        shape: Shape = (channels * block * block, height // block, width // block)
    elif params.mode in (1, 2):
        depth = channels // (block * block)
        if channels % (block * block):
            raise layer.malformed(f"{channels} channels are no multiple of {block * block}")
        parts = (block, block, depth, height, width) if params.mode == 1 else (depth, block, block, height, width)
        order = (2, 3, 0, 4, 1) if params.mode == 1 else (0, 3, 1, 4, 2)
        shape = (depth, height * block, width * block)
    else:
        raise layer.unsupported(f"reorganisation {params.mode}")
    whole = layer.fits((*leading, *shape))
    lifted = (0, *(axis + 1 for axis in order))
    return plan(whole, lambda x: x.reshape(-1, *parts).transpose(lifted).reshape(x.shape[0], *whole))


LAYERS: dict[str, Callable[[Layer], Plan]] = {
    "concat": concat,
    "concatND": concat_nd,
    "stack": stack,
    "split": split,
    "splitND": split_nd,
    "tile": tile,
    "reverse": reverse,
    "reorganizeData": reorganize,
}
