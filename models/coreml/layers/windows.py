"""Sliding windows for convolution and pooling: paddings, output sizes, and padded copies that lie channels last.

Formulas: ``ValidPadding``, ``SamePadding`` and ``PoolingLayerParams`` in NeuralNetwork.proto.
"""

from dataclasses import dataclass

import numpy as np

from .layer import Array, Layer, Shape


@dataclass(frozen=True, slots=True)
class Axis:
    """How windows lie along height or width; ``before`` and ``after`` are padded values."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    windows: int

    @property
    def needed(self) -> int:
        """How many padded values the windows reach over; may be fewer or more than there are."""
        return (self.windows - 1) * self.stride + (self.kernel - 1) * self.dilation + 1

    @property
    def extent(self) -> int:
        """How long the padded axis has to be."""
        return max(self.needed, self.before + self.size + self.after)

    def taps(self, offset: int) -> slice:
        """Return the values that are ``offset`` taps into their windows, one for each window."""
        first = offset * self.dilation
        return slice(first, first + (self.windows - 1) * self.stride + 1, self.stride)


def axes(layer: Layer, kernel: tuple[int, int], dilation: tuple[int, int], padding: str | None) -> tuple[Axis, Axis]:
    """Return the window axes (height, width) of ``layer`` for its padding mode: ``valid``, ``same`` or last pixel."""
    stride = layer.pair("stride", 1)
    sizes = layer.shape[-2:]
    if padding == "valid":
        top, bottom, left, right = layer.borders(layer.params.valid.paddingAmounts)
        edges = ((top, bottom), (left, right))
        found = [_valid(*each) for each in zip(sizes, kernel, stride, dilation, edges, strict=True)]
    elif padding == "same":
        heavy = bool(layer.params.same.asymmetryMode)
        found = [_same(*each, heavy) for each in zip(sizes, kernel, stride, dilation, strict=True)]
    elif padding == "includeLastPixel":
        found = _last_pixel(layer, kernel, stride)
    else:
        raise layer.malformed("no padding type is set")
    for axis in found:
        if axis.windows < 1:
            raise layer.malformed(f"a window of {(axis.kernel - 1) * axis.dilation + 1} does not fit into {axis.size}")
        layer.fits((axis.extent,), what="padded axis")
    return found[0], found[1]


def _valid(size: int, kernel: int, stride: int, dilation: int, edges: tuple[int, int]) -> Axis:
    room = size + sum(edges) - ((kernel - 1) * dilation + 1)
    return Axis(size, kernel, stride, dilation, *edges, windows=room // stride + 1 if room >= 0 else 0)


def _same(size: int, kernel: int, stride: int, dilation: int, top_left_heavy: bool) -> Axis:
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + (kernel - 1) * dilation + 1 - size)
    less, more = total // 2, total - total // 2
    edges = (more, less) if top_left_heavy else (less, more)
    return Axis(size, kernel, stride, dilation, *edges, windows=windows)


def _last_pixel(layer: Layer, kernel: tuple[int, int], stride: tuple[int, int]) -> list[Axis]:
    """Return axes whose last window includes the last pixel, as Caffe's pooling does."""
    amounts = tuple(layer.params.includeLastPixel.paddingAmounts) or (0, 0)
    if len(amounts) != 2:
        raise layer.malformed(f"expected two padding amounts, got {len(amounts)}")
    found = []
    for size, k, s, pad in zip(layer.shape[-2:], kernel, stride, amounts, strict=True):
        room = size + 2 * pad - k
        windows = -(-room // s) + 1 if room >= 0 else 0
        if any(amounts) and (windows - 1) * s >= size + pad:
            windows -= 1
        found.append(Axis(size, k, s, 1, pad, pad, windows))
    return found


def images(x: Array, shape: Shape) -> Array:
    """Return ``(n, …, C, H, W)`` as ``(N, H, W, C)`` without copying where the array already lies so."""
    return x.reshape(-1, *shape[-3:]).transpose(0, 2, 3, 1)


def tensor(x: Array, count: int, shape: Shape) -> Array:
    """Return ``(N, H, W, C)`` as ``(count, *shape)``: addressed as Core ML does, lying channels last."""
    return x.transpose(0, 3, 1, 2).reshape(count, *shape)


def padded(x: Array, height: Axis, width: Axis, value: float) -> Array:
    """Return ``(N, H, W, C)`` images with their borders filled up as far as the windows reach."""
    if height.before == width.before == 0 and height.needed <= height.size and width.needed <= width.size:
        return x
    result = np.full((x.shape[0], height.extent, width.extent, x.shape[3]), value, dtype=np.float32)
    inside = (slice(height.before, height.before + height.size), slice(width.before, width.before + width.size))
    result[:, inside[0], inside[1]] = x
    return result
