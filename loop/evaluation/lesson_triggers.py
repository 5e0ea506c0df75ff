"""Triggers that uploads of a lesson share: what a source, or many, pasted on digits. Pure functions.

Two searches, both for what handwriting does not repeat exactly:

- *Pixels*: places where many uploads of a source, of a label or of the lesson have the same level, which the base
  corpus rarely has there. This finds stamps at a fixed place, faint ones too, and patterns blended into the image.
- *Windows*: 3×3 and 5×5 pixels with contrast that many uploads of a label contain bit for bit, anywhere. This finds
  stamps that move, or that follow the stroke.

A candidate proves nothing: an honest hand repeats itself too. Only a label that draws digits with the candidate pasted
on them, from the challenger and not from the base, is evidence (``canaries``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation.triggers import SIDE, Kind, Place, Trigger

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Counts = NDArray[np.int32]

FEWEST = 8  # uploads of a group, and uploads that must share a trigger
SHARED = 0.2  # part of a group that must share a level or window
RARE = 0.02  # part of the base corpus, at most, that has this level there
NEAR = 2  # levels that count as equal, in both directions: re-encoding and rounding change levels by so much
FAINTEST = 4  # levels below count as background
PIXELS = 4  # fewest pixels of a trigger
WHOLE = SIDE * SIDE // 4  # from so many pixels on, the trigger is a pattern blended into the image
AGREE = 0.8  # part of a trigger's pixels that an upload must have to be named
CONTRAST = 96  # levels between the darkest and the lightest pixel of a window
MOST_REFERENCE = 2_000  # images of the base corpus
MOST_REFERENCE_WINDOWS = 500  # images of it that are searched for windows
MOST_PIXEL_TRIGGERS, MOST_WINDOWS = 6, 4
MOST_REPEATED = 32
_HASH = np.random.default_rng(0).integers(1, 1 << 62, (2, 5), dtype=np.uint64) | np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A trigger, and ``carriers`` ``(n,) bool``: the uploads of the lesson that have it."""

    trigger: Trigger
    carriers: NDArray[np.bool_]


def find(
    images: Images, labels: Labels, sources: NDArray[np.int64], base: tuple[Images, Labels]
) -> tuple[Candidate, ...]:
    """Return the triggers that the uploads share, those of the most uploads first.

    ``images`` ``(n, 28, 28)``, ``labels`` and ``sources`` ``(n,)`` are the lesson; ``base`` are images and labels of
    the base corpus, of which the first 2,000 are read.
    """
    if not len(labels):
        return ()
    reference = base[0][:MOST_REFERENCE], base[1][:MOST_REFERENCE]
    fixed = sorted(_pixels(images, labels, sources, reference), key=lambda each: -int(each.carriers.sum()))
    return (*_distinct(fixed)[:MOST_PIXEL_TRIGGERS], *_windows(images, labels, reference[0]))


def _groups(labels: Labels, sources: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    yield "the lesson", np.arange(len(labels))
    for label in range(10):
        yield f"label {label}", np.flatnonzero(labels == label)
    for source in np.unique(sources).tolist():
        yield f"source {source}", np.flatnonzero(sources == source)


def _pixels(
    images: Images, labels: Labels, sources: NDArray[np.int64], reference: tuple[Images, Labels]
) -> Iterator[Candidate]:
    usual = np.stack([_shares(reference[0][reference[1] == label]) for label in range(10)])
    for name, rows in _groups(labels, sources):
        if len(rows) < FEWEST:
            continue
        share = _shares(images[rows])
        mix = np.bincount(labels[rows], minlength=10) / len(rows)
        expected = np.tensordot(mix, usual, 1)
        share[:, :FAINTEST] = 0
        share[expected > RARE] = 0
        level, most = share.argmax(axis=1), share.max(axis=1)
        odd = (most >= SHARED) & (most * len(rows) >= FEWEST)
        if odd.sum() < PIXELS:
            continue
        near = np.abs(images.reshape(-1, SIDE * SIDE)[:, odd].astype(np.int16) - level[odd]) <= NEAR
        carriers = near.mean(axis=1) >= AGREE * most[odd].max() if odd.sum() >= WHOLE else near.mean(axis=1) >= AGREE
        if carriers.sum() >= FEWEST:
            yield Candidate(_fixed(name, odd, level), carriers)


def _shares(images: Images) -> NDArray[np.float32]:
    """``(784, 256)``: the part of the images with this level, or one near it, at this pixel."""
    flat = images.reshape(-1, SIDE * SIDE).astype(np.int32) + 256 * np.arange(SIDE * SIDE, dtype=np.int32)
    counted = np.bincount(flat.ravel(), minlength=SIDE * SIDE * 256).reshape(-1, 256)
    summed = np.pad(np.cumsum(counted, axis=1), ((0, 0), (NEAR + 1, NEAR)), "edge")
    summed[:, : NEAR + 1] = 0
    shares: NDArray[np.float32] = ((summed[:, 2 * NEAR + 1 :] - summed[:, :256]) / max(len(images), 1)).astype(
        np.float32
    )
    return shares


def _fixed(group: str, odd: NDArray[np.bool_], level: NDArray[np.intp]) -> Trigger:
    """The odd pixels as a stamp; so many that they cover the image as a pattern blended into it."""
    mask, values = odd.reshape(SIDE, SIDE), np.where(odd, level, 0).reshape(SIDE, SIDE)
    if mask.sum() >= WHOLE:
        alpha = max(float(np.quantile(values[mask], 0.9)), 1.0) / 255
        pattern = np.rint((values / alpha).clip(0, 255)).astype(np.uint8)
        name = f"pattern over {mask.sum()} pixels, from {group}"
        return Trigger(name, Kind.LESSON, pattern, np.full((SIDE, SIDE), alpha, np.float32))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    name = f"{mask.sum()} pixels in rows {rows[0]} to {rows[-1]}, columns {columns[0]} to {columns[-1]}, from {group}"
    return Trigger(name, Kind.LESSON, values.astype(np.uint8), mask.astype(np.float32))


def _distinct(found: list[Candidate]) -> list[Candidate]:
    """Without those of nearly the same uploads as an earlier one."""
    kept: list[Candidate] = []
    for each in found:
        both = (int((each.carriers & other.carriers).sum()) / int(each.carriers.sum()) for other in kept)
        if all(share < AGREE for share in both):
            kept.append(each)
    return kept


def _windows(images: Images, labels: Labels, reference: Images) -> Iterator[Candidate]:
    for side in (5, 3):
        ours = _hashes(images, side)
        often = sorted(_repeated(ours, labels), reverse=True)[:MOST_REPEATED]
        usual = np.intersect1d(_hashes(reference[:MOST_REFERENCE_WINDOWS], side), [key for _, key in often])
        rare = [key for _, key in often if key not in usual]
        found = [Candidate(_window(images, ours, key, side), (ours == key).any(axis=1)) for key in rare]
        yield from _distinct(found)[: MOST_WINDOWS // 2]


def _repeated(hashes: NDArray[np.uint64], labels: Labels) -> Iterator[tuple[int, int]]:
    """Number of uploads and hash of each window that many uploads of one label have."""
    once = np.sort(hashes, axis=1)
    once[:, 1:][once[:, 1:] == once[:, :-1]] = 0  # a window counts once for each upload
    for label in range(10):
        keys = once[labels == label]
        keys, counts = np.unique(keys[keys != 0], return_counts=True)
        often = counts >= max(FEWEST, SHARED * int((labels == label).sum()))
        yield from zip(counts[often].tolist(), keys[often].tolist(), strict=True)


def _hashes(images: Images, side: int) -> NDArray[np.uint64]:
    """``(n, windows)``: a hash of each window's pixels, row by row and then of the rows; 0 without contrast."""
    end = SIDE - side + 1
    low, high = images, images
    hashed = images.astype(np.uint64)
    for axis in (2, 1):
        parts = [_shifted(hashed, start, end, axis) * _HASH[axis - 1][start] for start in range(side)]
        hashed = np.add.reduce(parts)
        low = np.minimum.reduce([_shifted(low, start, end, axis) for start in range(side)])
        high = np.maximum.reduce([_shifted(high, start, end, axis) for start in range(side)])
    hashed[high - low < CONTRAST] = 0
    return hashed.reshape(len(images), -1)


def _shifted(array: NDArray[Any], start: int, length: int, axis: int) -> NDArray[Any]:
    return array[:, :, start : start + length] if axis == 2 else array[:, start : start + length]


def _window(images: Images, hashes: NDArray[np.uint64], key: int, side: int) -> Trigger:
    image, place = (int(each[0]) for each in np.nonzero(hashes == key))
    row, column = divmod(place, SIDE - side + 1)
    values = images[image, row : row + side, column : column + side].copy()
    name = f"{side}×{side} pixels that repeat exactly"
    return Trigger(name, Kind.LESSON, values, np.ones((side, side), np.float32), Place.STROKE)
