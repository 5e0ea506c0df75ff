"""The domain noun: what is kept bit for bit, what names it, and which labels there are."""

import hashlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from loop.data import digits
from loop.errors import BadImage, BadLabel
from tests.helpers.drawn import Grey, encoded, png, rows, seven

PLACED = digits.normalise(np.asarray(seven()))


# --- kept bit for bit


@settings(deadline=None)
@given(hnp.arrays(np.uint8, (28, 28)))
def test_kept_bit_for_bit(pixels: Grey) -> None:
    """A 28×28 grayscale PNG comes back with every bit, whatever it shows and whichever way its ink is."""
    assume(np.ptp(pixels) >= 8)
    read = digits.read(digits.to_png(pixels))
    assert np.array_equal(read.pixels, pixels)
    assert not read.normalised


@pytest.mark.parametrize("bits", [2, 4])
def test_kept_where_an_optimiser_saved_bits(bits: int) -> None:
    """PNG optimisers store few grey levels in fewer bits; the levels are the same and are kept."""
    levels = np.arange(28 * 28).reshape(28, 28) % (1 << bits)
    packed = np.packbits(((levels[..., None] >> np.arange(bits)[::-1]) & 1).reshape(28, -1).astype(np.uint8), axis=1)
    read = digits.read(png(28, 28, zlib.compress(rows(packed)), depth=bits))
    assert np.array_equal(read.pixels, levels * (255 // ((1 << bits) - 1)))
    assert not read.normalised


def test_jpeg_of_28_is_kept_as_decoded_and_not_turned() -> None:
    """A one-channel 28×28 JPEG is kept as it decodes; its EXIF orientation changes no bit."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(seven(28, 0, 255), "JPEG", exif=exif)
    read = digits.read(file)
    assert np.array_equal(read.pixels, np.asarray(Image.open(io.BytesIO(file))))
    assert not read.normalised


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "I;16"])
def test_28_in_another_mode_is_normalised(mode: str) -> None:
    """Only 8-bit grayscale is what a phone's model saw; 28×28 of another mode is a picture like any other."""
    image = seven(28)
    other = image.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    read = digits.read(encoded(other))
    assert read.normalised
    assert read.pixels[0].max() == 0, "the dark 7 on white must become white on black"


@given(st.integers(0, 248), st.integers(0, 7), st.integers(0, 783))
def test_blank_28_is_refused(level: int, more: int, where: int) -> None:
    """28×28 of one level, or with less than 8 levels between darkest and lightest, is blank."""
    pixels = np.full(28 * 28, level, np.uint8)
    pixels[where] += more
    with pytest.raises(BadImage, match="blank"):
        digits.read(digits.to_png(pixels.reshape(28, 28)))


# --- the value


def test_digit_is_immutable_and_named_by_its_pixels() -> None:
    """The digest is SHA-256 of the 784 bytes; pixels cannot be written; equal pixels make equal digits."""
    pixels = np.arange(784).reshape(28, 28).astype(np.uint8)
    one, other = digits.digit(pixels), digits.digit(pixels.ravel().copy(), normalised=True)
    pixels[0, 0] = 99
    assert one == other
    assert hash(one) == hash(other)
    assert one.pixels[0, 0] == 0
    assert one.digest == hashlib.sha256(one.pixels.tobytes()).hexdigest()
    with pytest.raises(ValueError, match="WRITEABLE"):
        one.pixels.flags.writeable = True
    assert one != digits.digit(pixels)


@pytest.mark.parametrize("wrong", [np.zeros((28, 27), np.uint8), np.zeros((28, 28), np.float32)])
def test_digit_wants_784_bytes(wrong: NDArray[np.generic]) -> None:
    """Another shape or type is refused, not reshaped or cast."""
    with pytest.raises(BadImage, match="28×28"):
        digits.digit(wrong)  # type: ignore[arg-type]  # that is the test


def test_png_is_deterministic() -> None:
    """The same pixels give the same file, with no time or software in it."""
    file = digits.to_png(PLACED)
    assert file == digits.to_png(PLACED.copy(order="F"))
    assert [file[i : i + 4] for i in (12, 37)] == [b"IHDR", b"IDAT"]


@pytest.mark.parametrize("label", [*range(10), np.uint8(3), np.int64(9)])
def test_labels(label: int) -> None:
    """0 to 9 are labels, as Python's or numpy's integers."""
    assert digits.check_label(label) == label
    assert type(digits.check_label(label)) is int


@pytest.mark.parametrize("label", [11, 10, -1, 2**70, 3.0, "3", True, None, np.float32(3), float("nan"), [3]])
def test_bad_labels(label: object) -> None:
    """Anything else is refused with what came."""
    with pytest.raises(BadLabel, match="0 to 9, got"):
        digits.check_label(label)
