"""Two pictures for people: a contact sheet of digits and confusions side by side. Numbers in, PNG file out.

The same input gives the same bytes: fixed font (the one matplotlib carries), fixed sizes, no date in the file.
matplotlib is loaded only when a picture is asked for, without a window system.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TILE = 84  # a digit's side in pixels: three times its own
_GAP = 14
_EDGE = 24
_INK, _FAINT, _FRAME = "#1b1f24", "#5f6b7a", "#c4ccd6"
_SIZES = {"title": 20, "caption": 15}


def sheet(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    path: Path,
    title: str,
    columns: int = 10,
    empty: str = "Nothing to show: no image belongs here.",
) -> None:
    """Write ``images`` ``(n, 28, 28) uint8``, white ink on black, as dark ink on paper with a caption below each.

    ``captions`` has ``n`` short texts, "7 → 1" say. With no image the sheet says ``empty``. ``OSError`` when the
    file cannot be written, ``ValueError`` for a caption too many or too few.
    """
    if len(images) != len(captions):
        raise ValueError(f"a caption for each of {len(images)} images, got {len(captions)}")
    title_font, caption_font = _font("title"), _font("caption")
    across = max(1, min(columns, len(images)))
    cell = max([_TILE, *(math.ceil(caption_font.getlength(text)) for text in captions)]) + _GAP
    row = _TILE + _SIZES["caption"] + 2 * _GAP
    top = _EDGE + _SIZES["title"] + _EDGE
    body = row * math.ceil(len(images) / across) if len(images) else _SIZES["caption"] + _GAP
    said = [title_font.getlength(title), caption_font.getlength(empty) if not len(images) else 0]
    width = 2 * _EDGE + max(cell * across - _GAP, *map(math.ceil, said))
    page = Image.new("RGB", (width, top + body + _EDGE - _GAP), "white")
    pen = ImageDraw.Draw(page)
    pen.text((_EDGE, _EDGE), title, _INK, title_font, anchor="lt")
    if not len(images):
        pen.text((_EDGE, top), empty, _FAINT, caption_font, anchor="lt")
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, upper = _EDGE + cell * (i % across) + (cell - _GAP - _TILE) // 2, top + row * (i // across)
        page.paste(Image.fromarray(255 - image).resize((_TILE, _TILE), Image.Resampling.BICUBIC), (left, upper))
        pen.rectangle((left - 1, upper - 1, left + _TILE, upper + _TILE), outline=_FRAME)
        pen.text((left + _TILE // 2, upper + _TILE + _GAP // 2), caption, _INK, caption_font, anchor="mt")
    page.save(path, "PNG")


def confusions(
    before: NDArray[Any],
    after: NDArray[Any],
    path: Path,
    titles: tuple[str, str] = ("champion", "challenger"),
) -> None:
    """Write two confusion matrices side by side, ``(10, 10)`` counts, row: digit shown, column: digit answered.

    Both share one scale, made from the errors alone: the diagonal is printed but not coloured, for it would
    drown the rest. Zeros stay blank.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    worst = max(1.0, *(float(_errors(matrix).max()) for matrix in (before, after)))
    # The reader's own matplotlibrc must not decide how a published picture looks.
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(12.6, 6.9), dpi=100)
        FigureCanvasAgg(figure)
        figure.subplots_adjust(left=0.05, right=0.985, bottom=0.085, top=0.9, wspace=0.12)
        for axes, matrix, title in zip(figure.subplots(1, 2), (before, after), titles, strict=True):
            _confusion(axes, matrix, worst, title)
        figure.savefig(path, format="png", metadata={"Software": None})


def _confusion(axes: "Axes", matrix: NDArray[Any], worst: float, title: str) -> None:
    from matplotlib.colors import PowerNorm

    wrong, total = _errors(matrix), float(matrix.sum())
    # The square root lets a single confusion show beside a hundred.
    axes.imshow(np.where(wrong > 0, wrong, np.nan), cmap="Oranges", norm=PowerNorm(0.5, -0.05 * worst, 1.15 * worst))
    for shown, answered in np.ndindex(10, 10):
        count = float(matrix[shown, answered])
        if count == 0:
            continue
        quiet, dark = shown == answered, count > 0.55 * worst
        colour, size = (_FAINT, 9) if quiet else ("white" if dark else _INK, 11)
        axes.text(answered, shown, _count(count), ha="center", va="center", color=colour, fontsize=size)
    summary = f"{_count(float(wrong.sum()))} wrong of {_count(total)}" if total else "no images"
    axes.set_title(f"{title}\n{summary}", fontsize=13, color=_INK)
    axes.set_xlabel("answered", fontsize=12, color=_INK)
    axes.set_ylabel("shown", fontsize=12, color=_INK)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_xticks(np.arange(-0.5, 10), minor=True)
    axes.set_yticks(np.arange(-0.5, 10), minor=True)
    axes.grid(which="minor", color="#e3e7ec", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=12, labelcolor=_INK)
    for spine in axes.spines.values():
        spine.set_color(_FRAME)


def _errors(matrix: NDArray[Any]) -> NDArray[np.float64]:
    wrong = np.array(matrix, dtype=np.float64)
    np.fill_diagonal(wrong, 0)
    return wrong


def _count(value: float) -> str:
    """Weighted counts are estimates: a decimal only where it is most of the number."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _font(use: str) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's own data: Pillow's built-in font has no arrow."""
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _SIZES[use])
