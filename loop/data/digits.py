"""A digit: 28×28 uint8, white ink (255) on black (0), identified by the digest of its 784 bytes.

Untrusted bytes enter the loop here, before ``intake`` and ``handwriting`` use them. Rules:

- A 28×28 grayscale image (Pillow's mode L: PNG greyscale of 2, 4 or 8 bits, or a one-channel JPEG) is kept
  bit for bit, because it is the input of the phone's model. If it is clearly black ink on white (``polarity``),
  each level becomes 255 minus itself or, if the paper is not white, the image is normalised.
- All other images are normalised (``ink``), 28×28 or not. A 1-bit image is a scan, because antialiased strokes need
  more than one bit; 16 bits do not fit in 8; a file with a palette, colour or transparency is not the input of a
  grayscale model.
- An EXIF orientation is applied, in PNG and JPEG, at every size: an app that sends its model's input writes none.
- The digit's ``preparation`` lists every change: ``kept``, or terms in this order, separated by semicolons:
  ``turned 90`` (or another of ``orientations``), ``inverted``, ``evened`` (shadows were removed), ``fitted``. A digit
  from a set may begin with ``scaled from 0..1``, and end with the steps of the user's option ``--as``.
- A blank image is refused in both cases. ``read`` raises BadImage and no other error.
"""

import hashlib
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import ink, pictures, polarity
from loop.data.ink import MIN_CONTRAST, SIDE, normalise
from loop.data.pictures import Limits, Picture
from loop.data.polarity import Polarity
from loop.errors import BadImage, BadLabel

__all__ = [
    "DEFAULT_LIMITS",
    "KEPT",
    "SIDE",
    "Digit",
    "Limits",
    "check_label",
    "digit",
    "fitted",
    "normalise",
    "preparation",
    "read",
    "to_png",
]

Pixels = NDArray[np.uint8]

DEFAULT_LIMITS = Limits()
KEPT, INVERTED, EVENED, FITTED = "kept", "inverted", "evened", "fitted"
UNSCALED = 16  # a picture with no level above this has the scale 0 to 1 or 0 to 16, not 0 to 255
WHITE = 224  # the lowest level of white paper: from here on, 255 minus the level is as black as MNIST's background


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit. ``pixels`` ``(28, 28) uint8``, read-only; ``digest`` is the SHA-256 (hex) of its 784 bytes.

    ``preparation`` lists the changes to the sender's pixels; ``kept`` means none. Equal digits have equal pixels.
    """

    pixels: Pixels = field(compare=False, repr=False)
    digest: str
    preparation: str = field(compare=False)

    @property
    def normalised(self) -> bool:
        """Whether the sender's pixels were changed; False if they were kept bit for bit."""
        return self.preparation != KEPT


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Digit:
    """Return the digit in a PNG or JPEG file of any mode, size and polarity.

    Raises BadImage, and no other error, for anything but one still picture of one digit within ``limits``.
    """
    picture = pictures.decode(data, limits)
    if picture.plain:
        return _plain(picture)
    return fitted(picture.grey, picture.transform)


def _plain(picture: Picture) -> Digit:
    """Return the digit in 28×28 grey levels; they are kept unless they are clearly black on white."""
    grey = picture.grey
    _check_levels(int(grey.min()), int(grey.max()))
    if polarity.of(grey) is not Polarity.DARK_INK:
        return digit(grey, preparation(picture.transform))
    if polarity.paper(grey) < WHITE:
        return fitted(grey, picture.transform)
    return digit(255 - grey, preparation(picture.transform, INVERTED))


def _check_levels(lowest: int, highest: int) -> None:
    """Raises BadImage if the levels have another scale, or too little contrast for ink and paper."""
    if 0 < highest <= UNSCALED:
        raise BadImage(
            f"the image is nearly black: expected levels up to 255, got {lowest} to {highest}; "
            "if full ink is 1 or 16, multiply the levels by 255 or 16 before saving"
        )
    if highest - lowest < MIN_CONTRAST:
        raise BadImage(
            f"the image is blank: expected white ink on black, got only levels from {lowest} to {highest}; "
            "send a picture with one digit"
        )


def fitted(grey: Pixels, *before: str) -> Digit:
    """Return the digit in ``(h, w) uint8`` of any size and polarity, placed as in MNIST. Raises BadImage.

    ``before`` lists the preparations that were already applied.
    """
    placed = ink.place(grey)
    return digit(
        placed.pixels,
        preparation(*before, INVERTED if placed.dark_ink else "", EVENED if placed.evened else "", FITTED),
    )


def preparation(*steps: str) -> str:
    """Return the steps that are not empty as one preparation; ``kept`` if all are empty."""
    return "; ".join(filter(None, steps)) or KEPT


def digit(pixels: Pixels, preparation: str = KEPT) -> Digit:
    """Return the digit of ``(28, 28)`` or ``(784,)`` uint8 pixels, which are copied and made read-only."""
    if pixels.dtype != np.uint8 or pixels.size != SIDE * SIDE:
        raise BadImage(
            f"expected {SIDE}×{SIDE} pixels of uint8, got {pixels.dtype} {pixels.shape}; normalise the image first"
        )
    data = pixels.tobytes()
    own = np.frombuffer(data, np.uint8).reshape(SIDE, SIDE)  # over immutable bytes: cannot be made writeable
    return Digit(own, hashlib.sha256(data).hexdigest(), preparation)


def to_png(pixels: Pixels) -> bytes:
    """Return ``(h, w) uint8`` as a grayscale PNG; equal pixels give equal bytes. ``read`` restores 28×28 exactly."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(file, "PNG", compress_level=6)
    return file.getvalue()


def check_label(value: object) -> int:
    """Return ``value`` as a label, 0 to 9. Raises BadLabel for anything else, including booleans and fractions."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value <= 9:
        return int(value)
    raise BadLabel(f"expected a label from 0 to 9, got {value!r:.40}; send the digit that was written")
