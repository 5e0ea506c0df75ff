"""The same input gives the same picture, and nothing in it is cut off or hidden."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loop.evaluation import plots


def strokes(n: int) -> np.ndarray:
    """White vertical strokes, each a pixel further to the right."""
    images = np.zeros((n, 28, 28), np.uint8)
    for i in range(n):
        images[i, 4:24, 4 + i % 20] = 255
    return images


def pixels(path: Path) -> np.ndarray:
    """The file as ``(height, width, 3)`` integers."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def coloured(path: Path) -> int:
    """The number of pixels that are clearly not grey."""
    return int((np.ptp(pixels(path), axis=2) > 60).sum())


def test_a_sheet_is_the_same_file_every_time(tmp_path: Path) -> None:
    """The PNG contains no date, no version and nothing random."""
    for name in ("a.png", "b.png"):
        plots.sheet(strokes(13), ["7 → 1"] * 13, tmp_path / name, "Fixed")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_sheet_shows_dark_ink_on_paper_with_a_margin(tmp_path: Path) -> None:
    """The page shows the digits in dark ink, is light, and has a blank margin."""
    plots.sheet(strokes(12), ["7 → 1  93 %"] * 12, tmp_path / "a.png", "Fixed", columns=5)
    page = pixels(tmp_path / "a.png")
    assert (page < 40).any()
    assert page.mean() > 200
    for edge in (page[:8], page[-8:], page[:, :8], page[:, -8:]):
        assert (edge == 255).all()


def test_a_long_caption_or_title_widens_the_page(tmp_path: Path) -> None:
    """A title or caption wider than its image widens the page, so text is never cut."""
    plots.sheet(strokes(1), ["7"], tmp_path / "short.png", "Fixed")
    plots.sheet(strokes(1), ["7"], tmp_path / "title.png", "Fixed " * 20)
    plots.sheet(strokes(1), ["7 → 1 with a long remark"], tmp_path / "caption.png", "Fixed")
    widths = [pixels(tmp_path / f"{name}.png").shape[1] for name in ("short", "title", "caption")]
    assert widths[1] > 3 * widths[0]
    assert widths[2] > widths[0]
    assert (pixels(tmp_path / "title.png")[:, -8:] == 255).all()


def test_an_empty_sheet_says_so(tmp_path: Path) -> None:
    """Without images the page contains a sentence, which the caller may replace."""
    none = np.zeros((0, 28, 28), np.uint8)
    plots.sheet(none, [], tmp_path / "default.png", "Fixed")
    plots.sheet(none, [], tmp_path / "own.png", "Fixed", empty="Nothing was fixed: there was no error to fix.")
    assert (pixels(tmp_path / "default.png")[60:] < 200).any()
    assert (tmp_path / "default.png").read_bytes() != (tmp_path / "own.png").read_bytes()


def test_the_arrow_is_in_the_font(tmp_path: Path) -> None:
    """The font contains the arrow: it is not drawn as the box for an unknown character."""
    for name, caption in (("arrow", "→"), ("unknown", "\U0001f9ff")):
        plots.sheet(strokes(1), [caption], tmp_path / f"{name}.png", "Fixed")
    assert (tmp_path / "arrow.png").read_bytes() != (tmp_path / "unknown.png").read_bytes()


def test_captions_must_match_the_images(tmp_path: Path) -> None:
    """A sheet with too few captions is refused and not written."""
    with pytest.raises(ValueError, match="expected 2 captions, one for each image, got 1"):
        plots.sheet(strokes(2), ["7"], tmp_path / "a.png", "Fixed")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
def test_confusions_are_the_same_file_every_time(tmp_path: Path) -> None:
    """The PNG contains neither matplotlib's version nor a date."""
    matrix = np.diag(np.arange(10)) + np.eye(10, k=1, dtype=int) * 3
    for name in ("a.png", "b.png"):
        plots.confusions(matrix, matrix.T, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "a.png").read_bytes()


@pytest.mark.slow
def test_the_diagonal_does_not_hide_one_error(tmp_path: Path) -> None:
    """A thousand right answers per digit have no colour; a single error among ten thousand has one."""
    right = np.diag([1000] * 10)
    one = right.copy()
    one[7, 1] = 1
    plots.confusions(right, right, tmp_path / "right.png")
    plots.confusions(one, right, tmp_path / "one.png")
    assert coloured(tmp_path / "right.png") == 0
    assert coloured(tmp_path / "one.png") > 1000


@pytest.mark.slow
def test_both_sides_share_one_scale(tmp_path: Path) -> None:
    """The same count has the same colour in both matrices, so that they can be compared."""
    before, after = np.zeros((10, 10)), np.zeros((10, 10))
    before[7, 1], before[4, 9], after[4, 9] = 100, 9, 9
    plots.confusions(before, after, tmp_path / "a.png")
    page = pixels(tmp_path / "a.png")
    half = page.shape[1] // 2
    fills = [
        Counter(tuple(p) for p in side.reshape(-1, 3) if np.ptp(p) > 60) for side in (page[:, :half], page[:, half:])
    ]
    ((shade, area),) = fills[1].most_common(1)
    assert area > 1000
    assert fills[0][shade] > 1000


@pytest.mark.slow
def test_no_images_at_all_is_still_a_picture(tmp_path: Path) -> None:
    """Empty matrices give a picture, without a warning or a division by zero."""
    with np.errstate(all="raise"):
        plots.confusions(np.zeros((10, 10)), np.zeros((10, 10)), tmp_path / "a.png", ("before", "after"))
    assert pixels(tmp_path / "a.png").shape == (690, 1260, 3)


@pytest.mark.slow
def test_nothing_heavy_is_loaded_before_a_picture_is_asked_for() -> None:
    """Importing plots, power and scoring loads neither matplotlib, scipy, scikit-learn, TensorFlow nor SQLAlchemy."""
    code = (
        "import sys; import loop.evaluation.plots, loop.evaluation.power, loop.evaluation.scoring; "
        "print([m for m in ('matplotlib', 'scipy', 'sklearn', 'tensorflow', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_learning_curves_are_the_same_file_every_time(tmp_path: Path) -> None:
    """Two coloured lines with bands, and a long title that is wrapped and not cut."""
    curves = [
        plots.Curve("asked", [0, 10, 25], [90, 94, 95], [88, 92, 94], [92, 95, 96]),
        plots.Curve("random", [0, 10], [90, 91], [88, 89], [92, 93]),
    ]
    for name in ("a.png", "b.png"):
        plots.learning_curves(curves, tmp_path / name, "to reach 94.5 % " * 12)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert coloured(tmp_path / "a.png") > 500
    assert (pixels(tmp_path / "a.png")[:, -8:] == 255).all()
