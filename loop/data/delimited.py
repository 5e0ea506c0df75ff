"""Digits as rows of numbers in a text file: Kaggle's CSV, optdigits, USPS, Semeion. For ``handwriting``.

A row is a label and the pixels of a square picture, the label first or last; Semeion's ten columns of 0 and 1 stand for
it too. Commas, semicolons, tabs or blanks separate; a first row of names is allowed, and where names number the pixels
they decide the order. Rules: bytes and rows are limited before they are parsed; a row that does not fit is named with
its number and left out; what cannot be told from the file is refused, not guessed.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 128 << 20  # Kaggle's train.csv has 77 million
MOST_ROWS = 200_000
SIDES = {8: "optdigits", 16: "USPS", 20: "MATLAB's course set", 28: "MNIST", 32: "padded MNIST"}
ONE_HOT = 16 * 16 + 10  # columns of Semeion
LABEL_NAMES = frozenset({"label", "labels", "class", "target", "digit", "y"})
LOOKED_AT = 1000  # rows, to see which column is the label
CONSTANT = 0.8  # share of rows with one value, above which a column is a pixel of the paper

Numbers = NDArray[np.float32]
Cells = list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``images`` ``(n, side, side) float32`` as in the file; ``labels`` ``(n,) int64``; ``numbers``: lines, from 1.

    ``refused`` holds line and reason of each row that was left out.
    """

    images: Numbers
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    refused: tuple[tuple[int, str], ...]


def parse(data: bytes) -> Rows:
    """The digits in the bytes of a text file. Raises ValueError with one line where it is no table of digits."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes of text, got {len(data):,}; split the file")
    lines = _lines(data)
    first = next(lines, None)
    if first is None:
        raise ValueError("the file has no rows")
    if ":" in first[1][-1]:
        raise ValueError("rows of number:value pairs are LIBSVM's sparse form; save every pixel, a column for each")
    names = None if all(map(_is_number, first[1])) else first[1]
    numbers, rows, refused = _rows(lines if names else _chained(first, lines), names)
    if not len(rows):
        number, reason = refused[0] if refused else (1, "only names, no numbers follow")
        raise ValueError(f"row {number}: {reason}")
    pixels, labels = _split(rows, names)
    side = round(pixels.shape[1] ** 0.5)
    whole = (labels == np.rint(labels)) & (np.abs(labels) < 1000)
    refused += [
        (int(number), f"label {label:g} is not a digit: expected 0 to 9")
        for number, label in zip(numbers[~whole], labels[~whole], strict=True)
    ]
    images = pixels[whole].reshape(-1, side, side)
    return Rows(images, labels[whole].astype(np.int64), numbers[whole], tuple(sorted(refused)))


def _lines(data: bytes) -> Iterator[tuple[int, Cells]]:
    """Line number and cells of each line that is not empty."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in UTF-8, byte {error.start:,} is none; save it as UTF-8") from error
    line = text[: text.find("\n")] if "\n" in text else text
    separator = next((each for each in "\t;," if each in line), None)
    file = io.StringIO(text, newline="")
    if separator is None:
        split: Iterator[Cells] = (line.split() for line in file)
    else:
        split = csv.reader(file, delimiter=separator)
    try:
        yield from ((number, cells) for number, cells in enumerate(split, start=1) if any(cells))
    except csv.Error as error:
        raise ValueError(f"the text is no table ({error})") from error


def _chained(first: tuple[int, Cells], lines: Iterator[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
    yield first
    yield from lines


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == ""  # a hole in a row of numbers makes it no row of names
    return True


def _rows(
    lines: Iterator[tuple[int, Cells]], names: Cells | None
) -> tuple[NDArray[np.int64], Numbers, list[tuple[int, str]]]:
    """Numbers of the good rows, their values ``(n, columns)``, and the others with reasons."""
    numbers: list[int] = []
    rows: list[Numbers] = []
    refused: list[tuple[int, str]] = []
    columns = None if names is None else _known(len(names))
    for number, cells in lines:
        if len(rows) == MOST_ROWS:
            raise ValueError(f"expected at most {MOST_ROWS:,} rows, got more; split the file")
        columns = columns or _known(len(cells))
        try:
            rows.append(_values(cells, columns))
            numbers.append(number)
        except ValueError as error:
            refused.append((number, str(error)))
    return np.array(numbers, np.int64), np.array(rows, np.float32), refused


def _known(columns: int) -> int:
    """``columns``, if that is a label and the pixels of a picture. Raises ValueError."""
    layouts = ", ".join(f"{side}×{side}" for side in SIDES)
    if columns == ONE_HOT or columns - 1 in {side * side for side in SIDES}:
        return columns
    if columns in {side * side for side in SIDES}:
        raise ValueError(f"{columns} columns are pixels without a label; add the label as the first column")
    if columns - 2 in {side * side for side in SIDES}:
        raise ValueError(f"{columns} columns are one too many; leave out the row numbers, keep label and pixels")
    found = "1 value" if columns == 1 else f"{columns} values"
    raise ValueError(f"expected rows of a label and the pixels of {layouts}, got {found}")


def _values(cells: Cells, columns: int) -> Numbers:
    """One row. Raises ValueError with what was expected and found."""
    if len(cells) != columns:
        raise ValueError(f"expected {columns} values, got {len(cells)}")
    try:
        values = np.fromiter(map(float, cells), np.float32, columns)
    except ValueError:
        column = next(column for column, cell in enumerate(cells) if not cell.strip() or not _is_number(cell))
        raise ValueError(f"column {column + 1}: expected a number, got {cells[column][:20]!r}") from None
    if not np.isfinite(values).all():
        raise ValueError(f"column {int(np.argmin(np.isfinite(values))) + 1}: expected a finite number")
    return values


def _split(rows: Numbers, names: Cells | None) -> tuple[Numbers, Numbers]:
    """Pixels ``(n, side²)`` and labels ``(n,)``, as they are in the file. Raises ValueError where that is unclear."""
    if rows.shape[1] == ONE_HOT:
        return rows[:, :256], _of_one_hot(rows[:, 256:])
    column = _label_column(rows, names)
    pixels = np.delete(rows, column, axis=1)
    return pixels[:, _order(names, column, pixels.shape[1])], rows[:, column]


def _of_one_hot(columns: Numbers) -> Numbers:
    """The label of each row of ten; -1, which no digit has, where not exactly one of them is 1."""
    sound = (columns.sum(1) == 1) & (columns.max(1) == 1) & (columns.min(1) == 0)
    return np.where(sound, columns.argmax(1), -1).astype(np.float32)


def _label_column(rows: Numbers, names: Cells | None) -> int:
    """The column named so; else the first or the last, whichever alone varies among the whole numbers 0 to 9.

    A pixel in the corner varies little: nearly always it is paper.
    """
    named = [column for column, name in enumerate(names or ()) if name.strip().lower() in LABEL_NAMES]
    if len(named) == 1:
        return named[0]
    looked = rows[:LOOKED_AT]
    ends = [column for column in (0, rows.shape[1] - 1) if _is_label(looked[:, column])]
    found = [column for column in ends if _most_common(looked[:, column]) <= CONSTANT]
    if len(found) != 1:
        raise ValueError(
            "expected labels from 0 to 9 in the first or the last column, "
            f"{'both could be' if found else 'neither is plainly so'}; name the column 'label' in a first row"
        )
    return found[0]


def _most_common(values: Numbers) -> float:
    """The share of the value that is there most often."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def _is_label(values: Numbers) -> bool:
    """Nearly all of them: a wrong label is a reason for its row, not for the whole file."""
    return bool(np.mean((values == np.rint(values)) & (values >= 0) & (values <= 10)) > 0.9)


def _order(names: Cells | None, label: int, pixels: int) -> NDArray[np.intp]:
    """The order of the numbers in the columns' names (``pixel10``, ``2x1``); without such, as they stand."""
    found = [tuple(map(int, re.findall(r"\d+", name))) for at, name in enumerate(names or ()) if at != label]
    if len(set(found)) != pixels or len({len(each) for each in found}) != 1:
        return np.arange(pixels)
    return np.array(sorted(range(pixels), key=found.__getitem__), np.intp)
