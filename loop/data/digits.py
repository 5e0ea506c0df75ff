"""The domain noun: a digit is 28×28 uint8, white ink (255) on black (0), named by the digest of its 784 bytes.

This is where a stranger's bytes enter the loop, before ``intake`` and ``handwriting`` use them. Rules:

- A 28×28 grayscale image (Pillow's mode L: PNG greyscale of 2, 4 or 8 bits, or a one-channel JPEG) is kept
  bit for bit and taken as white on black, since it is what the phone's model saw.
- Everything else is normalised (``ink``), 28×28 or not. A 1-bit image is a scan, since no antialiased stroke
  fits in a bit; 16 bits cannot be kept in 8; with a palette, colour or transparency the file is not what a
  grayscale model was given. A JPEG's EXIF orientation is followed, except where bits are kept.
- A blank image is refused either way. ``read`` raises BadImage and nothing else.
"""

import hashlib
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import pictures
from loop.data.ink import MIN_CONTRAST, SIDE, normalise
from loop.data.pictures import Limits
from loop.errors import BadImage, BadLabel

__all__ = ["DEFAULT_LIMITS", "SIDE", "Digit", "Limits", "check_label", "digit", "normalise", "read", "to_png"]

Pixels = NDArray[np.uint8]

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit. ``pixels`` ``(28, 28) uint8``, read-only; ``digest`` is the SHA-256 (hex) of its 784 bytes.

    ``normalised`` is False where the sender's pixels were kept bit for bit. Equal digits have equal pixels.
    """

    pixels: Pixels = field(compare=False, repr=False)
    digest: str
    normalised: bool = field(compare=False)


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Digit:
    """The digit in a PNG or JPEG file of any mode, size and polarity.

    Raises BadImage, and nothing else, for whatever is not one still picture of one digit within ``limits``.
    """
    picture = pictures.decode(data, limits)
    if not picture.plain:
        return digit(normalise(picture.grey), normalised=True)
    lowest, highest = int(picture.grey.min()), int(picture.grey.max())
    if highest - lowest < MIN_CONTRAST:
        raise BadImage(
            f"the image is blank: expected white ink on black, its levels run only from {lowest} to {highest}; "
            "send a picture with one digit"
        )
    return digit(picture.grey, normalised=False)


def digit(pixels: Pixels, *, normalised: bool = False) -> Digit:
    """The value for ``(28, 28) uint8`` pixels, copied and made read-only, or for their 784 bytes in a row."""
    if pixels.dtype != np.uint8 or pixels.size != SIDE * SIDE:
        raise BadImage(
            f"expected {SIDE}×{SIDE} pixels of uint8, got {pixels.dtype} {pixels.shape}; normalise the image first"
        )
    data = pixels.tobytes()
    own = np.frombuffer(data, np.uint8).reshape(SIDE, SIDE)  # over immutable bytes: cannot be made writeable
    return Digit(own, hashlib.sha256(data).hexdigest(), normalised)


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
