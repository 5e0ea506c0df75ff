"""How a set of digits writes its pixels: found from the whole set, applied to each of its images.

A set is an array ``(n, h, w)`` of any real numbers, from IDX, ``.npz`` or text. Rules: 28×28 of 0 to 255, white on
black, is kept bit for bit, as a picture is; the scale is that of the median image, so that one wrong image is refused
and does not change the others; an image without a plain polarity follows the set; everything that was done is in
the digit's ``treatment``; numbers that follow no known convention are refused by name.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import digits, polarity
from loop.data.digits import SIDE, Digit
from loop.data.ink import MIN_CONTRAST
from loop.data.polarity import Polarity
from loop.errors import BadImage

Images = NDArray[Any]

FULLS = (1, 16, 255, 65535)  # what stands for full ink or white paper: shares, 4×4 dots, bytes, 16 bits
USED = 0.5  # share of such a scale that the lightest image reaches, or the scale ends with that image
LOOKED_AT = 2000  # images, spread over the set, that its polarity is found from
ENLARGED, MARGIN = 4, 16  # a smaller digit than 28×28 is enlarged so many times, inside so many pixels of paper
LARGEST_SIDE = 512
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Convention:
    """``low`` to ``high`` of a set stand for 0 to 255; ``polarity`` is that of most images; the rest is their form."""

    low: float
    high: float
    polarity: Polarity
    dtype: str
    height: int
    width: int

    def digit(self, data: bytes) -> Digit:
        """The digit in the bytes of one image of the set. Raises BadImage."""
        grey = self.grey(np.frombuffer(data, self.dtype).reshape(self.height, self.width))
        scaled = "" if (self.low, self.high) == (0, 255) else f"scaled from {self.low:g}..{self.high:g}"
        own = polarity.of(grey)
        dark = (self.polarity if own is Polarity.UNCLEAR else own) is Polarity.DARK_INK
        if min(grey.shape) < SIDE:
            return _enlarged(255 - grey if dark else grey, scaled, digits.INVERTED if dark else "")
        if grey.shape != (SIDE, SIDE) or (dark and polarity.paper(grey) < digits.WHITE):
            return digits.fitted(grey, scaled)
        if np.ptp(grey) < MIN_CONTRAST:
            raise BadImage(f"the image is blank: its levels run only from {grey.min()} to {grey.max()} of 255")
        return digits.digit(255 - grey if dark else grey, digits.treatment(scaled, digits.INVERTED if dark else ""))

    def grey(self, values: Images) -> NDArray[np.uint8]:
        """``values`` ``(h, w)`` as 0 to 255. Raises BadImage where they are outside the set's range."""
        if values.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return values
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        if not (share.min() >= -TOLERANCE and share.max() <= 1 + TOLERANCE):  # NaN is neither
            raise BadImage(
                f"its values run from {values.min():g} to {values.max():g}, "
                f"those of the set from {self.low:g} to {self.high:g}"
            )
        grey: NDArray[np.uint8] = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
        return grey


def _enlarged(grey: NDArray[np.uint8], *before: str) -> Digit:
    """A digit under 28×28, white on black, that may touch every edge: enlarged on a margin of paper, and placed."""
    height, width = grey.shape
    large = Image.fromarray(grey).resize((width * ENLARGED, height * ENLARGED), Image.Resampling.LANCZOS)
    paper = int(polarity.paper(grey)) if polarity.of(grey) is Polarity.LIGHT_INK else 0
    return digits.fitted(np.pad(np.asarray(large), MARGIN, constant_values=paper), *before)


def find(images: Images) -> Convention:
    """The convention of ``(n, h, w)``, n at least 1. Raises BadImage where the numbers follow none that is known."""
    _, height, width = images.shape
    if not 4 <= min(height, width) <= max(height, width) <= LARGEST_SIDE:
        raise BadImage(f"expected images with sides of 4 to {LARGEST_SIDE} pixels, got {height}×{width}")
    if images.dtype.kind not in "uifb":
        raise BadImage(f"expected images of numbers, got {images.dtype}")
    looked = images[:: -(-len(images) // LOOKED_AT)]
    low, high = _scale(images)
    found = Convention(low, high, Polarity.LIGHT_INK, images.dtype.str, height, width)
    counted = Counter(map(polarity.of, _greys(found, looked)))
    dark = counted[Polarity.DARK_INK] > counted[Polarity.LIGHT_INK]
    return replace(found, polarity=Polarity.DARK_INK) if dark else found


def _greys(convention: Convention, images: Images) -> Iterator[NDArray[np.uint8]]:
    for image in images:
        with suppress(BadImage):  # that one is refused, with its reason, when it is read
            yield convention.grey(image)


def _scale(images: Images) -> tuple[float, float]:
    """What stands for 0 and for 255. Raises BadImage."""
    lows, highs = (each.astype(np.float64) for each in (images.min((1, 2)), images.max((1, 2))))
    finite = np.isfinite(lows) & np.isfinite(highs)
    if not finite.any():
        raise BadImage("no image has only finite values; save plain numbers")
    low, high, highest = float(np.median(lows[finite])), float(np.median(highs[finite])), float(highs[finite].max())
    if low < 0:
        return _scale_below_zero(images.dtype, low, high)
    if high > FULLS[-1]:
        raise BadImage(f"values run up to {high:g}, expected at most {FULLS[-1]:,}; scale them to 0 to 255")
    if high == 0:
        raise BadImage("most images are blank: all their values are 0; send digits")
    full = next(full for full in FULLS if high <= full)
    return 0.0, float(full) if highest > USED * full else highest


def _scale_below_zero(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    if dtype.kind == "f" and low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
        return -1.0, 1.0
    if dtype.kind == "i":
        raise BadImage(f"values run from {low:g} to {high:g}: bytes read as signed numbers; save them as uint8")
    raise BadImage(
        f"values run from {low:g} to {high:g}: a mean was taken away and a deviation divided out; "
        "save the pixels before that, as 0 to 255"
    )
