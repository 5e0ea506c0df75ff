"""The domain noun: a digit is 28×28 uint8, white ink (255) on black (0), named by the digest of its 784 bytes.

This is where a stranger's bytes enter the loop, before ``intake`` and ``handwriting`` use them. Rules:

- A 28×28 grayscale image (Pillow's mode L: PNG greyscale of 2, 4 or 8 bits, or a one-channel JPEG) is kept
  bit for bit, since it is what the phone's model saw; unless it is plainly black ink on white (``polarity``):
  then each level becomes 255 minus itself or, where the paper is not white, the image is normalised.
- Everything else is normalised (``ink``), 28×28 or not. A 1-bit image is a scan, since no antialiased stroke
  fits in a bit; 16 bits cannot be kept in 8; with a palette, colour or transparency the file is not what a
  grayscale model was given.
- An EXIF orientation is followed, in PNG and JPEG, at every size: an app that sends what its model saw writes none.
- Whatever was done is in the digit's ``treatment``: ``kept``, or words in this order, separated by semicolons:
  ``turned 90`` (or another of ``turns``), ``inverted``, ``evened`` (shadows were taken away), ``fitted``. A digit from
  a set may begin with ``scaled from 0..1``, and end with what the user asked for.
- A blank image is refused either way. ``read`` raises BadImage and nothing else.
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
    "read",
    "to_png",
    "treatment",
]

Pixels = NDArray[np.uint8]

DEFAULT_LIMITS = Limits()
KEPT, INVERTED, EVENED, FITTED = "kept", "inverted", "evened", "fitted"
UNSCALED = 16  # a lightest level up to this is a picture of 0 to 1 or of 0 to 16, not of 0 to 255
WHITE = 224  # of the paper: from here on 255 minus the level is as good a black as MNIST's


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit. ``pixels`` ``(28, 28) uint8``, read-only; ``digest`` is the SHA-256 (hex) of its 784 bytes.

    ``treatment`` says what was done to the sender's pixels, ``kept`` where nothing was. Equal digits have equal pixels.
    """

    pixels: Pixels = field(compare=False, repr=False)
    digest: str
    treatment: str = field(compare=False)

    @property
    def normalised(self) -> bool:
        """False where the sender's pixels were kept bit for bit."""
        return self.treatment != KEPT


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Digit:
    """The digit in a PNG or JPEG file of any mode, size and polarity.

    Raises BadImage, and nothing else, for whatever is not one still picture of one digit within ``limits``.
    """
    picture = pictures.decode(data, limits)
    if picture.plain:
        return _plain(picture)
    return fitted(picture.grey, picture.turned)


def _plain(picture: Picture) -> Digit:
    """The digit in 28×28 grey levels, kept if they are not plainly black on white."""
    grey = picture.grey
    _check_levels(int(grey.min()), int(grey.max()))
    if polarity.of(grey) is not Polarity.DARK_INK:
        return digit(grey, treatment(picture.turned))
    if polarity.paper(grey) < WHITE:
        return fitted(grey, picture.turned)
    return digit(255 - grey, treatment(picture.turned, INVERTED))


def _check_levels(lowest: int, highest: int) -> None:
    """Raises BadImage where the levels are of another scale, or too near to each other for ink and paper."""
    if 0 < highest <= UNSCALED:
        raise BadImage(
            f"the image is nearly black: its levels run only from {lowest} to {highest}, expected up to 255; "
            "if 1 or 16 stands for full ink, multiply the levels by 255 or 16 before saving"
        )
    if highest - lowest < MIN_CONTRAST:
        raise BadImage(
            f"the image is blank: expected white ink on black, its levels run only from {lowest} to {highest}; "
            "send a picture with one digit"
        )


def fitted(grey: Pixels, *before: str) -> Digit:
    """The digit in ``(h, w) uint8`` of any size and polarity, placed as MNIST does. Raises BadImage.

    ``before`` is what was done to it already.
    """
    placed = ink.place(grey)
    return digit(
        placed.pixels, treatment(*before, INVERTED if placed.dark_ink else "", EVENED if placed.evened else "", FITTED)
    )


def treatment(*steps: str) -> str:
    """The words for what was done, without the empty ones; ``kept`` where nothing was."""
    return "; ".join(filter(None, steps)) or KEPT


def digit(pixels: Pixels, treatment: str = KEPT) -> Digit:
    """The value for ``(28, 28) uint8`` pixels, copied and made read-only, or for their 784 bytes in a row."""
    if pixels.dtype != np.uint8 or pixels.size != SIDE * SIDE:
        raise BadImage(
            f"expected {SIDE}×{SIDE} pixels of uint8, got {pixels.dtype} {pixels.shape}; normalise the image first"
        )
    data = pixels.tobytes()
    own = np.frombuffer(data, np.uint8).reshape(SIDE, SIDE)  # over immutable bytes: cannot be made writeable
    return Digit(own, hashlib.sha256(data).hexdigest(), treatment)


def to_png(pixels: Pixels) -> bytes:
    """``(h, w) uint8`` as a grayscale PNG; the same pixels give the same bytes. ``read`` gives a 28×28 back whole."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(file, "PNG", compress_level=6)
    return file.getvalue()


def check_label(value: object) -> int:
    """``value`` as a label, 0 to 9. Raises BadLabel for anything else, booleans and fractions included."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value <= 9:
        return int(value)
    raise BadLabel(f"expected a label from 0 to 9, got {value!r:.40}; send the digit that was written")
