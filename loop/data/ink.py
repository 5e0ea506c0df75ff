"""Find the ink in a picture of one digit, and place it by MNIST's recipe.

``digits.read`` passes everything that is not already 28×28 grayscale through this module. Rules: an estimate is a
median or a quantile, never a mean, so that specks and scanner borders do not change it; a faint stroke is ink if it
exceeds the paper's own noise; the aspect ratio is never changed; equal input pixels give equal output pixels.

The recipe is LeCun, Cortes and Burges', http://yann.lecun.com/exdb/mnist/: "size normalized to fit in a
20x20 pixel box while preserving their aspect ratio […] centered in a 28x28 image by computing the center of
mass of the pixels". On MNIST's training images the centre of mass lies within 0.5 of index 14 on both axes
and the longer side is 20 on all but 3 of 20,000; this module does the same.
"""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import light, strokes
from loop.errors import BadImage

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE, BOX, CENTRE = 28, 20, 14
WORKING_SIDE = 512  # the largest size for finding ink: a digit one twentieth as wide still has 25 pixels
MIN_CONTRAST = 8.0  # grey levels of 255 between paper and ink; a picture with less is blank
NOISE_SIGMAS = 4.0  # pixels that differ this much from the paper, in deviations of its noise, are not paper
WEAK, STRONG = 0.25, 0.5  # shares of the ink's level: a stroke may fade to WEAK where it also reaches STRONG
MIN_SHADOWED_SIDE = 0.2  # share of the picture's side: the smallest digit that is accepted after removing shadows
MAX_BORDER_SHARE = 0.1  # a digit on more of the border than this may be a shadow
SHADOW_QUANTILE = 0.9  # of the pixels that may be a shadow: its level, without the soft edges of strokes
BEYOND, BEYOND_SHARE = 0.2, 0.3  # of the step from paper to shadow, and of the ink that must be beyond both levels
RESAMPLE = Image.Resampling.HAMMING
FULL_INK_QUANTILE = 0.9  # quantile of the placed ink that becomes 255


class Placed(NamedTuple):
    """A digit placed as in MNIST: ``pixels`` ``(28, 28) uint8``; ``dark_ink`` if its ink was darker than its paper.

    ``evened`` is True if shadows were removed, but not for a mere gradient of the light.
    """

    pixels: NDArray[np.uint8]
    dark_ink: bool
    evened: bool


class _Stroke(NamedTuple):
    """A digit found in a picture: ``ink`` ``(h, w)`` of 0 to 1, ``mask`` of its strokes, and ``outside``.

    ``outside`` is the share of the picture's border that is ink: a digit touches only parts of the border.
    """

    ink: Plane
    mask: Mask
    dark_ink: bool
    outside: float


def normalise(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of ``place``."""
    return place(grey).pixels


def place(grey: NDArray[np.uint8]) -> Placed:
    """Place the digit in ``grey`` ``(h, w) uint8`` as in MNIST: ``(28, 28) uint8``, white ink on black.

    Accepts any polarity and size. Raises BadImage if no ink differs from the paper. A stroke that fills most of the
    picture (a 1 cropped to its edge) cannot be distinguished from paper: it is refused or read as its negative.
    """
    if grey.ndim != 2 or not grey.size:
        raise BadImage(f"expected a grey picture (h, w), got {grey.shape}; send a picture with one digit")
    plane = _working_size(grey)
    try:
        first = _stroke(light.without_gradient(plane))
    except BadImage:
        if not (second := _in_shadow(plane)):
            raise
        return _placed(second, evened=True)
    if (
        first.outside > MAX_BORDER_SHARE
        and (second := _in_shadow(plane))
        and _is_third_level(plane, first.mask, second.mask)
    ):
        return _placed(second, evened=True)
    return _placed(first, evened=False)


def _in_shadow(plane: Plane) -> _Stroke | None:
    """Return the strokes after shadows are removed, if any; residues of a shadow's edge are too small to count."""
    with suppress(BadImage):
        found = _stroke(light.without_shadows(plane))
        sides = np.count_nonzero(found.mask.any(0)), np.count_nonzero(found.mask.any(1))
        return found if max(sides) >= MIN_SHADOWED_SIDE * min(plane.shape) else None
    return None


def _is_third_level(plane: Plane, first: Mask, ink: Mask) -> bool:
    """Whether ``ink`` is beyond the levels of both the paper and the ``first`` ink found, as on partly shadowed paper.

    A digit that fills its picture has only two levels: the ink that remains of it is as dark as the first ink.
    """
    paper, shade = plane[~first & ~ink], plane[first & ~ink]
    if not paper.size or not shade.size:
        return False
    level = float(np.median(paper))
    other = float(np.quantile(shade, SHADOW_QUANTILE if np.median(shade) > level else 1 - SHADOW_QUANTILE))
    place = (plane[ink] - level) / (other - level or 1.0)  # 0 is the paper, 1 the first ink
    return bool(np.mean((place > 1 + BEYOND) | (place < -BEYOND)) > BEYOND_SHARE)


def _placed(stroke: _Stroke, *, evened: bool) -> Placed:
    return Placed(_centre(_fit(stroke.ink, stroke.mask)), stroke.dark_ink, evened)


def _stroke(plane: Plane) -> _Stroke:
    """Return the strokes on evenly lit paper. Raises BadImage if the picture is blank or contains only dust."""
    rise, dark_ink = _rise_over_paper(plane)
    noise = light.noise(rise)
    outstanding = rise > max(MIN_CONTRAST, NOISE_SIGMAS * noise)
    borders = strokes.scanner_borders(outstanding)
    if borders.any():
        rise[_grown(borders)] = 0
    level = _ink_level(rise, outstanding & ~borders)
    weak = rise > max(WEAK * level, min(NOISE_SIGMAS * noise, STRONG * level))
    mask = strokes.of_digit(weak, rise > STRONG * level)
    if not mask.any():
        raise BadImage("expected a stroke, got only dust; send a picture with one digit")
    ink = np.where(_grown(mask), np.clip(rise / level, 0, 1), 0).astype(np.float32)
    return _Stroke(ink, mask, dark_ink, _share_outside(mask))


def _share_outside(mask: Mask) -> float:
    outermost = (mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1])
    return float(np.mean(np.concatenate(outermost)))


def _working_size(grey: NDArray[np.uint8]) -> Plane:
    """Return ``grey`` as float32, reduced by a whole factor so that no side exceeds WORKING_SIDE."""
    factor = -(-max(grey.shape) // WORKING_SIDE)
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    return grey.astype(np.float32)


def _rise_over_paper(plane: Plane) -> tuple[Plane, bool]:
    """Return each pixel's distance from paper towards ink in grey levels, and whether the ink is darker.

    A distance below 0 is on the other side of the paper's level. Most pixels are paper. If ink and paper have nearly
    equal shares (a bold digit cropped tightly), the border gives the paper's level. The border alone is not reliable,
    because scanners add dark frames.
    """
    paper = np.median(plane)
    border = np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))
    if np.mean(np.abs(plane - paper) <= np.abs(plane - border)) < 0.6:
        paper = border
    rise = plane - paper
    dark_ink = bool(np.sum(rise * rise * rise, dtype=np.float64) <= 0)
    return -rise if dark_ink else rise, dark_ink


def _ink_level(rise: Plane, outstanding: Mask) -> float:
    """Return the level of full ink: the upper quartile of all pixels that differ from the paper."""
    if not outstanding.any():
        raise BadImage(
            f"the image is blank: no ink differs from the paper (expected at least {MIN_CONTRAST:.0f} grey levels "
            f"and more than its noise, got at most {abs(rise.max()):.0f}); send a picture with one digit"
        )
    return float(np.quantile(rise[outstanding], 0.75))


def _grown(mask: Mask) -> Mask:
    """Return ``mask`` with the pixels around it: the soft edge of a stroke."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _fit(ink: Plane, mask: Mask) -> Plane:
    """Return ``ink`` (0 to 1), cropped to the box of ``mask`` and resized so that its longer side is BOX."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    crop = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = crop.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = np.asarray(Image.fromarray(crop).resize(size, RESAMPLE), dtype=np.float32).clip(0)
    full = np.float32(np.quantile(fitted[fitted > 0.5 * fitted.max()], FULL_INK_QUANTILE))
    return np.minimum(fitted / full, np.float32(1))


def _centre(fitted: Plane) -> NDArray[np.uint8]:
    """Return ``fitted`` (0 to 1, no side over BOX) on black 28×28, its centre of mass at index 14 on both axes.

    The shift is a whole number of pixels, as in MNIST, and stops at the edge, so that no ink is lost. The centre is
    computed from the grey levels, which are integers: a sum of floats depends on its order, and a phone must get the
    same shift.
    """
    frame = np.zeros((SIDE, SIDE), np.uint8)
    height, width = fitted.shape
    levels = np.rint(fitted * 255).astype(np.int64)
    mass = int(levels.sum())
    row = CENTRE - int(levels.sum(1) @ np.arange(height)) / mass
    column = CENTRE - int(levels.sum(0) @ np.arange(width)) / mass
    top, left = min(max(round(row), 0), SIDE - height), min(max(round(column), 0), SIDE - width)
    frame[top : top + height, left : left + width] = levels
    return frame
