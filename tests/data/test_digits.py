"""A digit: the images that are kept bit for bit, the digest, and the valid labels."""

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

from loop.data import digits, polarity
from loop.data.polarity import Polarity
from loop.errors import BadImage, BadLabel
from tests.helpers import shared
from tests.helpers.drawn import Grey, encoded, png, rows, seven

PLACED = digits.normalise(np.asarray(seven()))


# --- kept bit for bit


@settings(deadline=None)
@given(hnp.arrays(np.uint8, (28, 28)))
def test_kept_bit_for_bit(pixels: Grey) -> None:
    """A 28×28 grayscale PNG that is not clearly black on white is kept bit for bit, whatever it shows."""
    assume(np.ptp(pixels) >= 8)
    assume(pixels.max() > 16)
    assume(polarity.of(pixels) is not Polarity.DARK_INK)
    read = digits.read(digits.to_png(pixels))
    assert np.array_equal(read.pixels, pixels)
    assert (read.preparation, read.normalised) == ("kept", False)


@pytest.mark.parametrize("bits", [2, 4])
def test_kept_where_an_optimiser_saved_bits(bits: int) -> None:
    """PNG optimisers store few grey levels in fewer bits; the levels are the same and are kept."""
    levels = np.arange(28 * 28).reshape(28, 28) % (1 << bits)
    packed = np.packbits(((levels[..., None] >> np.arange(bits)[::-1]) & 1).reshape(28, -1).astype(np.uint8), axis=1)
    read = digits.read(png(28, 28, zlib.compress(rows(packed)), depth=bits))
    assert np.array_equal(read.pixels, levels * (255 // ((1 << bits) - 1)))
    assert not read.normalised


def test_jpeg_of_28_is_kept_as_decoded() -> None:
    """A one-channel 28×28 JPEG, white on black, is kept as it decodes."""
    file = encoded(seven(28, 0, 255), "JPEG")
    read = digits.read(file)
    assert np.array_equal(read.pixels, np.asarray(Image.open(io.BytesIO(file))))
    assert read.preparation == "kept"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_28_with_an_orientation_is_turned_and_otherwise_kept(form: str) -> None:
    """An EXIF orientation is applied at 28×28 too: the pixels move, and the preparation lists it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(seven(28, 0, 255), form, exif=exif)
    read = digits.read(file)
    assert np.array_equal(read.pixels, np.rot90(np.asarray(Image.open(io.BytesIO(file))), 3))
    assert read.preparation == "turned 90"


# --- black on white


def test_28_black_on_white_is_inverted() -> None:
    """28×28 grayscale that is clearly black on white becomes 255 minus each level, and the preparation lists it."""
    drawn = np.asarray(seven(28))
    read = digits.read(digits.to_png(drawn))
    assert np.array_equal(read.pixels, 255 - drawn)
    assert (read.preparation, read.normalised) == ("inverted", True)


def test_28_on_grey_paper_is_fitted() -> None:
    """If the paper is not white, the normaliser places the digit, because 255 minus the level would be grey."""
    drawn = np.asarray(seven(28, 170, 40))
    read = digits.read(digits.to_png(drawn))
    assert np.array_equal(read.pixels, digits.normalise(drawn))
    assert read.preparation == "inverted; fitted"


@pytest.mark.slow
def test_mnist_either_way_round_is_one_digit() -> None:
    """4,000 of 4,000 MNIST training images are kept, and their negatives become the same digits."""
    for image in shared.mnist_training(4000):
        kept, inverted = digits.read(digits.to_png(image)), digits.read(digits.to_png(255 - image))
        assert kept == inverted
        assert (kept.preparation, inverted.preparation) == ("kept", "inverted")


@pytest.mark.parametrize("level", [0, 40, 90])
def test_bold_white_ink_is_not_taken_for_paper(level: int) -> None:
    """A bold white digit with a dark border is kept, even if half of the picture is ink."""
    bold = np.full((28, 28), level, np.uint8)
    bold[4:24, 4:24] = 255
    assert digits.read(digits.to_png(bold)).preparation == "kept"


@pytest.mark.parametrize("full", [1, 3, 16])
def test_28_of_another_scale_is_refused(full: int) -> None:
    """Levels of 0 to 1 or 0 to 16 are nearly black for a model: the message has the levels and the next step."""
    with pytest.raises(BadImage, match=rf"nearly black: expected levels up to 255, got 0 to {full}; .* multiply"):
        digits.read(digits.to_png(np.asarray(seven(28, 0, full))))


@pytest.mark.parametrize(
    ("picture", "preparation"),
    [(seven(100, 0, 255), "fitted"), (seven(100), "inverted; fitted"), (seven(28).convert("RGB"), "inverted; fitted")],
)
def test_a_normalised_picture_has_its_treatment(picture: Image.Image, preparation: str) -> None:
    """The preparation of a normalised picture names its polarity."""
    assert digits.read(encoded(picture)).preparation == preparation


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "I;16"])
def test_28_in_another_mode_is_normalised(mode: str) -> None:
    """28×28 of a mode other than 8-bit grayscale is normalised, because a phone's model gets only that mode."""
    image = seven(28)
    other = image.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    read = digits.read(encoded(other))
    assert read.normalised
    assert read.pixels[0].max() == 0, "the dark 7 on white must become white on black"


@given(st.integers(0, 248), st.integers(0, 7), st.integers(0, 783))
def test_blank_28_is_refused(level: int, more: int, where: int) -> None:
    """28×28 of one level, or with less than 8 levels between darkest and lightest, is blank or nearly black."""
    pixels = np.full(28 * 28, level, np.uint8)
    pixels[where] += more
    with pytest.raises(BadImage, match=r"blank|nearly black"):
        digits.read(digits.to_png(pixels.reshape(28, 28)))


# --- the value


def test_digit_is_immutable_and_named_by_its_pixels() -> None:
    """The digest is the SHA-256 of the 784 bytes; pixels are read-only; equal pixels make equal digits."""
    pixels = np.arange(784).reshape(28, 28).astype(np.uint8)
    one, other = digits.digit(pixels), digits.digit(pixels.ravel().copy(), "fitted")
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
    """Pixels of another shape or type are refused, not reshaped or cast."""
    with pytest.raises(BadImage, match="28×28"):
        digits.digit(wrong)  # type: ignore[arg-type]  # that is the test


def test_png_is_deterministic() -> None:
    """Equal pixels give equal files, without a time or software name."""
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
    """Any other label is refused with its value."""
    with pytest.raises(BadLabel, match="0 to 9, got"):
        digits.check_label(label)
