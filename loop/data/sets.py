"""Read sets of labelled digits (IDX pairs, ``.npz``, text): a path → its parts, for ``handwriting``.

Rules: a file's kind is found from its content (``kinds``); each format has one reader, which ``import`` and ``score``
share; an error in a whole part raises BadImage when it is loaded, before any digit is read.
"""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.data import archives, delimited, idx, kinds, npz
from loop.data.kinds import Kind
from loop.errors import BadImage

MAX_ARRAY_BYTES = 256 << 20  # bytes of one array, unpacked: EMNIST's 240,000 digits are 188 million
_TESTS = re.compile(r"t10k|test|\btes\b")
_ROLES = re.compile(r"(images?|labels?|data|target|digits?|pixels|[xy])")
_IMAGES, _LABELS = "idx3-ubyte", "idx1-ubyte"


@dataclass(frozen=True, slots=True, eq=False)
class Set:
    """``images`` ``(n, h, w)`` as in the file; ``labels`` ``(n,)`` whole numbers, not yet checked; ``names`` of each.

    ``refused``: name and reason of each item that was skipped.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    names: Callable[[int], str]
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One set at a path, such as MNIST's test set. ``load`` raises BadImage, OSError."""

    name: str
    load: Callable[[], Set]

    @property
    def is_test(self) -> bool:
        """Whether its name marks it as a test set."""
        return _TESTS.search(self.name.lower()) is not None


def find(path: Path) -> list[Part] | None:
    """Return the sets at ``path``; None if it contains pictures. Raises BadImage for an unknown kind, OSError."""
    if path.is_dir():
        kinds.check_folder(path)
        files = sorted(path.glob(f"*{_IMAGES}*"))
        return [_pair(file) for file in files] or None
    kind = kinds.of(path)
    return None if kind is Kind.PICTURES else _READERS[kind](path)


def select_test(path: Path, parts: list[Part]) -> Part:
    """Return the part to score: the only part, or the only test set. Raises BadImage."""
    found = parts if len(parts) == 1 else [part for part in parts if part.is_test]
    if len({part.name for part in found}) != 1:
        named = ", ".join(part.name for part in parts[:6])
        raise BadImage(f"{path}: expected one test set, got {named}; name one file, or keep only one set")
    return found[0]


# --- IDX


def images_of(path: Path) -> Path:
    """Return the images that belong to a file of IDX labels; any other path unchanged."""
    return _sibling(path, _counterpart(path.name, _LABELS)) if _LABELS in path.name else path


def _pair(images: Path) -> Part:
    if _IMAGES not in images.name:
        raise BadImage(f"{images} is an IDX file; name it …{_IMAGES}, and put its labels …{_LABELS} in the same folder")
    labels = _sibling(images, _counterpart(images.name, _IMAGES))
    return Part(_stem(images.name), lambda: _paired(str(images), _idx_file(images), str(labels), _idx_file(labels)))


def _stem(name: str) -> str:
    return name.split("idx3")[0].rstrip("-._")


def _counterpart(name: str, kind: str) -> str:
    """Return the name of the labels of IDX images, or of the images of labels; ``kind`` is that of ``name``."""
    if kind == _IMAGES:
        return name.replace(_IMAGES, _LABELS).replace("images", "labels")
    return name.replace(_LABELS, _IMAGES).replace("labels", "images")


def _sibling(path: Path, name: str) -> Path:
    """Return the file ``name`` in the folder of ``path``; if only its gzipped or unpacked form exists, return that."""
    twin = path.with_name(name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz")
    named = path.with_name(name)
    return twin if twin.exists() and not named.exists() else named


def _idx_file(path: Path) -> idx.Array:
    if not path.is_file():
        raise BadImage(f"{path} does not exist; put IDX images and their labels in the same folder")
    try:
        return idx.load(path, MAX_ARRAY_BYTES)
    except ValueError as error:
        raise BadImage(f"{path} is not readable as IDX: {error}") from error


def _paired(images_name: str, images: NDArray[Any], labels_name: str, labels: NDArray[Any]) -> Set:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or 0 in images.shape:
        raise BadImage(
            f"{images_name} and {labels_name} do not match: expected as many images as labels, "
            f"got {images.shape} and {labels.shape}"
        )
    return Set(images, labels.astype(np.int64), "image {}".format)


def _of_zip(path: Path) -> list[Part]:
    with archives.opened(path) as archive:
        names = [member.filename for member in archives.files(archive)]
    wanted = [name for name in names if _IMAGES in name and not PurePosixPath(name).name.startswith("._")]
    return [Part(_stem(PurePosixPath(name).name), partial(_zipped_pair, path, name)) for name in sorted(wanted)]


def _zipped_pair(path: Path, images: str) -> Set:
    folder, name = PurePosixPath(images).parent, _counterpart(PurePosixPath(images).name, _IMAGES)
    with archives.opened(path) as archive:
        names = {member.filename: member for member in archives.files(archive)}
        found = [str(folder / each) for each in (name, f"{name}.gz", name.removesuffix(".gz"))]
        labels = next((each for each in found if each in names), None)
        if labels is None:
            raise BadImage(f"{path} contains {images[:60]} but not {name[:60]}; pack both")
        arrays = [_zipped_idx(archive, names[each]) for each in (images, labels)]
    return _paired(f"{path}: {images}", arrays[0], labels, arrays[1])


def _zipped_idx(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> idx.Array:
    try:
        return idx.parse(idx.unpacked(archives.read(archive, member, MAX_ARRAY_BYTES), MAX_ARRAY_BYTES))
    except ValueError as error:
        raise BadImage(f"the member {member.filename[:60]} is not readable as IDX: {error}") from error


# --- arrays


def _of_npz(path: Path) -> list[Part]:
    """Identify images and labels by their shapes, and pair them by their names without x, y, images, labels etc."""
    try:
        arrays = npz.load(path, MAX_ARRAY_BYTES)
    except ValueError as error:
        raise BadImage(f"{path} is not readable as .npz: {error}") from error
    squares = {name: square for name, array in arrays.items() if (square := _square(array)) is not None}
    lists = {name: labels for name, array in arrays.items() if (labels := _labels(array)) is not None}
    if len(squares) == len(lists) == 1:
        pairs = list(zip(squares, lists, strict=True))
    else:
        keys = {_ROLES.sub("", name.lower()): name for name in lists}
        pairs = [(name, keys[key]) for name in squares if (key := _ROLES.sub("", name.lower())) in keys]
    if not pairs:
        found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in list(arrays.items())[:8])
        raise BadImage(f"{path}: expected images (n, h, w) and labels (n,) such as x_test and y_test, got {found}")
    return [Part(one, partial(_paired, one, squares[one], other, lists[other])) for one, other in pairs]


def _square(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return images ``(n, h, w)``, also from one channel or from rows of a square's pixels; None for anything else."""
    if array.dtype.kind not in "uifb":
        return None
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    side = round(array.shape[1] ** 0.5) if array.ndim == 2 else 0
    if array.ndim == 2 and side >= 4 and side * side == array.shape[1]:
        array = array.reshape(-1, side, side)
    return array if array.ndim == 3 else None


def _labels(array: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return whole numbers ``(n,)`` of any dtype, also from a column or one-hot rows; None for anything else."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.shape[1] == 10 and array.dtype.kind in "uifb" and (array.sum(1) == 1).all():
        array = array.argmax(1)
    try:
        whole = array.astype(np.int64) if array.ndim == 1 and array.dtype.kind in "uifU" else None
    except (ValueError, OverflowError):
        return None
    return None if whole is None or (array.dtype.kind == "f" and not (whole == array).all()) else whole


# --- text


def _of_text(path: Path) -> list[Part]:
    return [Part(path.name.split(".")[0], partial(_table, path))]


def _table(path: Path) -> Set:
    try:
        with path.open("rb") as file:
            rows = delimited.parse(idx.unpacked(file.read(delimited.MAX_BYTES + 1), delimited.MAX_BYTES))
    except ValueError as error:
        raise BadImage(f"{path}: {error}") from error
    refused = tuple((f"row {number}", reason) for number, reason in rows.refused)
    return Set(rows.images, rows.labels, lambda at: f"row {rows.numbers[at]}", refused)


_READERS: dict[Kind, Callable[[Path], list[Part]]] = {
    Kind.IDX: lambda path: [_pair(path)],
    Kind.IDX_ZIP: _of_zip,
    Kind.NPZ: _of_npz,
    Kind.TEXT: _of_text,
}
