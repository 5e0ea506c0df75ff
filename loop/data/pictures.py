"""Decode an untrusted PNG or JPEG file to grey levels, for ``digits.read``.

Rules: the size is read from the header and checked before a pixel is decoded; Pillow gets only the parts of the file
that define pixels (no text, profiles, thumbnails or EXIF, so that it never runs their parsers); a wrong checksum is an
error, although Pillow would decode the picture; every error is a BadImage of one line.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import orientations
from loop.data.ink import MIN_CONTRAST, SIDE
from loop.errors import BadImage, ImageTooLarge, one_line

Grey = NDArray[np.uint8]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: PNG specification, table 11.1
PNG_PASSES = (  # interlaced: first row, first column, row step, column step of each pass
    ((0, 0, 1, 1),),
    ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
CHUNK_BYTES = 1 << 16
PLAIN_HEADER = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)  # 28×28, eight bits of grey, not interlaced
EXIF = b"Exif\x00\x00"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: what Pillow decodes
JPEG_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}  # lossless, arithmetic, hierarchical
JPEG_METADATA = frozenset(range(0xE1, 0xEE)) | {0xEF, 0xFE}  # APP0 (JFIF) and APP14 (Adobe) decide colours
JPEG_SCANS = 64  # a progressive photo has about 10; each scan walks the whole picture again
DECODING_ERRORS = (  # every error that Pillow and its C decoders raised on damaged files in tests
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is decoded: file size in bytes, side in pixels, area in pixels."""

    bytes: int = 1 << 20
    side: int = 4096
    pixels: int = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded file: ``grey`` ``(h, w) uint8``, upright; ``plain`` if it is 28×28 in grayscale of up to 8 bits.

    ``transform`` is the one of ``orientations`` that its EXIF orientation requires; empty if it requires none.
    """

    grey: Grey
    plain: bool
    transform: str = ""


@dataclass(frozen=True, slots=True)
class _Stripped:
    """A file reduced to the parts that define pixels, with its size from the header.

    If ``bare``, ``data`` is only the compressed rows of 28×28 pixels in eight bits of grey. ``header`` (the header's
    body) and ``packed`` (the compressed rows) are set for a PNG.
    """

    format: str
    data: bytes
    width: int
    height: int
    orientation: int = 1
    bare: bool = False
    header: bytes = b""
    packed: bytes = b""


def decode(data: bytes, limits: Limits) -> Picture:
    """Return the picture in a PNG or JPEG file. Raises BadImage, and no other error, for any bytes."""
    if len(data) > limits.bytes:
        raise ImageTooLarge(
            f"expected a file of at most {limits.bytes:,} bytes, got {len(data):,}; send a smaller image"
        )
    if not data:
        raise BadImage("the file is empty (0 bytes); send a PNG or JPEG image")
    if data.startswith(PNG_SIGNATURE):
        file = _strip_png(data)
    elif data.startswith(JPEG_SIGNATURE):
        file = _strip_jpeg(data)
    else:
        raise BadImage(f"expected a PNG or JPEG image, got a file that begins with {data[:8]!r}; send the image itself")
    if not (file.width and file.height):
        raise _damaged(file.format, "it has no pixels")
    if max(file.width, file.height) > limits.side:
        raise ImageTooLarge(
            f"expected sides of 1 to {limits.side:,} pixels, got {file.width}×{file.height}; "
            "crop the image to the digit, or scale it down"
        )
    if file.width * file.height > limits.pixels:
        raise ImageTooLarge(
            f"expected at most {limits.pixels:,} pixels, got {file.width}×{file.height}; "
            "crop the image to the digit, or scale it down"
        )
    try:
        if file.format == "PNG" and not _all_rows(file.header, file.packed):
            raise _damaged("PNG", "it contains fewer pixels than its header states")
        if file.bare:
            image = Image.frombytes("L", (SIDE, SIDE), file.data, "zip", "L")
            return _upright(np.asarray(image), file.orientation, plain=True)
        with Image.open(io.BytesIO(file.data), formats=[file.format]) as image:
            image.load()
            return _upright(_grey(image), file.orientation, plain=_is_plain(image))
    except DECODING_ERRORS as error:
        raise BadImage(f"the {file.format} file is damaged ({one_line(error)}); send it again") from error


def area(data: bytes) -> int:
    """Return width × height in pixels from the header of a PNG or JPEG; 0 for anything else. Decodes nothing."""
    if data.startswith(PNG_SIGNATURE) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return int(width * height)
    if data.startswith(JPEG_SIGNATURE):
        with suppress(BadImage):
            for marker, start, end in _jpeg_segments(data):
                if marker in JPEG_FRAMES and end - start >= 9:
                    height, width = struct.unpack_from(">HH", data, start + 5)
                    return int(width * height)
    return 0


def _damaged(format_: str, what: str) -> BadImage:
    return BadImage(f"the {format_} file is damaged ({what}); send it again")


def _strip_png(data: bytes) -> _Stripped:
    """Check the chunks of a PNG and drop the ancillary ones. Pillow does not check the chunks that it skips."""
    chunks = list(_png_chunks(data))
    if [kind for kind, _ in chunks[:1]] != [b"IHDR"] or len(chunks[0][1]) != 13:
        raise _damaged("PNG", "it does not begin with its header")
    if any(kind == b"acTL" and int.from_bytes(body[:4], "big") > 1 for kind, body in chunks):
        raise BadImage("the PNG is animated; send one still image")
    header = chunks[0][1]
    if [kind for kind, _ in chunks].count(b"IHDR") > 1:  # Pillow would use the last one, which was not checked
        raise _damaged("PNG", "it has two headers")
    if header[9] not in PNG_CHANNELS or header[10:12] != b"\0\0" or header[12] > 1:
        raise _damaged("PNG", "its header has values that PNG does not allow")
    width, height = struct.unpack(">II", header[:8])
    rows = b"".join([body for kind, body in chunks if kind == b"IDAT"])
    exif = next((body for kind, body in chunks if kind == b"eXIf"), b"")
    orientation = _orientation(exif.removeprefix(EXIF))  # some writers put JPEG's prefix before it
    others = {kind for kind, _ in chunks[1:]} & PNG_PIXEL_CHUNKS
    # The form that phones send. Without Pillow's second pass over the chunks, decoding takes half the time.
    if header == PLAIN_HEADER and others == {b"IDAT", b"IEND"}:
        return _Stripped("PNG", rows, width, height, orientation, bare=True, header=header, packed=rows)
    kept = [PNG_SIGNATURE]
    for kind, body in chunks:
        if kind in PNG_PIXEL_CHUNKS:
            kept += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return _Stripped("PNG", b"".join(kept), width, height, orientation, header=header, packed=rows)


def _all_rows(header: bytes, packed: bytes) -> bool:
    """Whether the compressed rows unpack to the size in the header. Pillow would fill the rest with zeros."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    left = 0
    for top, aside, down, along in PNG_PASSES[interlaced]:
        columns, rows = (width - aside + along - 1) // along, (height - top + down - 1) // down
        left += rows * (1 + (columns * depth * PNG_CHANNELS[colour] + 7) // 8) if columns > 0 else 0
    stream = zlib.decompressobj()
    while left > 0:
        unpacked = len(stream.decompress(packed, min(left, CHUNK_BYTES)))
        if unpacked == 0:
            return False
        left, packed = left - unpacked, stream.unconsumed_tail
    return True


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and body of each chunk up to and including IEND; bytes after it are not part of the image."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        body = data[position + 8 : end - 4]
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged("PNG", f"the checksum of its chunk {kind!r} is wrong")
        yield kind, body
        if kind == b"IEND":
            return
        position = end
    raise _damaged("PNG", "it is cut off")


def _strip_jpeg(data: bytes) -> _Stripped:
    """Read the size and EXIF orientation of a JPEG and drop its metadata."""
    if data.count(b"\xff\xda") > JPEG_SCANS:
        raise BadImage(f"the JPEG has more than {JPEG_SCANS} scans; save it as an ordinary JPEG")
    kept, frames, orientation = [data[:2]], [], 1
    for marker, start, end in _jpeg_segments(data):
        body = data[start + 4 : end]
        if marker in JPEG_OTHER_FRAMES:
            raise BadImage("the JPEG is of a rare kind (lossless or arithmetic); save it as an ordinary JPEG")
        if marker in JPEG_FRAMES:
            frames.append(body)
        if marker == 0xE1 and body.startswith(EXIF):
            orientation = _orientation(body.removeprefix(EXIF))
        if marker not in JPEG_METADATA:
            kept.append(data[start:end])
    if len(frames) != 1 or len(frames[0]) < 6:
        raise _damaged("JPEG", "it does not contain exactly one frame header")
    height, width = struct.unpack_from(">HH", frames[0], 1)
    return _Stripped("JPEG", b"".join(kept), width, height, orientation)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment; the last one is the first scan with everything after it."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xDA:
            yield marker, position, len(data)
            return
        end = position + 2 + length
        if length < 2 or end > len(data):
            break
        yield marker, position, end
        position = end
    raise _damaged("JPEG", "it is cut off before its pixels")


def _orientation(tiff: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (as stored) if the block is malformed, as image viewers do."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    for entry in range(start + 2, len(tiff) - 11, 12):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if (tag, kind, count) == (0x0112, 3, 1):
            return value if value in orientations.BY_EXIF else 1
    return 1


def _is_transparent(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "L" and image.size == (SIDE, SIDE) and not _is_transparent(image)


def _grey(image: Image.Image) -> Grey:
    """Return the grey levels of a loaded image; transparent parts show paper."""
    if image.mode.startswith("I"):
        return _eight_bits(np.asarray(image))
    if _is_transparent(image):
        rgba = image.convert("RGBA")
        return _on_paper(np.asarray(rgba.convert("L")), np.asarray(rgba.getchannel("A")))
    # CMYK has no direct way to grey, and a palette's greys go through its colours.
    return np.asarray(image if image.mode == "L" else image.convert("RGB").convert("L"))


def _upright(grey: Grey, orientation: int, *, plain: bool) -> Picture:
    transform = orientations.BY_EXIF.get(orientation, "")
    return Picture(orientations.transformed(grey, transform) if transform else grey, plain, transform)


def _eight_bits(deep: NDArray[np.generic]) -> Grey:
    """Return the upper 8 bits of a 16-bit picture, from the highest bit in use: many contain 8- or 12-bit values."""
    levels = np.clip(deep.astype(np.int64), 0, 0xFFFF)
    return (levels >> max(0, int(levels.max()).bit_length() - 8)).astype(np.uint8)


def _on_paper(grey: Grey, alpha: Grey) -> Grey:
    """Return a partly transparent picture on paper of a plausible level: ``(h, w) uint8``.

    If most of the picture is opaque and has contrast, the paper is part of the picture, and its median fills the rest
    (a scan with its corners cut off). Otherwise only the ink is opaque, and the paper is the opposite of the ink.
    """
    opacity = alpha.astype(np.float32) / 255
    opaque = grey[alpha >= 128]
    if opaque.size > 0.5 * grey.size and np.ptp(opaque) >= MIN_CONTRAST:
        paper = float(np.median(opaque))
    else:
        mass = float(opacity.sum())
        paper = 255.0 if mass and float((grey * opacity).sum()) / mass < 128 else 0.0
    return np.rint(grey * opacity + paper * (1 - opacity)).astype(np.uint8)
