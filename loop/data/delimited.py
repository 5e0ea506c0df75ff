"""Read digits from rows of numbers in a text file (Kaggle's CSV, optdigits, USPS, Semeion), for ``handwriting``.

A row is a label and the pixels of a square picture, with the label first or last; Semeion has ten columns of 0 and 1
as the label. The separator is a comma, semicolon, tab or blank. The first row may contain names; if the names number
the pixels, they define the order. Rules: bytes and rows are limited before they are parsed; a malformed row is listed
with its number and skipped; an ambiguous file is refused, not guessed.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 128 << 20  # Kaggle's train.csv has 77 million
MAX_ROWS = 200_000
SIDES = {8: "optdigits", 16: "USPS", 20: "MATLAB's course set", 28: "MNIST", 32: "padded MNIST"}
ONE_HOT = 16 * 16 + 10  # columns of Semeion
LABEL_NAMES = frozenset({"label", "labels", "class", "target", "digit", "y"})
LABEL_SAMPLE_ROWS = 1000  # the first rows, which decide the column of the label
MAX_CONSTANT_SHARE = 0.8  # of rows with the same value; above, a column is a pixel of the paper, not the label

Numbers = NDArray[np.float32]
Cells = list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``images`` ``(n, side, side) float32`` as in the file; ``labels`` ``(n,) int64``; ``numbers``: lines, from 1.

    ``refused`` contains the line and reason of each row that was skipped.
    """

    images: Numbers
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    refused: tuple[tuple[int, str], ...]


def parse(data: bytes) -> Rows:
    """Return the digits in the bytes of a text file. Raises ValueError with one line if it is not a table of digits."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes of text, got {len(data):,}; split the file")
    lines = _lines(data)
    first = next(lines, None)
    if first is None:
        raise ValueError("the file has no rows")
    if ":" in first[1][-1]:
        raise ValueError("rows of number:value pairs are LIBSVM's sparse format; save all pixels, one column for each")
    names = None if all(map(_is_number, first[1])) else first[1]
    numbers, rows, refused = _rows(lines if names else _chained(first, lines), names)
    if not len(rows):
        number, reason = refused[0] if refused else (1, "expected numbers after the row of names, got no more rows")
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
    """Yield the line number and cells of each line that is not empty."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in UTF-8, got another byte at {error.start:,}; save it as UTF-8") from error
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
        raise ValueError(f"the text is not a table ({error})") from error


def _chained(first: tuple[int, Cells], lines: Iterator[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
    yield first
    yield from lines


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == ""  # an empty cell in a row of numbers does not make it a row of names
    return True


def _rows(
    lines: Iterator[tuple[int, Cells]], names: Cells | None
) -> tuple[NDArray[np.int64], Numbers, list[tuple[int, str]]]:
    """Return the line numbers of the valid rows, their values ``(n, columns)``, and the other rows with reasons."""
    numbers: list[int] = []
    rows: list[Numbers] = []
    refused: list[tuple[int, str]] = []
    columns = None if names is None else _checked_columns(len(names))
    for number, cells in lines:
        if len(rows) == MAX_ROWS:
            raise ValueError(f"expected at most {MAX_ROWS:,} rows, got more; split the file")
        columns = columns or _checked_columns(len(cells))
        try:
            rows.append(_values(cells, columns))
            numbers.append(number)
        except ValueError as error:
            refused.append((number, str(error)))
    return np.array(numbers, np.int64), np.array(rows, np.float32), refused


def _checked_columns(columns: int) -> int:
    """Return ``columns`` if it is the number for a label and a picture's pixels. Raises ValueError otherwise."""
    layouts = ", ".join(f"{side}×{side}" for side in SIDES)
    if columns == ONE_HOT or columns - 1 in {side * side for side in SIDES}:
        return columns
    if columns in {side * side for side in SIDES}:
        raise ValueError(f"{columns} columns are pixels without a label; add the label as the first column")
    if columns - 2 in {side * side for side in SIDES}:
        raise ValueError(f"{columns} columns are one too many; remove the row numbers, keep label and pixels")
    found = "1 value" if columns == 1 else f"{columns} values"
    raise ValueError(f"expected rows of a label and the pixels of {layouts}, got {found}")


def _values(cells: Cells, columns: int) -> Numbers:
    """Return the values of one row. Raises ValueError with the expected and the found value."""
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
    """Return pixels ``(n, side²)`` and labels ``(n,)`` as in the file. Raises ValueError if the label is ambiguous."""
    if rows.shape[1] == ONE_HOT:
        return rows[:, :256], _of_one_hot(rows[:, 256:])
    column = _label_column(rows, names)
    pixels = np.delete(rows, column, axis=1)
    return pixels[:, _order(names, column, pixels.shape[1])], rows[:, column]


def _of_one_hot(columns: Numbers) -> Numbers:
    """Return the label of each row of ten; -1, which is refused later, unless exactly one of them is 1."""
    valid = (columns.sum(1) == 1) & (columns.max(1) == 1) & (columns.min(1) == 0)
    return np.where(valid, columns.argmax(1), -1).astype(np.float32)


def _label_column(rows: Numbers, names: Cells | None) -> int:
    """Return the column with a label's name; else the first or last, if only one of them varies from 0 to 9.

    A pixel in the corner varies little, because it is nearly always paper.
    """
    named = [column for column, name in enumerate(names or ()) if name.strip().lower() in LABEL_NAMES]
    if len(named) == 1:
        return named[0]
    sample = rows[:LABEL_SAMPLE_ROWS]
    ends = [column for column in (0, rows.shape[1] - 1) if _is_label(sample[:, column])]
    found = [column for column in ends if _constant_share(sample[:, column]) <= MAX_CONSTANT_SHARE]
    if len(found) != 1:
        raise ValueError(
            "expected labels from 0 to 9 in the first or the last column, "
            f"got {'both' if found else 'neither'}; add a first row of names that calls the column 'label'"
        )
    return found[0]


def _constant_share(values: Numbers) -> float:
    """Return the share of the most frequent value."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def _is_label(values: Numbers) -> bool:
    """Whether nearly all values are labels: a wrong label refuses its row, not the whole file."""
    return bool(np.mean((values == np.rint(values)) & (values >= 0) & (values <= 10)) > 0.9)


def _order(names: Cells | None, label: int, pixels: int) -> NDArray[np.intp]:
    """Return the order of the numbers in the names (``pixel10``, ``2x1``); without numbers, the order of the file."""
    found = [tuple(map(int, re.findall(r"\d+", name))) for at, name in enumerate(names or ()) if at != label]
    if len(set(found)) != pixels or len({len(each) for each in found}) != 1:
        return np.arange(pixels)
    return np.array(sorted(range(pixels), key=found.__getitem__), np.intp)
