"""Pictures that several tests draw, and PNG files put together by hand."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Grey = NDArray[np.uint8]


def seven(size: int = 100, paper: int = 255, ink: int = 40) -> Image.Image:
    """A drawn 7."""
    image = Image.new("L", (size, size), paper)
    points = [(0.3 * size, 0.2 * size), (0.7 * size, 0.25 * size), (0.45 * size, 0.85 * size)]
    ImageDraw.Draw(image).line(points, fill=ink, width=max(1, size // 16))
    return image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with a right checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, pixels: bytes, *, depth: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG with any header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def rows(pixels: Grey) -> bytes:
    """Unfiltered PNG rows."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def box(pixels: Grey) -> int:
    """The longer side of the ink."""
    return max(int(np.ptp(np.flatnonzero(pixels.any(axis)))) + 1 for axis in (0, 1))
