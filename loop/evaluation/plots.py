"""Draw a contact sheet of digits, two confusion matrices side by side, learning curves: arrays → PNG file.

The same input gives the same bytes: a fixed font (the one shipped with matplotlib), fixed sizes, no date in the file.
matplotlib is imported only when a picture is drawn, and needs no window system.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TILE_PIXELS = 84  # side of a drawn digit: three times 28
_GAP_PIXELS = 14
_EDGE_PIXELS = 24
_INK, _FAINT, _FRAME = "#1b1f24", "#5f6b7a", "#c4ccd6"
_CURVES = ("#c2410c", "#2563eb", "#15803d", "#7c3aed")
_FONT_PIXELS = {"title": 20, "caption": 15}


def sheet(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    path: Path,
    title: str,
    columns: int = 10,
    empty: str = "Nothing to show: no image belongs here.",
) -> None:
    """Draw ``images`` ``(n, 28, 28) uint8``, white ink on black, as dark ink on paper with a caption below each.

    ``captions`` has ``n`` short texts, such as "7 → 1". Without images the sheet contains the text ``empty``. Raises
    ``OSError`` if the file cannot be written, ``ValueError`` if the numbers of captions and images differ.
    """
    if len(images) != len(captions):
        raise ValueError(f"expected {len(images)} captions, one for each image, got {len(captions)}")
    title_font, caption_font = _font("title"), _font("caption")
    across = max(1, min(columns, len(images)))
    cell = max([_TILE_PIXELS, *(math.ceil(caption_font.getlength(text)) for text in captions)]) + _GAP_PIXELS
    row = _TILE_PIXELS + _FONT_PIXELS["caption"] + 2 * _GAP_PIXELS
    top = _EDGE_PIXELS + _FONT_PIXELS["title"] + _EDGE_PIXELS
    body = row * math.ceil(len(images) / across) if len(images) else _FONT_PIXELS["caption"] + _GAP_PIXELS
    texts = [title_font.getlength(title), caption_font.getlength(empty) if not len(images) else 0]
    width = 2 * _EDGE_PIXELS + max(cell * across - _GAP_PIXELS, *map(math.ceil, texts))
    page = Image.new("RGB", (width, top + body + _EDGE_PIXELS - _GAP_PIXELS), "white")
    pen = ImageDraw.Draw(page)
    pen.text((_EDGE_PIXELS, _EDGE_PIXELS), title, _INK, title_font, anchor="lt")
    if not len(images):
        pen.text((_EDGE_PIXELS, top), empty, _FAINT, caption_font, anchor="lt")
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, upper = (
            _EDGE_PIXELS + cell * (i % across) + (cell - _GAP_PIXELS - _TILE_PIXELS) // 2,
            top + row * (i // across),
        )
        page.paste(
            Image.fromarray(255 - image).resize((_TILE_PIXELS, _TILE_PIXELS), Image.Resampling.BICUBIC), (left, upper)
        )
        pen.rectangle((left - 1, upper - 1, left + _TILE_PIXELS, upper + _TILE_PIXELS), outline=_FRAME)
        pen.text(
            (left + _TILE_PIXELS // 2, upper + _TILE_PIXELS + _GAP_PIXELS // 2),
            caption,
            _INK,
            caption_font,
            anchor="mt",
        )
    page.save(path, "PNG")


def confusions(
    before: NDArray[Any],
    after: NDArray[Any],
    path: Path,
    titles: tuple[str, str] = ("champion", "challenger"),
) -> None:
    """Draw two confusion matrices side by side: ``(10, 10)`` counts, rows are true digits, columns are answers.

    Both share one colour scale, derived from the errors alone. The diagonal is printed but not coloured, because it
    would hide the rest. Zeros stay blank.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    worst = max(1.0, *(float(_errors(matrix).max()) for matrix in (before, after)))
    # A user's own matplotlibrc must not change how a published picture looks.
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(12.6, 6.9), dpi=100)
        FigureCanvasAgg(figure)
        figure.subplots_adjust(left=0.05, right=0.985, bottom=0.085, top=0.9, wspace=0.12)
        for axes, matrix, title in zip(figure.subplots(1, 2), (before, after), titles, strict=True):
            _confusion(axes, matrix, worst, title)
        figure.savefig(path, format="png", metadata={"Software": None})


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve in percent, with its interval; all lists have one entry for each number of labels."""

    name: str
    labels: Sequence[int]
    accuracy: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def learning_curves(curves: Sequence[Curve], path: Path, title: str, target: float | None = None) -> None:
    """Draw accuracy against the number of labels, each curve with its interval as a band. Raises ``OSError``.

    ``target`` is an accuracy in per cent, drawn as a line across. The axis of labels is linear up to the first size and
    logarithmic from there, since the first labels change most.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(9.6, 6.0), dpi=100)
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.09, right=0.97, bottom=0.1, top=0.86)
        for curve, colour, mark in zip(curves, _CURVES, "os^D", strict=False):
            axes.fill_between(curve.labels, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(curve.labels, curve.accuracy, color=colour, marker=mark, markersize=5, label=curve.name)
        if target is not None:
            axes.axhline(target, color=_INK, linestyle="--", linewidth=1, label=f"{target:.1f} %")
        sizes = sorted({size for curve in curves for size in curve.labels})
        first = min((size for size in sizes if size > 0), default=1)
        axes.set_xscale("symlog", linthresh=first, linscale=0.5)
        axes.set_xlim(-0.1 * first, 1.15 * max(sizes, default=first))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_title("\n".join(textwrap.wrap(title, 100)), fontsize=11, color=_INK)
        axes.set_xlabel("answers taught", fontsize=12, color=_INK)
        axes.set_ylabel("accuracy for all users, %", fontsize=12, color=_INK)
        axes.grid(color="#e3e7ec", linewidth=0.8)
        axes.legend(loc="lower right", frameon=False, fontsize=11)
        figure.savefig(path, format="png", metadata={"Software": None})


def _confusion(axes: "Axes", matrix: NDArray[Any], worst: float, title: str) -> None:
    from matplotlib.colors import PowerNorm

    wrong, total = _errors(matrix), float(matrix.sum())
    # The square root keeps a single confusion visible beside a hundred.
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
    """Weighted counts are estimates, so only values below 10 get a decimal."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _font(use: str) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's data, because Pillow's built-in font has no arrow."""
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _FONT_PIXELS[use])
