"""Every kind of picture gives the same digit or one clear refusal, at a limited cost."""

import contextlib
import time
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from loop.data import digits
from loop.data.digits import DEFAULT_LIMITS, Limits
from loop.errors import BadImage
from tests.helpers import shared
from tests.helpers.drawn import box, chunk, encoded, png, rows, seven

SEVEN = np.asarray(seven())
PLACED = digits.normalise(SEVEN)
SMALL = rows(np.asarray(seven(28)))


# --- every mode, polarity and orientation


def in_every_mode() -> Iterator[tuple[str, bytes]]:
    """Write the same 7 in every kind of file that phones and scanners make."""
    image, inverse = seven(), Image.fromarray(255 - SEVEN)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield mode, encoded(image.convert(mode))
    yield "inverse", encoded(inverse)
    yield "interlaced RGB, compressed hard", encoded(image.convert("RGB"), compress_level=9)
    yield "16 bits", encoded(Image.fromarray(SEVEN.astype(np.uint16) * 257))
    yield "16 bits holding 8", encoded(Image.fromarray(SEVEN.astype(np.uint16)))
    yield "16 bits, transparent white", encoded(Image.fromarray(SEVEN.astype(np.uint16) * 257), transparency=65535)
    yield "black ink on nothing", encoded(Image.merge("LA", (Image.new("L", image.size, 0), inverse)))
    yield "white ink on nothing", encoded(Image.merge("RGBA", [Image.new("L", image.size, 255)] * 3 + [inverse]))
    corners = Image.new("L", image.size, 255)
    corners.paste(0, (0, 0, 15, 15))
    yield "a scan with a corner cut off", encoded(Image.merge("LA", (image, corners)))
    yield "L, white transparent", encoded(image, transparency=255)
    yield "RGB, white transparent", encoded(image.convert("RGB"), transparency=(255, 255, 255))
    yield "P, white transparent", encoded(image.point(lambda v: 255 * (v > 128)).convert("P"), transparency=255)
    for mode in ("L", "RGB", "CMYK"):
        yield f"JPEG {mode}", encoded(image.convert(mode), "JPEG", quality=95)
    yield "JPEG, progressive", encoded(image, "JPEG", quality=95, progressive=True)


@pytest.mark.parametrize(("name", "file"), [pytest.param(*each, id=each[0]) for each in in_every_mode()])
def test_every_mode_gives_the_same_digit(name: str, file: bytes) -> None:
    """The mode, polarity, transparency and format of the file do not change the digit."""
    read = digits.read(file)
    assert read.normalised
    assert np.abs(read.pixels.astype(int) - PLACED).mean() < (0.2 if "JPEG" not in name and name != "1" else 1.5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "PNG, grey"])
def test_photos_are_turned_upright(form: str, orientation: int) -> None:
    """The EXIF orientation of a photo, in a JPEG or in a PNG's eXIf, is applied."""
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
    turns |= {7: "TRANSVERSE", 8: "ROTATE_90"}
    stored = seven()
    if orientation > 1:
        stored = stored.transpose(Image.Transpose[turns[back[orientation]]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    mode = "L" if "grey" in form else "RGB"
    read = digits.read(encoded(stored.convert(mode), form.partition(",")[0], quality=95, exif=exif))
    assert np.abs(read.pixels.astype(int) - PLACED).mean() < 1.5
    assert read.preparation.count("; ") == (2 if orientation > 1 else 1), "the turn stands before inverted; fitted"


@pytest.mark.parametrize("path", sorted(shared.WRITERS.glob("*.zip")), ids=lambda path: path.stem)
def test_real_scans_of_every_mode(path: Path) -> None:
    """Real scans (1-bit, RGB, RGBA, faint and small) become digits 20 pixels tall or wide, white on black."""
    with zipfile.ZipFile(path) as archive:
        for name in [name for name in archive.namelist() if name.endswith(".png")][::67]:
            pixels = digits.read(archive.read(name)).pixels
            assert box(pixels) == 20
            assert 0.03 < (pixels > 0).mean() < 0.5
            assert pixels.max() == 255


def test_an_orientation_that_makes_no_sense_is_none() -> None:
    """A PNG's eXIf that is cut off, of an unknown order or out of range leaves the picture as it is stored."""
    stored = encoded(seven())
    for body in (b"", b"MM", b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0\1\0"):
        assert digits.read(stored[:33] + chunk(b"eXIf", body) + stored[33:]).preparation == "inverted; fitted"


def test_real_scans_are_there() -> None:
    """This test is skipped, with a reason, if the European writers are missing and the test above read no file."""
    assert len(shared.writers()) >= 11


# --- refusals

BAD = {
    "0 bytes": (b"", "empty"),
    "text renamed to PNG": (b"Dear Sir or Madam,\n", "expected a PNG or JPEG"),
    "GIF": (encoded(seven(), "GIF"), "expected a PNG or JPEG"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "cut off"),
    "PNG cut off": (encoded(seven())[:-20], "cut off"),
    "PNG with one bit flipped": (png(28, 28, zlib.compress(SMALL)).replace(b"IDAT\x78", b"IDAT\x79"), "checksum"),
    "PNG with half its pixels": (png(28, 28, zlib.compress(SMALL[:400])), "damaged"),
    "PNG without pixels": (png(28, 28, b""), "damaged"),
    "PNG with pixels that are no zlib": (png(28, 28, b"not zlib at all"), "damaged"),
    "PNG with a wrong zlib checksum": (png(28, 28, zlib.compress(SMALL)[:-1] + b"?"), "damaged"),
    "PNG with an unknown filter": (png(28, 28, zlib.compress(b"\x09" + SMALL[1:])), "damaged"),
    "PNG without its header": (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "header"),
    "PNG of an unknown colour type": (png(28, 28, zlib.compress(SMALL), colour=5), "damaged"),
    "20,000 pixels a side": (png(20_000, 20_000, zlib.compress(SMALL)), "20000×20000"),
    "20,000 pixels wide": (png(20_000, 1, zlib.compress(SMALL)), "got 20000×1;"),
    "9 megapixels": (png(3000, 3000, zlib.compress(SMALL)), "at most 4,000,000 pixels, got 3000×3000"),
    "2**32 - 1 pixels wide": (png(2**32 - 1, 28, zlib.compress(SMALL)), "4294967295×28"),
    "no pixels high": (png(28, 0, zlib.compress(SMALL)), "has no pixels"),
    "animation": (encoded(seven(), save_all=True, append_images=[seven().rotate(90)]), "animated"),
    "JPEG cut off": (encoded(seven(), "JPEG")[:-200], "damaged"),
    "JPEG cut off in its header": (encoded(seven(), "JPEG")[:100], "cut off"),
    "JPEG of arithmetic coding": (encoded(seven(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1), "rare kind"),
    "JPEG of a thousand scans": (encoded(seven(), "JPEG") + b"\xff\xda\0\2" * 1000, "scans"),
    "blank page": (encoded(Image.new("RGB", (280, 280), (3, 99, 200))), "blank"),
    "nothing but transparency": (encoded(Image.new("RGBA", (50, 50), (0, 0, 0, 0))), "blank"),
    "one grain of dust": (
        encoded(Image.fromarray(np.pad(np.zeros((2, 2), np.uint8), 60, constant_values=255))),
        "dust",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    """Each file is refused in one line with the fault and the next step."""
    file, message = BAD[case]
    with pytest.raises(BadImage, match=message) as refusal:
        digits.read(file)
    assert "\n" not in str(refusal.value)
    assert "; " in str(refusal.value), "what to do stands last"


def test_file_over_the_byte_limit() -> None:
    """The number of bytes is checked first; a file of exactly the limit is accepted."""
    file = encoded(seven())
    assert digits.read(file, Limits(bytes=len(file))).normalised
    with pytest.raises(BadImage, match=f"at most {len(file) - 1:,}"):
        digits.read(file, Limits(bytes=len(file) - 1))


def test_sides_at_the_limits() -> None:
    """Sides and an area at the limits are accepted; one pixel more is refused."""
    file = encoded(seven(200))
    assert digits.read(file, Limits(side=200, pixels=40_000)).normalised
    for tight in (Limits(side=199), Limits(pixels=39_999)):
        with pytest.raises(BadImage):
            digits.read(file, tight)


BOMBS = {
    "declared": lambda: png(20_000, 20_000, zlib.compress(bytes(100 << 20), 9)),
    "more pixels than declared": lambda: png(28, 28, zlib.compress(SMALL + bytes(100 << 20), 9)),
    "a comment that unpacks": lambda: png(
        28, 28, zlib.compress(SMALL), extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 9)) * 2
    ),
    "a profile that unpacks": lambda: png(
        28, 28, zlib.compress(SMALL), extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100 << 20), 9))
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_cost_nothing(bomb: str) -> None:
    """A file that unpacks to 100 MB is refused within a second, with memory of a few times its own size."""
    file = BOMBS[bomb]()
    tracemalloc.start()
    began = time.process_time()
    with contextlib.suppress(BadImage):
        digits.read(file)
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(file) < DEFAULT_LIMITS.bytes, "the byte limit alone must not be what stopped it"
    assert took < 1
    assert peak < 8 << 20


SEEDS = [file for _, file in in_every_mode()] + [encoded(seven(28)), encoded(seven(20).convert("P"), "PNG")]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), min_size=1), st.booleans()
)
def test_damage_anywhere_is_a_digit_or_a_refusal(seed: bytes, edits: list[tuple[int, bytes]], mend: bool) -> None:
    """Any overwritten bytes raise only BadImage, without a warning, also with corrected PNG checksums."""
    file = bytearray(seed)
    for position, body in edits:
        at = 2 + position % (len(file) - 2)
        file[at : at + len(body)] = body
    judge(mended(bytes(file)) if mend else bytes(file))


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xc0"]), st.binary(max_size=300))
def test_any_bytes_are_a_refusal(begin: bytes, rest: bytes) -> None:
    """Any bytes give a digit or raise BadImage."""
    judge(begin + rest)


def judge(file: bytes) -> None:
    """Read the file; check that it gives a complete digit or a refusal of one short line."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert digits.read(file).pixels.shape == (28, 28)
            return
        except BadImage as error:
            refusal = str(error)
    assert "\n" not in refusal
    assert len(refusal) < 300


def mended(file: bytes) -> bytes:
    """Return a PNG with every checksum corrected, so that damage reaches the decoder."""
    kept, position = [file[:8]], 8
    while position + 12 <= len(file):
        end = position + 12 + int.from_bytes(file[position : position + 4], "big")
        if end > len(file):
            break
        kept.append(chunk(file[position + 4 : position + 8], file[position + 8 : end - 4]))
        position = end
    return b"".join(kept)
