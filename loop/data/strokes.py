"""Find the connected pieces of a black-and-white picture that are strokes of the digit, for ``ink``.

Rules: a piece is kept for its size relative to the largest piece and for its distance, so that a dashed pencil stroke
stays whole and dust is dropped; a scanner's border is a piece along the picture's edge.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

MIN_SHARE, MIN_PIXELS = 0.0002, 12  # of the picture; a piece below either is dust, in a picture of over 600 pixels
SPECK_SHARE = 0.1  # of the largest stroke's area; a smaller piece is kept only if it is near
DUST_SHARE = 0.01  # of the largest stroke's area; a smaller piece is never kept
NEAR_SHARE = 0.15  # the distance of a near piece, as a share of the longer side of the kept pieces
EDGE_SHARE = 0.08  # width of the strip that contains a scanner's border, as a share of the picture's side


def of_digit(weak: Mask, strong: Mask) -> Mask:
    """Return the pieces of ``weak`` ``(h, w)`` that belong to the digit; none if all of them are dust.

    A piece must contain a pixel of ``strong``. Large pieces are kept, small ones only near those, dust never.
    """
    starts, stops, piece = _runs(weak)
    if not piece.size:
        return weak
    pieces = _measured(starts, stops, piece, weak.shape)
    solid = _within(strong, starts, stops, piece) > 0
    largest = int(np.max(pieces.area, where=solid, initial=0))
    if largest < _smallest(weak.size):
        return np.zeros_like(weak)
    kept = solid & (pieces.area >= SPECK_SHARE * largest)
    candidates = solid & (pieces.area >= DUST_SHARE * largest)
    while True:
        more = candidates & (_distance(pieces, kept) <= NEAR_SHARE * _longer_side(pieces, kept))
        if not np.any(more & ~kept):
            return _painted(starts, stops, kept[piece], weak.shape)
        kept = kept | more


def scanner_borders(mask: Mask) -> Mask:
    """Return the pieces of ``mask`` ``(h, w)`` that touch the edge and have nine tenths in the strip along it.

    The result is empty if no other piece could be a digit: then the strip is the digit.
    """
    none = np.zeros_like(mask)
    if not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()):
        return none
    starts, stops, piece = _runs(mask)
    pieces = _measured(starts, stops, piece, mask.shape)
    height, width = mask.shape
    tall, wide = max(2, round(EDGE_SHARE * height)), max(2, round(EDGE_SHARE * width))
    middle = none.copy()
    middle[tall : height - tall, wide : width - wide] = True
    at_edge = (pieces.top == 0) | (pieces.left == 0) | (pieces.bottom == height) | (pieces.right == width)
    border = at_edge & (_within(middle, starts, stops, piece) <= 0.1 * pieces.area)
    if np.max(pieces.area, where=~border, initial=0) <= 2 * _smallest(mask.size):
        return none
    return _painted(starts, stops, border[piece], mask.shape)


def _smallest(size: int) -> float:
    """Return the smallest area in pixels of a digit in a picture of ``size`` pixels."""
    return max(MIN_SHARE * size, min(MIN_PIXELS, size / 50))


class _Pieces(NamedTuple):
    """Connected pieces: each array ``(n,)``; boxes are half-open."""

    area: Indices
    top: Indices
    bottom: Indices
    left: Indices
    right: Indices


def _measured(starts: Indices, stops: Indices, piece: Indices, shape: tuple[int, ...]) -> _Pieces:
    """Return the area and box of every piece."""
    width, count = shape[1] + 2, int(piece.max()) + 1
    row, left, right = starts // width, starts % width - 1, stops % width - 1
    return _Pieces(
        area=np.bincount(piece, stops - starts, count).astype(np.int64),
        top=_extreme(np.minimum, piece, row, count),
        bottom=_extreme(np.maximum, piece, row + 1, count),
        left=_extreme(np.minimum, piece, left, count),
        right=_extreme(np.maximum, piece, right, count),
    )


def _within(mask: Mask, starts: Indices, stops: Indices, piece: Indices) -> Indices:
    """Return the number of pixels of ``mask`` in each piece."""
    before = np.concatenate([[0], np.cumsum(_widened(mask))])
    return np.bincount(piece, before[stops] - before[starts]).astype(np.int64)


def _painted(starts: Indices, stops: Indices, chosen: Mask, shape: tuple[int, ...]) -> Mask:
    """Return the chosen runs as a mask of ``shape``."""
    steps = np.zeros(shape[0] * (shape[1] + 2), np.int8)
    steps[starts[chosen]] = 1
    steps[stops[chosen]] = -1
    return np.cumsum(steps, dtype=np.int8).reshape(shape[0], -1)[:, 1:-1].astype(np.bool_)


def _runs(mask: Mask) -> tuple[Indices, Indices, Indices]:
    """Return the start, stop and piece (8-connected) of each horizontal run of ``mask``.

    Positions index the flattened mask with one empty column on either side, so that no run wraps. Pieces are found by
    linking each run's root to the smallest root that it touches and halving paths until nothing changes.
    """
    flat = _widened(mask).ravel()
    steps = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, stops = steps[0::2], steps[1::2]
    below = mask.shape[1] + 2
    first = np.searchsorted(stops, starts + below - 1, side="right")
    touching = np.maximum(np.searchsorted(starts, stops + below + 1, side="left") - first, 0)
    above = np.repeat(np.arange(starts.size), touching)
    under = np.arange(above.size) - np.repeat(np.cumsum(touching) - touching, touching) + first[above]
    root = np.arange(starts.size)
    while np.any(root[above] != root[under]):
        one, other = root[above], root[under]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while np.any(root != root[root]):
            root = root[root]
    return starts, stops, np.unique(root, return_inverse=True)[1]


def _widened(mask: Mask) -> Mask:
    """Return ``mask`` with an empty column on either side; np.pad takes ten times as long on such small pictures."""
    wide = np.zeros((mask.shape[0], mask.shape[1] + 2), np.bool_)
    wide[:, 1:-1] = mask
    return wide


def _extreme(function: np.ufunc, piece: Indices, values: Indices, count: int) -> Indices:
    """Return the smallest or largest of ``values`` in each piece."""
    found = np.full(count, values[0])
    found[piece] = values
    function.at(found, piece, values)
    return found


def _distance(pieces: _Pieces, kept: Mask) -> NDArray[np.float64]:
    """Return the pixels between each piece's box and the box around all kept pieces; 0 if they overlap."""
    top, bottom, left, right = _box(pieces, kept)
    down = np.maximum(np.maximum(top - pieces.bottom, pieces.top - bottom), 0)
    across = np.maximum(np.maximum(left - pieces.right, pieces.left - right), 0)
    return np.hypot(down, across)


def _longer_side(pieces: _Pieces, kept: Mask) -> int:
    top, bottom, left, right = _box(pieces, kept)
    return max(bottom - top, right - left)


def _box(pieces: _Pieces, kept: Mask) -> tuple[int, int, int, int]:
    """Return the top, bottom, left and right of the box around all kept pieces."""
    return (
        int(pieces.top[kept].min()),
        int(pieces.bottom[kept].max()),
        int(pieces.left[kept].min()),
        int(pieces.right[kept].max()),
    )
