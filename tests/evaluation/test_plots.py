"""The two pictures: the same input gives the same file, and nothing in it is cut off or drowned."""

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
    """How many pixels are clearly no grey."""
    return int((np.ptp(pixels(path), axis=2) > 60).sum())


def test_a_sheet_is_the_same_file_every_time(tmp_path: Path) -> None:
    """No date, no version, no randomness in the PNG."""
    for name in ("a.png", "b.png"):
        plots.sheet(strokes(13), ["7 → 1"] * 13, tmp_path / name, "Fixed")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_sheet_shows_dark_ink_on_paper_with_a_margin(tmp_path: Path) -> None:
    """The digits are there, the page is light, and the outermost pixels are blank: nothing is cut off."""
    plots.sheet(strokes(12), ["7 → 1  93 %"] * 12, tmp_path / "a.png", "Fixed", columns=5)
    page = pixels(tmp_path / "a.png")
    assert (page < 40).any()
    assert page.mean() > 200
    for edge in (page[:8], page[-8:], page[:, :8], page[:, -8:]):
        assert (edge == 255).all()


def test_a_long_caption_or_title_widens_the_page(tmp_path: Path) -> None:
    """Text is never cut: one image under a long title, and one with a caption wider than itself."""
    plots.sheet(strokes(1), ["7"], tmp_path / "short.png", "Fixed")
    plots.sheet(strokes(1), ["7"], tmp_path / "title.png", "Fixed " * 20)
    plots.sheet(strokes(1), ["7 → 1 with a long remark"], tmp_path / "caption.png", "Fixed")
    widths = [pixels(tmp_path / f"{name}.png").shape[1] for name in ("short", "title", "caption")]
    assert widths[1] > 3 * widths[0]
    assert widths[2] > widths[0]
    assert (pixels(tmp_path / "title.png")[:, -8:] == 255).all()


def test_an_empty_sheet_says_so(tmp_path: Path) -> None:
    """With no image there is still a page with a sentence, and the sentence is the caller's."""
    none = np.zeros((0, 28, 28), np.uint8)
    plots.sheet(none, [], tmp_path / "default.png", "Fixed")
    plots.sheet(none, [], tmp_path / "own.png", "Fixed", empty="Nothing was fixed: there was no error to fix.")
    assert (pixels(tmp_path / "default.png")[60:] < 200).any()
    assert (tmp_path / "default.png").read_bytes() != (tmp_path / "own.png").read_bytes()


def test_the_arrow_is_in_the_font(tmp_path: Path) -> None:
    """A font without the arrow would draw the same box for it as for any unknown sign."""
    for name, caption in (("arrow", "→"), ("unknown", "\U0001f9ff")):
        plots.sheet(strokes(1), [caption], tmp_path / f"{name}.png", "Fixed")
    assert (tmp_path / "arrow.png").read_bytes() != (tmp_path / "unknown.png").read_bytes()


def test_captions_must_match_the_images(tmp_path: Path) -> None:
    """A caption too few is a mistake, not a shorter sheet."""
    with pytest.raises(ValueError, match="each of 2 images, got 1"):
        plots.sheet(strokes(2), ["7"], tmp_path / "a.png", "Fixed")
    assert not (tmp_path / "a.png").exists()


def test_confusions_are_the_same_file_every_time(tmp_path: Path) -> None:
    """matplotlib's own version and date stay out of the PNG."""
    matrix = np.diag(np.arange(10)) + np.eye(10, k=1, dtype=int) * 3
    for name in ("a.png", "b.png"):
        plots.confusions(matrix, matrix.T, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "a.png").read_bytes()


def test_the_diagonal_does_not_drown_one_error(tmp_path: Path) -> None:
    """A thousand right answers a digit have no colour; a single error among ten thousand has."""
    right = np.diag([1000] * 10)
    one = right.copy()
    one[7, 1] = 1
    plots.confusions(right, right, tmp_path / "right.png")
    plots.confusions(one, right, tmp_path / "one.png")
    assert coloured(tmp_path / "right.png") == 0
    assert coloured(tmp_path / "one.png") > 1000


def test_both_sides_share_one_scale(tmp_path: Path) -> None:
    """The same count has the same colour before and after, or the pictures could not be compared."""
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


def test_no_images_at_all_is_still_a_picture(tmp_path: Path) -> None:
    """Empty matrices give a page without a warning or a division by zero."""
    with np.errstate(all="raise"):
        plots.confusions(np.zeros((10, 10)), np.zeros((10, 10)), tmp_path / "a.png", ("before", "after"))
    assert pixels(tmp_path / "a.png").shape == (690, 1260, 3)


def test_nothing_heavy_is_loaded_before_a_picture_is_asked_for() -> None:
    """Importing the judge and the plots loads neither matplotlib nor scipy nor TensorFlow."""
    code = (
        "import sys; import loop.evaluation.plots, loop.evaluation.power, loop.evaluation.scoring; "
        "print([m for m in ('matplotlib', 'scipy', 'sklearn', 'tensorflow', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
