"""Finding the ink in a picture of one digit, and MNIST's recipe for placing it.

Everything that is not already 28×28 grayscale passes through here on its way from ``digits.read`` into the
loop. Rules: an estimate is a median or a quantile, never a mean, so that specks and scanner borders do not
move it; a faint stroke is ink if it stands out of the paper's own noise; the aspect is never changed; the
same pixels in give the same pixels out.

The recipe is LeCun, Cortes and Burges', http://yann.lecun.com/exdb/mnist/: "size normalized to fit in a
20x20 pixel box while preserving their aspect ratio […] centered in a 28x28 image by computing the center of
mass of the pixels". On MNIST's training images the centre of mass lies within 0.5 of index 14 on both axes
and the longer side is 20 on all but 3 of 20,000, so that is what is done here.
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
WORKING_SIDE = 512  # ink is searched at this size at most: a digit one twentieth as wide still has 25 pixels
MIN_CONTRAST = 8.0  # grey levels of 255; less than this between paper and ink is called blank
NOISE_SIGMAS = 4.0  # what rises this far out of the paper's noise is not paper
WEAK, STRONG = 0.25, 0.5  # shares of the ink's level: a stroke may fade to WEAK where it also reaches STRONG
SHADOWED = 0.2  # share of the picture's side: a digit that is found only without its shadow is as large at least
BORDERING = 0.1  # share of the border: a digit that lies along more of it may be a shadow
DEEPEST = 0.9  # quantile of what may be shadow that stands for it: soft edges of strokes are no shadow
BEYOND, BEYOND_SHARE = 0.2, 0.3  # of the step from paper to shadow, and of the ink: what lies beyond both is ink
RESAMPLE = Image.Resampling.HAMMING
FULL_INK_QUANTILE = 0.9  # quantile of the placed ink that becomes 255


class Placed(NamedTuple):
    """A digit placed as MNIST does: ``pixels`` ``(28, 28) uint8``; was its ink darker than its paper, its light uneven?

    ``evened`` is True where shadows were taken away, not for a mere slope of the light.
    """

    pixels: NDArray[np.uint8]
    dark_ink: bool
    evened: bool


class _Stroke(NamedTuple):
    """A digit found in a picture: ``ink`` ``(h, w)`` of 0 to 1, ``mask`` of its strokes, and ``outside``.

    ``outside`` is the share of the picture's border that is clear of the paper: a digit touches it here and there.
    """

    ink: Plane
    mask: Mask
    dark_ink: bool
    outside: float


def normalise(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels of ``place``."""
    return place(grey).pixels


def place(grey: NDArray[np.uint8]) -> Placed:
    """Place the digit in ``grey`` ``(h, w) uint8`` as MNIST does: ``(28, 28) uint8``, white ink on black.

    Any polarity and size. Raises BadImage when no ink stands out of the paper. A stroke that fills most of the
    picture (a 1 cropped to its very edge) cannot be told from paper: it is refused or read as its negative.
    """
    if grey.ndim != 2 or not grey.size:
        raise BadImage(f"expected a grey picture (h, w), got {grey.shape}; send a picture with one digit")
    plane = _working_size(grey)
    try:
        first = _stroke(light.without_slope(plane))
    except BadImage:
        if not (second := _in_shadow(plane)):
            raise
        return _placed(second, evened=True)
    if first.outside > BORDERING and (second := _in_shadow(plane)) and _is_third_level(plane, first.mask, second.mask):
        return _placed(second, evened=True)
    return _placed(first, evened=False)


def _in_shadow(plane: Plane) -> _Stroke | None:
    """The strokes once shadows are taken away, if there are any; what a shadow's edge leaves is small."""
    with suppress(BadImage):
        found = _stroke(light.without_shadows(plane))
        sides = np.count_nonzero(found.mask.any(0)), np.count_nonzero(found.mask.any(1))
        return found if max(sides) >= SHADOWED * min(plane.shape) else None
    return None


def _is_third_level(plane: Plane, first: Mask, ink: Mask) -> bool:
    """Is ``ink`` beyond both the paper and what was ``first`` taken for ink, as on paper that is partly in shadow?

    A digit that fills its picture has two levels only: what a map of the paper leaves of it is as dark as all of it.
    """
    paper, shade = plane[~first & ~ink], plane[first & ~ink]
    if not paper.size or not shade.size:
        return False
    level = float(np.median(paper))
    other = float(np.quantile(shade, DEEPEST if np.median(shade) > level else 1 - DEEPEST))
    place = (plane[ink] - level) / (other - level or 1.0)  # 0 is the paper, 1 what was taken for ink
    return bool(np.mean((place > 1 + BEYOND) | (place < -BEYOND)) > BEYOND_SHARE)


def _placed(stroke: _Stroke, *, evened: bool) -> Placed:
    return Placed(_centre(_fit(stroke.ink, stroke.mask)), stroke.dark_ink, evened)


def _stroke(plane: Plane) -> _Stroke:
    """The strokes on evenly lit paper. Raises BadImage where nothing stands out of it, or only dust does."""
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
        raise BadImage("the image holds only dust, expected a stroke; send a picture with one digit")
    ink = np.where(_grown(mask), np.clip(rise / level, 0, 1), 0).astype(np.float32)
    return _Stroke(ink, mask, dark_ink, _share_outside(mask))


def _share_outside(mask: Mask) -> float:
    outermost = (mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1])
    return float(np.mean(np.concatenate(outermost)))


def _working_size(grey: NDArray[np.uint8]) -> Plane:
    """``grey`` as float32, averaged down by a whole factor so that no side is over WORKING_SIDE."""
    factor = -(-max(grey.shape) // WORKING_SIDE)
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    return grey.astype(np.float32)


def _rise_over_paper(plane: Plane) -> tuple[Plane, bool]:
    """How far each pixel is from the paper's level towards the ink's, in grey levels (below 0: beyond paper).

    And whether the ink is the darker.

    Paper is what most pixels are. Only when ink and paper take nearly equal shares (a bold digit cropped
    tightly) is the border asked instead: it cannot be trusted alone, since scanners put dark frames there.
    """
    paper = np.median(plane)
    border = np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))
    if np.mean(np.abs(plane - paper) <= np.abs(plane - border)) < 0.6:
        paper = border
    rise = plane - paper
    dark_ink = bool(np.sum(rise * rise * rise, dtype=np.float64) <= 0)
    return -rise if dark_ink else rise, dark_ink


def _ink_level(rise: Plane, outstanding: Mask) -> float:
    """The level of full ink: the upper quartile of all that stands out of the paper."""
    if not outstanding.any():
        raise BadImage(
            f"the image is blank: no ink is clear of the paper (expected at least {MIN_CONTRAST:.0f} grey levels "
            f"and more than its noise, the farthest is {abs(rise.max()):.0f}); send a picture with one digit"
        )
    return float(np.quantile(rise[outstanding], 0.75))


def _grown(mask: Mask) -> Mask:
    """``mask`` and the ring of pixels round it: the soft edge of a stroke."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _fit(ink: Plane, mask: Mask) -> Plane:
    """``ink`` (0 to 1) cropped to the box of ``mask`` and resized so that its longer side is BOX."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    crop = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = crop.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = np.asarray(Image.fromarray(crop).resize(size, RESAMPLE), dtype=np.float32).clip(0)
    full = np.float32(np.quantile(fitted[fitted > 0.5 * fitted.max()], FULL_INK_QUANTILE))
    return np.minimum(fitted / full, np.float32(1))


def _centre(fitted: Plane) -> NDArray[np.uint8]:
    """``fitted`` (0 to 1, no side over BOX) on a black 28×28, its centre of mass at index 14 on both axes.

    The shift is whole pixels, as MNIST's is, and stops at the frame: no ink is lost.
    """
    frame = np.zeros((SIDE, SIDE), np.uint8)
    height, width = fitted.shape
    mass = fitted.sum()
    row = CENTRE - float(fitted.sum(1) @ np.arange(height)) / mass
    column = CENTRE - float(fitted.sum(0) @ np.arange(width)) / mass
    top, left = min(max(round(row), 0), SIDE - height), min(max(round(column), 0), SIDE - width)
    frame[top : top + height, left : left + width] = np.rint(fitted * 255)
    return frame
