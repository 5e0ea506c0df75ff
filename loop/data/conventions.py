"""Find the pixel convention (scale, polarity, size) of a set of digits, and apply it to each image.

A set is an array ``(n, h, w)`` of real numbers, from IDX, ``.npz`` or text. Rules: 28×28 of 0 to 255, white on black,
is kept bit for bit, as a picture is; the scale is that of the median image, so that one wrong image is refused and does
not change the others; an image of unclear polarity gets the polarity of the set; ``preparation`` lists every
change; numbers of an unknown convention are refused with their range.
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

FULL_LEVELS = (1, 16, 255, 65535)  # full ink or white paper: shares, 4×4 dots, bytes, 16 bits
MIN_USED_SHARE = 0.5  # of such a scale by the highest value of the set; below, the scale ends at that value
POLARITY_SAMPLES = 2000  # images, evenly spread over the set, that determine its polarity
ENLARGEMENT, MARGIN_PIXELS = 4, 16  # factor for digits smaller than 28×28, and the paper added on each side
MAX_SIDE_PIXELS = 512
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Convention:
    """The format of a set: ``low`` to ``high`` mean 0 to 255; ``polarity`` of most images; type and size of each."""

    low: float
    high: float
    polarity: Polarity
    dtype: str
    height: int
    width: int

    def digit(self, data: bytes) -> Digit:
        """Return the digit in the bytes of one image of the set. Raises BadImage."""
        grey = self.grey(np.frombuffer(data, self.dtype).reshape(self.height, self.width))
        scaled = "" if (self.low, self.high) == (0, 255) else f"scaled from {self.low:g}..{self.high:g}"
        own = polarity.of(grey)
        dark = (self.polarity if own is Polarity.UNCLEAR else own) is Polarity.DARK_INK
        if min(grey.shape) < SIDE:
            return _enlarged(255 - grey if dark else grey, scaled, digits.INVERTED if dark else "")
        if grey.shape != (SIDE, SIDE) or (dark and polarity.paper(grey) < digits.WHITE):
            return digits.fitted(grey, scaled)
        if np.ptp(grey) < MIN_CONTRAST:
            raise BadImage(f"the image is blank: it has only levels from {grey.min()} to {grey.max()} of 255")
        return digits.digit(255 - grey if dark else grey, digits.preparation(scaled, digits.INVERTED if dark else ""))

    def grey(self, values: Images) -> NDArray[np.uint8]:
        """Return ``values`` ``(h, w)`` as 0 to 255. Raises BadImage if they are outside the set's range."""
        if values.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return values
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        if not (share.min() >= -TOLERANCE and share.max() <= 1 + TOLERANCE):  # NaN fails both
            raise BadImage(
                f"expected values from {self.low:g} to {self.high:g}, the scale of the set, "
                f"got {values.min():g} to {values.max():g}"
            )
        grey: NDArray[np.uint8] = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
        return grey


def _enlarged(grey: NDArray[np.uint8], *before: str) -> Digit:
    """Return a digit smaller than 28×28, white on black: enlarged, with a margin of paper, and placed."""
    height, width = grey.shape
    large = Image.fromarray(grey).resize((width * ENLARGEMENT, height * ENLARGEMENT), Image.Resampling.LANCZOS)
    paper = int(polarity.paper(grey)) if polarity.of(grey) is Polarity.LIGHT_INK else 0
    return digits.fitted(np.pad(np.asarray(large), MARGIN_PIXELS, constant_values=paper), *before)


def find(images: Images) -> Convention:
    """Return the convention of ``(n, h, w)``, n at least 1. Raises BadImage if it is unknown."""
    _, height, width = images.shape
    if not 4 <= min(height, width) <= max(height, width) <= MAX_SIDE_PIXELS:
        raise BadImage(f"expected images with sides of 4 to {MAX_SIDE_PIXELS} pixels, got {height}×{width}")
    if images.dtype.kind not in "uifb":
        raise BadImage(f"expected images of numbers, got {images.dtype}")
    sample = images[:: -(-len(images) // POLARITY_SAMPLES)]
    low, high = _scale(images)
    found = Convention(low, high, Polarity.LIGHT_INK, images.dtype.str, height, width)
    counts = Counter(map(polarity.of, _greys(found, sample)))
    dark = counts[Polarity.DARK_INK] > counts[Polarity.LIGHT_INK]
    return replace(found, polarity=Polarity.DARK_INK) if dark else found


def _greys(convention: Convention, images: Images) -> Iterator[NDArray[np.uint8]]:
    for image in images:
        with suppress(BadImage):  # it is refused with its reason when it is read
            yield convention.grey(image)


def _scale(images: Images) -> tuple[float, float]:
    """Return the values that mean 0 and 255. Raises BadImage."""
    lows, highs = (each.astype(np.float64) for each in (images.min((1, 2)), images.max((1, 2))))
    finite = np.isfinite(lows) & np.isfinite(highs)
    if not finite.any():
        raise BadImage("no image has only finite values; save plain numbers")
    low, high, highest = float(np.median(lows[finite])), float(np.median(highs[finite])), float(highs[finite].max())
    if low < 0:
        return _scale_below_zero(images.dtype, low, high)
    if high > FULL_LEVELS[-1]:
        raise BadImage(f"expected values of at most {FULL_LEVELS[-1]:,}, got {high:g}; scale them to 0 to 255")
    if high == 0:
        raise BadImage("most images are blank: all their values are 0; send digits")
    full = next(full for full in FULL_LEVELS if high <= full)
    return 0.0, float(full) if highest > MIN_USED_SHARE * full else highest


def _scale_below_zero(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    if dtype.kind == "f" and low >= -1 - TOLERANCE and high <= 1 + TOLERANCE:
        return -1.0, 1.0
    if dtype.kind == "i":
        raise BadImage(f"got values from {low:g} to {high:g}: bytes saved as signed numbers; save them as uint8")
    raise BadImage(
        f"got values from {low:g} to {high:g}: the pixels were standardised (mean subtracted, divided by the "
        "deviation); save them before that step, as 0 to 255"
    )
