"""Near copies: one drawing that was uploaded more than once, moved by some pixels or changed by some grey levels.

A fingerprint is the picture without faint pixels, moved so that its centre of mass is the middle (by fractions of a
pixel, so that a little noise moves it little), halved in size, with length 1. The distance of two fingerprints is
Euclidean.
"""

import numpy as np
from numpy.typing import NDArray

from models.family import Images

NEAREST = 0.06
"""Below this distance two drawings are one. On MNIST's last 10,000 training images no two are nearer than 0.073 (two
1s), and on four development writers none than 0.087. Noise of ±16 grey levels makes 0.055 or less of 99 % of copies.
"""
FAINT = 32  # of 255: fainter pixels are noise
SIDE, HALF = 28, 14
BLOCK = 512  # images that are worked on at once


def fingerprints(images: Images) -> NDArray[np.float32]:
    """One row of length 1 per image ``(n, 28, 28) uint8``: ``(n, 196) float32``. A blank image has zeros."""
    parts = [_fingerprints(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK)]
    return np.concatenate(parts) if parts else np.empty((0, HALF * HALF), np.float32)


def _fingerprints(images: Images) -> NDArray[np.float32]:
    ink = np.where(images < FAINT, 0, images).astype(np.float32)
    total = np.maximum(ink.sum(axis=(1, 2)), 1)
    grid, middle = np.arange(SIDE, dtype=np.float32), (SIDE - 1) / 2
    for axis in (1, 2):
        ink = _moved(ink, ink.sum(axis=3 - axis) @ grid / total - middle, axis)
    halved = ink.reshape(-1, HALF, 2, HALF, 2).mean(axis=(2, 4)).reshape(len(images), HALF * HALF)
    lengths = np.linalg.norm(halved, axis=1, keepdims=True)
    made: NDArray[np.float32] = (halved / np.maximum(lengths, np.float32(1e-9))).astype(np.float32)
    return made


def repeated(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows have a digest that another row has too: ``(n,) bool``."""
    order = np.argsort(digests)
    ordered = digests[order]
    same = ordered[1:] == ordered[:-1]
    found = np.zeros(len(digests), np.bool_)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return found


def pairs(prints: NDArray[np.float32], fresh: int = 0) -> NDArray[np.int64]:
    """Pairs ``(n, 2)`` of rows nearer than ``NEAREST``, the smaller row first; only those with a row from ``fresh``
    on, so that rows that were compared before are not compared again.
    """
    found, similar = [], 1 - NEAREST**2 / 2
    for start in range(fresh, len(prints), BLOCK):
        block = prints[start : start + BLOCK]
        later, earlier = np.nonzero(block @ prints[: start + len(block)].T > similar)
        later += start
        found.append(np.stack([earlier, later], axis=1)[earlier < later])
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _moved(images: NDArray[np.float32], by: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Each image sampled ``by`` pixels further along the axis, linearly; beyond the edge there is no ink."""
    whole = np.floor(by).astype(np.int64)
    share = (by - whole).astype(np.float32)[:, None, None]
    made: NDArray[np.float32] = (1 - share) * _taken(images, whole, axis) + share * _taken(images, whole + 1, axis)
    return made


def _taken(images: NDArray[np.float32], by: NDArray[np.int64], axis: int) -> NDArray[np.float32]:
    at = np.arange(SIDE) + by[:, None]
    inside = (at >= 0) & (at < SIDE)
    spread = np.expand_dims(np.clip(at, 0, SIDE - 1), 3 - axis), np.expand_dims(inside, 3 - axis)
    made: NDArray[np.float32] = np.take_along_axis(images, spread[0], axis) * spread[1]
    return made
