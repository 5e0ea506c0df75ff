"""The normaliser: invariances, properties of its output, and real handwriting."""

import contextlib
import zipfile

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from loop.data import digits, ink, light
from loop.errors import BadImage
from tests.helpers import shared
from tests.helpers.drawn import box, seven

Grey = NDArray[np.uint8]


@st.composite
def drawings(draw: st.DrawFn) -> Grey:
    """Draw one pen stroke on paper, ``(h, w)`` of 40 to 130: dark on light, thin to bold, pale to black."""
    height, width = draw(st.integers(40, 130)), draw(st.integers(40, 130))
    inside = st.tuples(st.integers(8, width - 9), st.integers(8, height - 9))
    points = draw(st.lists(inside, min_size=2, max_size=6, unique=True))
    assume(max(np.ptp(points, axis=0)) >= 16)  # less is a dot, and rightly dust on large paper
    paper, contrast = draw(st.integers(180, 240)), draw(st.integers(40, 180))
    image = Image.new("L", (width, height), paper)
    ImageDraw.Draw(image).line(points, fill=paper - contrast, width=draw(st.integers(3, 7)))
    return np.asarray(image)


def centre_of_mass(pixels: Grey) -> tuple[float, float]:
    """Return the row and column of the centre of mass."""
    mass, index = pixels.astype(float), np.arange(28)
    return float(mass.sum(1) @ index / mass.sum()), float(mass.sum(0) @ index / mass.sum())


def difference(one: Grey, other: Grey) -> float:
    """Return the mean absolute difference in grey levels, after the best shift of one pixel: centres are rounded."""
    shifts = [np.roll(other, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    return min(float(np.abs(one.astype(int) - shifted).mean()) for shifted in shifts)


@pytest.mark.slow
@settings(deadline=None)
@given(drawings())
def test_the_recipe_holds(drawing: Grey) -> None:
    """The longer side is 20, the ink peaks at 255, the centre of mass is within half a pixel of (14, 14).

    Half a pixel and 0.02 for levels rounded to integers; unless the frame stopped the shift, so that no ink is lost.
    """
    pixels = digits.normalise(drawing)
    assert box(pixels) == 20
    assert pixels.max() == 255
    for off, inked in zip(centre_of_mass(pixels), (pixels.max(1), pixels.max(0)), strict=True):
        assert abs(off - 14) <= 0.52 or inked[0] or inked[-1]


@pytest.mark.slow
@settings(deadline=None)
@given(drawings(), st.integers(-15, 15))
def test_polarity_and_offset_do_not_matter(drawing: Grey, offset: int) -> None:
    """The negative, and a slightly brighter or darker picture, give the same digit bit for bit."""
    pixels = digits.normalise(drawing)
    assert np.array_equal(digits.normalise(255 - drawing), pixels)
    assert np.array_equal(digits.normalise((drawing.astype(int) + offset).astype(np.uint8)), pixels)


@pytest.mark.slow
@settings(deadline=None)
@given(drawings(), st.tuples(*[st.integers(0, 20)] * 4))
def test_more_paper_round_it_does_not_matter(drawing: Grey, margins: tuple[int, int, int, int]) -> None:
    """The position of a digit on the paper does not change it."""
    top, bottom, left, right = margins
    padded = np.pad(drawing, ((top, bottom), (left, right)), constant_values=drawing[0, 0])
    assert np.array_equal(digits.normalise(padded), digits.normalise(drawing))


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(drawings(), st.integers(2, 4))
def test_scale_hardly_matters(drawing: Grey, times: int) -> None:
    """The same drawing at two to four times the size differs only by resampling."""
    enlarged = np.kron(drawing, np.ones((times, times), np.uint8))
    assert difference(digits.normalise(enlarged), digits.normalise(drawing)) < 6


@pytest.mark.slow
@settings(deadline=None)
@given(drawings())
def test_normalising_twice_changes_little(drawing: Grey) -> None:
    """A normalised digit is nearly a fixed point, except for its soft edge below the ink threshold."""
    once = digits.normalise(drawing)
    assert difference(digits.normalise(once), once) < 12


@pytest.mark.slow
def test_mnist_is_nearly_a_fixed_point() -> None:
    """MNIST's images, normalised by MNIST's recipe, change by about one grey level of 255 per pixel."""
    images = shared.mnist_training(1000)
    changes = [difference(digits.normalise(image), image) for image in images]
    assert np.mean(changes) < 1
    assert np.quantile(changes, 0.99) < 6


@pytest.mark.slow
def test_real_scans_are_nearly_a_fixed_point() -> None:
    """Real scans are nearly unchanged when they are normalised again."""
    with zipfile.ZipFile(shared.writers()[1]) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][::10]
        placed = [digits.read(archive.read(name)).pixels for name in names]
    assert np.mean([difference(digits.normalise(pixels), pixels) for pixels in placed]) < 4


# --- what scanners, pencils and lamps do

SEVEN = np.asarray(seven())
PLACED = digits.normalise(SEVEN)
RANDOM = np.random.default_rng(5)


def noisy(image: NDArray[np.float64], sigma: float) -> Grey:
    """Return the image with normal noise added."""
    grain = np.random.default_rng(5).normal(0, sigma, image.shape)
    grey: Grey = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    return grey


@pytest.mark.parametrize(("ink_levels", "sigma"), [(120, 3), (40, 3), (25, 2), (12, 0.7)])
def test_a_faint_pencil_survives(ink_levels: int, sigma: float) -> None:
    """A stroke that exceeds the paper's noise by four deviations is found and becomes fully white."""
    pencil = noisy(230 - (255 - SEVEN.astype(float)) * ink_levels / 215, sigma)
    assert difference(digits.normalise(pencil), PLACED) < 9


@pytest.mark.parametrize("thickness", [1, 2, 5])
@pytest.mark.parametrize("level", [0, 120])
def test_a_scanner_s_frame_is_no_ink(thickness: int, level: int) -> None:
    """A dark border around the paper, darker than the pen or not, is removed."""
    framed = np.pad(SEVEN, thickness + 4, constant_values=255)
    for side in range(4):
        np.rot90(framed, side)[:thickness] = level
    assert difference(digits.normalise(framed), PLACED) < 0.5


def test_a_line_along_one_edge_is_no_ink() -> None:
    """The shadow of a scanner's lid along one edge is removed."""
    lined = SEVEN.copy()
    lined[:, :3] = 90
    assert difference(digits.normalise(lined), PLACED) < 0.5


def test_dust_is_no_ink() -> None:
    """Specks on the paper change neither the box nor the centre."""
    dusty = SEVEN.copy()
    for row, column in RANDOM.integers(0, 98, (15, 2)):
        if SEVEN[max(0, row - 8) : row + 9, max(0, column - 8) : column + 9].min() == 255:
            dusty[row : row + 2, column : column + 2] = 20
    assert (dusty != SEVEN).sum() > 15
    assert difference(digits.normalise(dusty), PLACED) < 0.5


@pytest.mark.parametrize("shade", [0.1, 0.3, 0.5])
def test_a_shadow_across_the_page_is_no_ink(shade: float) -> None:
    """A photo lit from one side, its dark corner at half the light, gives the digit and not the shadow."""
    light = np.linspace(1 - shade, 1, 100)[None, :] * np.linspace(1 - shade / 2, 1, 100)[:, None]
    assert difference(digits.normalise((SEVEN * light).astype(np.uint8)), PLACED) < 6


def test_the_shadow_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without removing the gradient and without a map of the paper, the shadow hides the digit."""
    monkeypatch.setattr(light, "UNEVEN_GREY_LEVELS", 1e9)
    monkeypatch.setattr(ink, "_in_shadow", lambda plane: None)
    lamp = np.linspace(0.5, 1, 100)[None, :] * np.linspace(0.75, 1, 100)[:, None]
    with pytest.raises(BadImage):
        digits.normalise((SEVEN * lamp).astype(np.uint8))


@pytest.mark.parametrize("angle", [0, 0.5, 1.2, 2.5, 4])
@pytest.mark.parametrize("dark", [0.3, 0.55, 0.8])
def test_a_hard_shadow_is_no_ink(angle: float, dark: float) -> None:
    """A hard shadow at any angle across the digit is removed, and the preparation lists ``evened``."""
    placed = ink.place(noisy(SEVEN * shadow(angle, dark), 1.5))
    assert placed.evened
    assert placed.dark_ink
    assert difference(placed.pixels, PLACED) < 12


def test_a_hard_shadow_on_a_dark_board_is_no_ink() -> None:
    """Chalk on a half-lit board gives the digit."""
    board = 40 + 60.0 * (shadow(0.5, 0) > 0.5)
    placed = ink.place(noisy(board + (255 - SEVEN) * 0.6, 1.5))
    assert not placed.dark_ink
    assert difference(placed.pixels, PLACED) < 12


def test_the_hard_shadow_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the map of the paper, the shadow is refused as blank or read as ink."""
    monkeypatch.setattr(ink, "_in_shadow", lambda plane: None)
    with contextlib.suppress(BadImage):
        assert difference(ink.place(noisy(SEVEN * shadow(0.5, 0.55), 1.5)).pixels, PLACED) > 20


@pytest.mark.parametrize("paper", [60, 128, 240])
def test_even_light_is_left_as_it_is(paper: int) -> None:
    """Even light is not changed: the drawing gives the same digit as without a map of the paper."""
    placed = ink.place((SEVEN / 255 * paper).astype(np.uint8))
    assert not placed.evened


def shadow(angle: float, dark: float) -> NDArray[np.float64]:
    """Return 100×100 with a light of 1, and of ``dark`` beyond a straight edge through the middle."""
    down, across = np.mgrid[:100, :100] / 100 - 0.5
    return np.where(across * np.cos(angle) + down * np.sin(angle) < 0.03, 1.0, dark)


def test_a_dashed_stroke_stays_whole() -> None:
    """The pieces of a dashed stroke are one digit."""
    dashed = SEVEN.copy()
    dashed[48:52] = dashed[66:70] = 255
    assert difference(digits.normalise(dashed), PLACED) < 12
    assert box(digits.normalise(dashed)) == 20


def test_a_bold_digit_cropped_tightly_keeps_its_polarity() -> None:
    """If ink covers nearly half of the picture, the border determines the paper."""
    image = Image.new("L", (60, 80), 255)
    ImageDraw.Draw(image).ellipse((4, 4, 56, 76), outline=10, width=16)
    bold = np.asarray(image)
    assert 0.4 < (bold < 128).mean() < 0.6
    assert digits.normalise(bold)[13:16, 13:16].max() == 0, "the hole of the 0"
    assert np.array_equal(digits.normalise(255 - bold), digits.normalise(bold))


@pytest.mark.parametrize("size", [28, 100, 400])
@pytest.mark.parametrize("sigma", [0, 1, 5, 20])
def test_noise_alone_is_no_digit(size: int, sigma: float) -> None:
    """An empty page with any amount of noise is refused."""
    with pytest.raises(BadImage):
        digits.normalise(noisy(np.full((size, size), 200.0), sigma))


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_any_size_is_a_digit_or_a_refusal(height: int, width: int, seed: int, most: int) -> None:
    """Any picture, one pixel wide or pure noise, gives 28×28 or BadImage."""
    picture = np.random.default_rng(seed).integers(0, most + 1, (height, width)).astype(np.uint8)
    with contextlib.suppress(BadImage):
        assert digits.normalise(picture).shape == (28, 28)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (28,), (28, 28, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    """An empty array, a single row, and colours are refused."""
    with pytest.raises(BadImage, match="grey picture"):
        digits.normalise(np.zeros(shape, np.uint8))
