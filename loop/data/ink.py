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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import strokes
from loop.errors import BadImage

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE, BOX, CENTRE = 28, 20, 14
WORKING_SIDE = 512  # ink is searched at this size at most: a digit one twentieth as wide still has 25 pixels
MIN_CONTRAST = 8.0  # grey levels of 255; less than this between paper and ink is called blank
NOISE_SIGMAS = 4.0  # what rises this far out of the paper's noise is not paper
WEAK, STRONG = 0.25, 0.5  # shares of the ink's level: a stroke may fade to WEAK where it also reaches STRONG
BOLD_SHARE = 0.25  # share of the picture
UNEVEN_GREY_LEVELS = 4.0  # grey levels of spread in the paper above which a slope of the light is looked for
RESAMPLE = Image.Resampling.HAMMING
FULL_INK_QUANTILE = 0.9  # quantile of the placed ink that becomes 255


def normalise(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Place the digit in ``grey`` ``(h, w) uint8`` as MNIST does: ``(28, 28) uint8``, white ink on black.

    Any polarity and size. Raises BadImage when no ink stands out of the paper. A stroke that fills most of the
    picture (a 1 cropped to its very edge) cannot be told from paper: it is refused or read as its negative.
    """
    if grey.ndim != 2 or not grey.size:
        raise BadImage(f"expected a grey picture (h, w), got {grey.shape}; send a picture with one digit")
    rise = _rise_over_paper(_working_size(grey))
    noise = _noise(rise)
    outstanding = rise > max(MIN_CONTRAST, NOISE_SIGMAS * noise)
    borders = strokes.scanner_borders(outstanding)
    if borders.any():
        rise[_grown(borders)] = 0
    level = _ink_level(rise, outstanding & ~borders)
    weak = rise > max(WEAK * level, min(NOISE_SIGMAS * noise, STRONG * level))
    ink = strokes.of_digit(weak, rise > STRONG * level)
    if not ink.any():
        raise BadImage("the image holds only dust, expected a stroke; send a picture with one digit")
    return _centre(_fit(np.where(_grown(ink), np.clip(rise / level, 0, 1), 0).astype(np.float32), ink))


def _working_size(grey: NDArray[np.uint8]) -> Plane:
    """``grey`` as float32, averaged down by a whole factor so that no side is over WORKING_SIDE."""
    factor = -(-max(grey.shape) // WORKING_SIDE)
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    return grey.astype(np.float32)


def _rise_over_paper(plane: Plane) -> Plane:
    """How far each pixel is from the paper's level towards the ink's, in grey levels (below 0: beyond paper).

    Paper is what most pixels are. Only when ink and paper take nearly equal shares (a bold digit cropped
    tightly) is the border asked instead: it cannot be trusted alone, since scanners put dark frames there.
    """
    plane = _evenly_lit(plane)
    paper = np.median(plane)
    border = np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))
    if np.mean(np.abs(plane - paper) <= np.abs(plane - border)) < 0.6:
        paper = border
    rise = plane - paper
    return rise if np.sum(rise * rise * rise, dtype=np.float64) > 0 else -rise


def _evenly_lit(plane: Plane) -> Plane:
    """``plane`` less a slope of the light across the paper, where there evidently is one.

    The slope is a least-squares plane, fitted again to what lies within two deviations of it; it is taken
    away only if that at least halves the paper's spread, so that a clean scan is left exactly as it is.
    """
    spread = _noise(plane - np.median(plane))
    if spread < UNEVEN_GREY_LEVELS:
        return plane
    height, width = plane.shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1)
    terms = np.stack([down, across, np.ones(plane.size)], axis=1)
    levels, near = plane.ravel(), np.ones(plane.size, np.bool_)
    for _ in range(4):
        rest = levels - terms @ np.linalg.lstsq(terms[near], levels[near], rcond=None)[0]
        near = np.abs(rest) <= 2 * max(1.0, 1.4826 * float(np.median(np.abs(rest))))
    rest = rest.reshape(plane.shape).astype(np.float32)
    return rest if _noise(rest - np.median(rest)) < 0.5 * spread else plane


def _noise(rise: Plane) -> float:
    """The paper's standard deviation, from the lower quartile of distances; 0 where the ink is bold.

    0.3186 is that quartile of a standard normal's absolute value. It is right for up to half ink. Where over
    BOLD of the picture is further off than half the farthest, that is no noise (of 784 normal numbers at most
    21 % were, in 2,000 trials) but a digit that fills its picture: the quartile would measure its soft edges.
    """
    distance = np.abs(rise)
    if np.mean(distance > 0.5 * distance.max()) > BOLD_SHARE:
        return 0.0
    return float(np.partition(distance.ravel(), distance.size // 4)[distance.size // 4]) / 0.3186


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
