"""About 600 malformed or unusual picture files from a seeded generator, each with its expected outcome."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from tests.helpers.drawn import Grey, chunk, encoded, png, rows, seven

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Fate(StrEnum):
    """The expected outcome: accepted, refused, or either, if the damage is in an unused part."""

    TAKEN = "taken"
    REFUSED = "refused"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class File:
    """A file, a description of its defect, and its expected outcome."""

    name: str
    data: bytes
    fate: Fate


def files(seed: int) -> list[File]:
    """All files; one seed gives one list."""
    rng = random.Random(seed)  # noqa: S311  (repeatable)
    makers = (pictures, cut, checksums, headers, chunks, data_of_pngs, bombs, palettes, jpegs, others, polyglots)
    made = [each for make in makers for each in make(rng)]
    return made + [each for make in (animations, noise, mutations) for each in make(rng)]


def grey(size: int = 40) -> Grey:
    """A drawn 7."""
    return np.asarray(seven(size))


def bases() -> dict[str, bytes]:
    """Valid files of every mode."""
    image = seven(40)
    small = Image.fromarray(255 - grey(28))
    found = {f"PNG {mode}": encoded(image.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    found["PNG 28"] = encoded(small)
    found["PNG 16 bits"] = encoded(Image.fromarray(grey().astype(np.uint16) * 257))
    found |= {f"JPEG {mode}": encoded(image.convert(mode), "JPEG", quality=90) for mode in ("L", "RGB", "CMYK")}
    found["JPEG progressive"] = encoded(image.convert("RGB"), "JPEG", quality=90, progressive=True)
    return found


def pictures(rng: random.Random) -> Iterator[File]:
    """Unusual but valid pictures, which may be stored."""
    made = bases()
    made["PNG interlaced"] = interlaced(grey())
    made["PNG of one frame that says it is animated"] = inserted(
        made["PNG L"], chunk(b"acTL", struct.pack(">II", 1, 0))
    )
    made["PNG with unknown chunks"] = inserted(made["PNG L"], chunk(b"zzZz", rng.randbytes(999)) * 20)
    made["PNG with a damaged profile"] = inserted(made["PNG L"], chunk(b"iCCP", b"x\0\0" + rng.randbytes(50)))
    made["PNG with a bomb of text"] = inserted(made["PNG L"], chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7))))
    made["PNG with EXIF garbage"] = inserted(made["PNG L"], chunk(b"eXIf", b"MM\0*" + rng.randbytes(99)))
    made["PNG in many pieces"] = split(made["PNG L"], 3)
    made["PNG with empty pieces"] = split(made["PNG L"], 40, empty=True)
    made["PNG and a zip behind it"] = made["PNG L"] + archive()
    made["PNG and a script behind it"] = made["PNG L"] + b"<script>alert(1)</script>"
    made["PNG one pixel high and wide strokes"] = encoded(Image.fromarray(np.tile(grey(60)[:30], (2, 1))))
    made["JPEG and HTML behind it"] = made["JPEG L"] + b"<html>"
    made["JPEG with a comment"] = segment(made["JPEG L"], 0xFE, b"<?php system($_GET[0]); ?>")
    made["JPEG with EXIF that points at itself"] = segment(made["JPEG L"], 0xE1, exif_loop())
    made["JPEG with EXIF cut off"] = segment(made["JPEG L"], 0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    made["JPEG with a profile of garbage"] = segment(
        made["JPEG L"], 0xE2, b"ICC_PROFILE\0\x01\xff" + rng.randbytes(500)
    )
    made["JPEG with fill bytes"] = made["JPEG L"][:2] + b"\xff" * 500 + made["JPEG L"][2:]
    for name, data in made.items():
        yield File(name, data, Fate.TAKEN)


def cut(rng: random.Random) -> Iterator[File]:
    """Files truncated at the borders of every part, beside them, and anywhere."""
    for name, data in bases().items():
        ends = {0, 1, 4, 7, 8, 9, 12, 16, 20, 24, 25, 28, 29, 32, 33, len(data) - 1, len(data) - 12}
        ends |= {rng.randrange(len(data)) for _ in range(12)}
        for end in sorted(ends):
            whole_head = name.startswith("JPEG") and end > data.index(b"\xff\xda")
            yield File(f"{name} cut at {end}", data[:end], Fate.EITHER if whole_head else Fate.REFUSED)


def checksums(rng: random.Random) -> Iterator[File]:
    """Files with a wrong checksum on one chunk, or a wrong byte in one."""
    for name, data in bases().items():
        if not name.startswith("PNG"):
            continue
        for kind, start, end in borders(data):
            yield File(f"{name} wrong checksum of {kind!r}", flipped(data, end - 1), Fate.REFUSED)
            yield File(f"{name} wrong byte in {kind!r}", flipped(data, rng.randrange(start + 4, end)), Fate.REFUSED)


def headers(_: random.Random) -> Iterator[File]:
    """Invalid sizes, depths and colour types."""
    body = zlib.compress(rows(grey()))
    sizes = [0, 1, 4096, 4097, 65_536, 2**31 - 1, 2**31, 2**32 - 1]
    for width in sizes:
        for height in sizes:
            yield File(f"PNG of {width}×{height}", png(width, height, body), Fate.REFUSED)
    for depth in (0, 3, 5, 6, 7, 9, 15, 17, 32, 64, 255):
        yield File(f"PNG of depth {depth}", png(40, 40, body, depth=depth), Fate.REFUSED)
    for colour in (1, 5, 7, 8, 16, 255):
        yield File(f"PNG of colour type {colour}", png(40, 40, body, colour=colour), Fate.REFUSED)
    for place, what in ((10, "compression"), (11, "filter"), (12, "interlace")):
        for value in (2, 3, 255):
            fields = bytearray(struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 0))
            fields[place] = value
            made = SIGNATURE + chunk(b"IHDR", bytes(fields)) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
            yield File(f"PNG of {what} {value}", made, Fate.REFUSED)
    for length in (0, 1, 12, 14, 100):
        made = SIGNATURE + chunk(b"IHDR", bytes(length)) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
        yield File(f"PNG with a header of {length} bytes", made, Fate.REFUSED)
    for length in (2**31 - 1, 2**31, 2**32 - 1, 10**6):
        yield File(
            f"PNG with a chunk of {length:,} bytes", SIGNATURE + struct.pack(">I", length) + b"IHDR", Fate.REFUSED
        )


def chunks(rng: random.Random) -> Iterator[File]:
    """Files with parts missing, duplicated, or out of order."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 0))
    body, end = chunk(b"IDAT", zlib.compress(rows(grey()))), chunk(b"IEND", b"")
    other = chunk(b"teXt", b"a\0b")
    orders = {
        "no header": [body, end],
        "header last": [body, end, head],
        "data before the header": [body, head, end],
        "no data": [head, end],
        "no end": [head, body],
        "the end alone": [end],
        "the end first": [head, end, body],
        "something before the header": [other, head, body, end],
        "another size in a second header": [
            head,
            chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)),
            body,
            end,
        ],
        "nothing": [],
    }
    for name, order in orders.items():
        yield File(f"PNG, {name}", SIGNATURE + b"".join(order), Fate.REFUSED)
    half = len(body) // 2
    pieces = [head, chunk(b"IDAT", body[8:half]), other, chunk(b"IDAT", body[half:-4]), end]
    yield File("PNG, data torn apart", SIGNATURE + b"".join(pieces), Fate.EITHER)
    for number in range(20):
        order = [head, body, end, other, body, head]
        rng.shuffle(order)
        yield File(f"PNG, shuffled {number}", SIGNATURE + b"".join(order), Fate.EITHER)


def data_of_pngs(rng: random.Random) -> Iterator[File]:
    """Pixels that are not compressed, incomplete, or have an unknown filter."""
    plain = rows(grey())
    packed = zlib.compress(plain)
    bad = {
        "empty": b"",
        "not compressed": plain,
        "noise": rng.randbytes(500),
        "half": zlib.compress(plain[: len(plain) // 2]),
        "one row": zlib.compress(plain[:41]),
        "cut": packed[: len(packed) // 2],
        "a preset dictionary": b"\x78\xbb" + packed[2:],
        "a window beyond": b"\xf8\x9c" + packed[2:],
    }
    for name, data in bad.items():
        yield File(f"PNG data: {name}", png(40, 40, data), Fate.REFUSED)
    for value in (5, 6, 127, 255):
        filtered = b"".join(bytes([value]) + plain[row * 41 + 1 : row * 41 + 41] for row in range(40))
        yield File(f"PNG filter {value}", png(40, 40, zlib.compress(filtered)), Fate.REFUSED)
    yield File("PNG data: a wrong sum", png(40, 40, flipped(packed, len(packed) - 1)), Fate.EITHER)
    yield File("PNG data: too much", png(40, 40, zlib.compress(plain * 3)), Fate.EITHER)


def bombs(rng: random.Random) -> Iterator[File]:
    """Small files that unpack to many bytes, or need much work."""
    flat = zlib.compress(bytes(10**8), 9)
    yield File("PNG bomb: 100 MB for 40×40", png(40, 40, flat), Fate.REFUSED)
    yield File("PNG bomb: 100 megapixels", png(10_000, 10_000, flat), Fate.REFUSED)
    yield File("PNG bomb: 4 megapixels of nothing", png(2000, 2000, zlib.compress(bytes(2001 * 2000), 9)), Fate.REFUSED)
    for colour, size in ((2, 3), (4, 2), (6, 4)):
        body = zlib.compress(bytes((2000 * size + 1) * 2000), 9)
        yield File(f"PNG bomb of colour type {colour}", png(2000, 2000, body, colour=colour), Fate.REFUSED)
    yield File("PNG bomb: 16 bits", png(2000, 2000, zlib.compress(bytes(4001 * 2000), 9), depth=16), Fate.REFUSED)
    yield File("PNG of 19,000 chunks", SIGNATURE + chunk(b"teXt", b"") * 19_000, Fate.REFUSED)
    vast = chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)) + chunk(b"IDAT", flat)
    yield File("PNG bomb behind a second header", inserted(encoded(seven(40)), vast), Fate.REFUSED)
    yield File("PNG longer than is taken", encoded(seven()) + rng.randbytes(1 << 20), Fate.REFUSED)
    frame = b"\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00"
    jpeg = bases()["JPEG L"]
    start, end = frame_of(jpeg)
    yield File("JPEG bomb: 65535×65535", jpeg[:start] + frame + jpeg[end:], Fate.REFUSED)
    progressive = bases()["JPEG progressive"]
    scan = progressive.rindex(b"\xff\xda")
    yield File("JPEG bomb: 500 scans", progressive[:-2] + progressive[scan:-2] * 500 + b"\xff\xd9", Fate.REFUSED)
    yield File("blank", encoded(Image.new("L", (40, 40), 255)), Fate.REFUSED)
    for size in ((1, 1), (1, 40), (2, 2)):
        yield File(f"PNG {size}, blank", encoded(Image.new("L", size, 7)), Fate.REFUSED)


def palettes(rng: random.Random) -> Iterator[File]:
    """Missing colours."""
    indices = zlib.compress(rows(grey() % 4))
    for name, colours in {
        "none": None,
        "empty": b"",
        "not thirds": b"abcd",
        "too many": rng.randbytes(3 * 300),
    }.items():
        extra = b"" if colours is None else chunk(b"PLTE", colours)
        yield File(f"PNG palette: {name}", png(40, 40, indices, colour=3, extra=extra), Fate.EITHER)
    yield File("PNG palette: one colour", png(40, 40, indices, colour=3, extra=chunk(b"PLTE", b"abc")), Fate.EITHER)
    long = chunk(b"PLTE", rng.randbytes(12)) + chunk(b"tRNS", bytes(500))
    yield File("PNG palette: too much transparency", png(40, 40, indices, colour=3, extra=long), Fate.EITHER)


def jpegs(rng: random.Random) -> Iterator[File]:
    """Segments of wrong lengths, invalid tables, unsupported kinds."""
    data = bases()["JPEG L"]
    start, end = frame_of(data)
    for marker in (*range(0xC3, 0xD0), 0xF7, 0x01):
        if marker not in {0xC4, 0xC8, 0xCC}:
            yield File(f"JPEG frame {marker:#x}", flip_to(data, start + 1, marker), Fate.REFUSED)
    for width, height in ((0, 0), (0, 40), (40, 0), (65535, 1), (5000, 5000)):
        size = struct.pack(">HH", height, width)
        yield File(f"JPEG of {width}×{height}", data[: start + 5] + size + data[start + 9 :], Fate.REFUSED)
    yield File("JPEG with two frames", data[:end] + data[start:end] + data[end:], Fate.REFUSED)
    yield File("JPEG without a frame", data[:start] + data[end:], Fate.REFUSED)
    for place in (m for m in range(2, data.index(b"\xff\xda")) if data[m] == 0xFF and data[m + 1] > 0xBF):
        for length in (0, 1, 2, 3, 65_535):
            made = data[: place + 2] + struct.pack(">H", length) + data[place + 4 :]
            yield File(f"JPEG segment at {place} of length {length}", made, Fate.EITHER)
    for marker in (0xC4, 0xDB, 0xDD):
        for number in range(4):
            yield File(f"JPEG table {marker:#x} {number}", segment(data, marker, rng.randbytes(70)), Fate.EITHER)
    yield File("JPEG of beginnings", b"\xff\xd8" * 1000, Fate.REFUSED)
    yield File("JPEG of fill bytes", b"\xff\xd8" + b"\xff" * 100_000, Fate.REFUSED)
    yield File("JPEG without pixels", data[: data.index(b"\xff\xda") + 14] + b"\xff\xd9", Fate.EITHER)


def others(rng: random.Random) -> Iterator[File]:
    """Other formats: real pictures and other files."""
    image = seven(40)
    for form in ("GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "EPS"):
        yield File(form, encoded(image, form), Fate.REFUSED)
    texts = {
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "XML bomb": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "&b;"><!ENTITY b "&a;">]><a>&a;</a>',
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + rng.randbytes(100),
        "AVIF": b"\0\0\0\x1cftypavif" + rng.randbytes(100),
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript>>>>endobj\n%%EOF",
        "PostScript": b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file",
        "XPM": b"/* XPM */ static char *a[] = {};",
        "XBM": b"#define a_width 4000000\n#define a_height 4000000\n",
        "HTML": b"<html><script>alert(1)</script>",
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(50),
        "gzip": b"\x1f\x8b\x08" + rng.randbytes(50),
        "pickle": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "MVG": b"push graphic-context\nfill 'url(https://127.0.0.1/)'\npop graphic-context",
        "UTF-16": "digit".encode("utf-16"),
        "zip": archive(),
        "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + rng.randbytes(50),
        "MNG": b"\x8aMNG\r\n\x1a\n" + rng.randbytes(50),
        "JNG": b"\x8bJNG\r\n\x1a\n" + rng.randbytes(50),
    }
    for name, data in texts.items():
        yield File(name, data, Fate.REFUSED)


def polyglots(_: random.Random) -> Iterator[File]:
    """Two formats at once, the wrong one first."""
    sound = bases()
    for name in ("PNG L", "JPEG L"):
        for before in (b"GIF89a", b"BM", b"\n", b" ", b"\xef\xbb\xbf", b"\0", b"%PDF-1.7\n", archive()):
            yield File(f"{name} behind {before[:6]!r}", before + sound[name], Fate.REFUSED)
    yield File("PNG's signature, JPEG's body", SIGNATURE + sound["JPEG L"], Fate.REFUSED)
    yield File("JPEG's signature, PNG's body", b"\xff\xd8\xff" + sound["PNG L"], Fate.REFUSED)
    yield File("PNG's lines ended otherwise", sound["PNG L"].replace(b"\r\n", b"\n"), Fate.REFUSED)


def animations(_: random.Random) -> Iterator[File]:
    """Files with more than one picture."""
    for frames in (0, 2, 1000, 2**32 - 1):
        control = chunk(b"acTL", struct.pack(">II", frames, 0))
        fate = Fate.EITHER if frames == 0 else Fate.REFUSED
        yield File(f"APNG that says {frames} frames", inserted(bases()["PNG L"], control), fate)
    more = [Image.fromarray(np.roll(grey(), shift, 1)) for shift in (3, 6, 9)]
    yield File("APNG", encoded(seven(40), save_all=True, append_images=more), Fate.REFUSED)
    yield File("GIF, animated", encoded(seven(40), "GIF", save_all=True, append_images=more), Fate.REFUSED)


def noise(rng: random.Random) -> Iterator[File]:
    """Random bytes, also after the start of a picture."""
    for number in range(20):
        yield File(f"noise {number}", rng.randbytes(rng.randrange(1, 4000)), Fate.REFUSED)
        yield File(f"PNG, then noise {number}", SIGNATURE + rng.randbytes(rng.randrange(1, 4000)), Fate.REFUSED)
        yield File(f"JPEG, then noise {number}", b"\xff\xd8\xff\xe0" + rng.randbytes(999), Fate.EITHER)
    for byte in (b"\0", b"\xff", b"A"):
        yield File(f"{byte!r} over and over", byte * 100_000, Fate.REFUSED)


def mutations(rng: random.Random) -> Iterator[File]:
    """Valid files with some bytes changed and checksums corrected."""
    sound = list(bases().items())
    for number in range(60):
        name, data = sound[number % len(sound)]
        yield File(f"{name} mutated {number}", mutated(data, rng), Fate.EITHER)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change, remove or insert some bytes; most PNG checksums are corrected."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(made) + 1)
        how = rng.randrange(5)
        if how == 0:
            made[place : place + 1] = bytes([rng.randrange(256)])
        elif how == 1 and place < len(made):
            made[place] ^= 1 << rng.randrange(8)
        elif how == 2:
            del made[place : place + rng.randrange(1, 20)]
        elif how == 3:
            made[place:place] = rng.randbytes(rng.randrange(1, 20))
        else:
            made[place : place + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x01"))
    return corrected(bytes(made)) if rng.random() < 0.8 else bytes(made)


def corrected(data: bytes) -> bytes:
    """A PNG with corrected checksums as far as its chunks can be parsed; other data is unchanged."""
    if not data.startswith(SIGNATURE):
        return data
    made = bytearray(data)
    for _, start, end in borders(data):
        made[end - 4 : end] = struct.pack(">I", zlib.crc32(made[start + 4 : end - 4]))
    return bytes(made)


def borders(data: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk of a PNG."""
    found, place = [], len(SIGNATURE)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            break
        found.append((data[place + 4 : place + 8], place, end))
        place = end
    return found


def inserted(data: bytes, extra: bytes) -> bytes:
    """Insert chunks after the header."""
    return data[:33] + extra + data[33:]


def split(data: bytes, size: int, *, empty: bool = False) -> bytes:
    """Split the pixels into pieces of ``size`` bytes."""
    kept = [(kind, data[start + 8 : end - 4]) for kind, start, end in borders(data)]
    pixels = b"".join(body for kind, body in kept if kind == b"IDAT")
    pieces = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    bodies = [each for piece in pieces for each in ((piece, b"") if empty else (piece,))]
    made = [chunk(b"IDAT", each) for each in bodies]
    return SIGNATURE + b"".join([chunk(*kept[0]), *made, chunk(b"IEND", b"")])


def interlaced(pixels: Grey) -> bytes:
    """The pixels in Adam7's seven passes."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    body = b"".join(rows(pixels[top::down, left::right]) for top, left, down, right in passes)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def segment(data: bytes, marker: int, body: bytes) -> bytes:
    """Insert a segment at the start of a JPEG."""
    return data[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def frame_of(data: bytes) -> tuple[int, int]:
    """Start and end of a baseline JPEG's frame header."""
    start = data.index(b"\xff\xc0")
    return start, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def exif_loop() -> bytes:
    """A directory that is its own successor, with entries that point at it."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x0112, 3, 2**31, 8)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entry + struct.pack("<I", 8)


def archive() -> bytes:
    """A zip with a name that leads out of its folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(zipfile.ZipInfo("../../evil"), b"x")  # of 1980, always
    return file.getvalue()


def flipped(data: bytes, place: int) -> bytes:
    """One byte changed."""
    return flip_to(data, place, data[place] ^ 0xFF)


def flip_to(data: bytes, place: int, value: int) -> bytes:
    """One byte set."""
    return data[:place] + bytes([value]) + data[place + 1 :]
