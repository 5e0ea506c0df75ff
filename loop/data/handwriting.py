"""Labelled handwriting of people, as ``import``, ``replay`` and the demo read it: one path, one person.

A path is a folder or a zip of ``<digit>/*.png`` (or ``.jpg``; one folder round it all is allowed), or MNIST's
IDX files. Rules: nothing is unpacked to disk; reading is lazy; a file that cannot be taken is a sample with a
reason, never the end of the others; what is wrong with the whole path is a BadImage before anything is read.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from loop.data import archives, corpus, digits, idx
from loop.errors import BadImage
from models.coreml import kinds

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image: ``label`` 0 to 9 and PNG or JPEG ``data``, not yet decoded.

    Where ``reason`` is set, the file cannot be taken: ``label`` is -1, ``data`` empty.
    """

    name: str
    label: int
    data: bytes = field(repr=False)
    reason: str | None = None

    def digit(self) -> digits.Digit:
        """Decode it. Raises BadImage."""
        if self.reason is not None:
            raise BadImage(self.reason)
        return digits.read(self.data)


@dataclass(frozen=True, slots=True)
class Person:
    """One source of handwriting. ``name`` is a pseudonymous id made of the path's stem."""

    name: str
    samples: Callable[[], Iterator[Sample]] = field(repr=False, compare=False)
    """Reads the handwriting, from the beginning at each call, one file at a time."""


class _File(NamedTuple):
    """Where a file stands below the person's path, and how to get its bytes (BadImage with a reason)."""

    name: str
    read: Callable[[], bytes]


def people(paths: Iterable[Path]) -> list[Person]:
    """One person a path, in the given order; of an IDX pair either file or both may be given.

    Raises BadImage for a path that is missing, empty, not what it claims or dangerous, and for two paths of one name.
    """
    found: dict[str, tuple[Path, Person]] = {}
    for path in dict.fromkeys(_images_of(path) for path in paths):
        person = _person(path)
        if person.name in found:
            raise BadImage(f"{found[person.name][0]} and {path} both name the source {person.name!r}; rename one")
        found[person.name] = path, person
    return [person for _, person in found.values()]


def bundled(*, unseen: bool = False) -> list[Person]:
    """scikit-learn's digits as people, one a form: see ``corpus.bundled`` for what is known of who wrote them.

    ``unseen`` leaves out the forms of the corpus ``digits``, for a base that was trained on it.
    """
    forms = corpus.OTHER_FORMS if unseen else range(len(corpus.FORMS) - 1)
    return [Person(f"bundled-{form:02}", _form(form)) for form in forms]


def _form(form: int) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        for number, (picture, label) in enumerate(zip(*corpus.bundled(form), strict=True)):
            yield Sample(f"{label}/{number}.png", int(label), digits.to_png(picture))

    return samples


def _person(path: Path) -> Person:
    name = _source_name(path)
    try:
        _check_kind(path)
        return Person(name, _reader(path))
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); make it readable") from error


def _check_kind(path: Path) -> None:
    """Raises BadImage with the kind's name and the next step for what is no labelled digits; OSError."""
    kind = kinds.of_path(path) if path.exists() else None
    named_as_idx = kind in (kinds.IDX, kinds.GZIP) and "-ubyte" in path.name
    if kind is not None and kind.as_digits and not named_as_idx:
        raise BadImage(f"{path}: expected labelled digits, got {kind.name}; {kind.as_digits}")


def _reader(path: Path) -> Callable[[], Iterator[Sample]]:
    """How to read the handwriting at ``path``, after a look at the whole of it. Raises BadImage, OSError."""
    if path.is_dir():
        files = sorted(path.glob("*idx3-ubyte*"))
        if files:
            pairs = [_pair(images) for images in files]
            return lambda: _from_pairs(pairs)
        _check_names(path, [file.name for file in _in_folder(path)])
        return lambda: _labelled(_in_folder(path))
    if not path.is_file():
        raise BadImage(f"{path} does not exist; name a folder or zip of <digit>/*.png, or IDX files")
    if "idx3-ubyte" in path.name:
        pair = _pair(path)
        return lambda: _from_pairs([pair])
    with archives.opened(path) as archive:
        _check_names(path, [file.name for file in _in_zip(archive)])
    return lambda: _from_zip(path)


def _check_names(path: Path, names: list[str]) -> None:
    """Raises BadImage where there is nothing, or plainly more than one person."""
    if not names:
        raise BadImage(f"{path} holds no files; put <digit>/*.png in it")
    if all(name.lower().endswith(".zip") for name in names):
        raise BadImage(f"{path} holds zips; one path is one person: name each zip, not what holds them")
    deep = {parts[0] for parts in (PurePosixPath(name).parts for name in names) if len(parts) == 3}
    if len(deep) > 1:
        several = ", ".join(sorted(deep)[:3])
        raise BadImage(f"{path} holds {len(deep)} folders of folders ({several}); one path is one person: name each")


def _source_name(path: Path) -> str:
    """The path's stem, with all but letters, digits, dot, dash and underscore replaced: it is stored and printed."""
    stem = path.name if path.name not in ("", "..") else path.resolve().name
    for suffix in (".zip", ".gz"):
        stem = stem.removesuffix(suffix)
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in stem)
    name = name.strip(".-")[:MAX_NAME_CHARACTERS]
    if not name:
        raise BadImage(f"{path} gives no name for its source; rename it with letters or digits")
    return name


def _labelled(files: Iterable[_File]) -> Iterator[Sample]:
    """A sample of every file; its label is the folder it stands in."""
    for file in files:
        try:
            label = _label(PurePosixPath(file.name))
            yield Sample(file.name, label, file.read())
        except BadImage as error:
            yield Sample(file.name, -1, b"", str(error))


def _label(path: PurePosixPath) -> int:
    """0 to 9 from ``<digit>/name`` or ``anything/<digit>/name``. Raises BadImage with a reason."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise BadImage("not a .png or .jpg file")
    if len(path.parts) not in (2, 3):
        raise BadImage("not in a folder named after its digit: expected <digit>/*.png")
    folder = path.parts[-2]
    if len(folder) != 1 or folder not in "0123456789":
        raise BadImage(f"label {folder[:20]!r} is not a digit: expected a folder 0 to 9")
    return int(folder)


def _is_litter(path: PurePosixPath) -> bool:
    """Whether an operating system left it there, so that it is not worth a reason."""
    return any(part.startswith(".") or part.lower() in LEFT_BY_SYSTEMS for part in path.parts)


def _from_zip(path: Path) -> Iterator[Sample]:
    with archives.opened(path) as archive:
        yield from _labelled(_in_zip(archive))


def _in_zip(archive: zipfile.ZipFile) -> Iterator[_File]:
    for member in archives.files(archive):
        if not _is_litter(PurePosixPath(member.filename)):
            yield _File(member.filename, partial(archives.read, archive, member, digits.DEFAULT_LIMITS.bytes))


def _in_folder(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder))
        if path.is_file() and not _is_litter(name):
            yield _File(str(name), partial(_bytes, path))


def _bytes(path: Path) -> bytes:
    limit = digits.DEFAULT_LIMITS.bytes
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BadImage(f"the file cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise BadImage(f"the file has over {limit:,} bytes; send a smaller image")
    return data


def _images_of(path: Path) -> Path:
    """The images beside a file of IDX labels; any other path as it is."""
    if "idx1-ubyte" not in path.name:
        return path
    return path.with_name(path.name.replace("idx1-ubyte", "idx3-ubyte").replace("labels", "images"))


def _pair(images_path: Path) -> tuple[idx.Array, idx.Array]:
    """Images and labels of an IDX pair. Raises BadImage where one cannot be read or they do not fit together."""
    name = images_path.name.replace("idx3-ubyte", "idx1-ubyte").replace("images", "labels")
    labels_path = images_path.with_name(name)
    images, labels = _idx(images_path), _idx(labels_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or 0 in images.shape:
        raise BadImage(
            f"{images_path} and {labels_path} do not belong together: expected as many images as labels, "
            f"got {images.shape} and {labels.shape}"
        )
    return images, labels


def _idx(path: Path) -> idx.Array:
    if not path.is_file():
        raise BadImage(f"{path} does not exist; IDX images need their labels beside them, and labels their images")
    try:
        return idx.load(path)
    except ValueError as error:
        raise BadImage(f"{path} is not readable as IDX: {error}") from error


def _from_pairs(pairs: list[tuple[idx.Array, idx.Array]]) -> Iterator[Sample]:
    """Every image of the pairs, as a PNG."""
    for images, labels in pairs:
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            if label > 9:
                yield Sample(str(number), -1, b"", f"label {label} is not a digit: expected 0 to 9")
            else:
                yield Sample(str(number), int(label), digits.to_png(image))
