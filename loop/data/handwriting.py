"""Read labelled handwriting of people for ``import``, ``replay`` and the demo: one path, one person.

A path is a folder or a zip of ``<digit>/*.png`` (or ``.jpg``; one enclosing folder is allowed), or a set of digits
(``sets``): IDX, ``.npz``, text. Rules: nothing is unpacked to disk; pictures are read lazily; an unusable file becomes
a sample with a reason, and the others are still read; an error in the whole path raises BadImage before any digit is
read.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from loop.data import archives, conventions, corpus, digits, reading_options, sets
from loop.data.conventions import Convention
from loop.errors import BadImage

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, not yet decoded: ``label`` 0 to 9 and the ``data`` of a PNG or JPEG file.

    With a ``convention``, ``data`` contains the values of one image of a set in that convention. ``steps`` are the
    preparations of the user's option ``--as``. If ``reason`` is set, the image is unusable: ``label`` is -1, ``data``
    empty.
    """

    name: str
    label: int
    data: bytes = field(repr=False)
    reason: str | None = None
    convention: Convention | None = field(default=None, repr=False)
    steps: tuple[str, ...] = ()

    def digit(self) -> digits.Digit:
        """Decode it. Raises BadImage."""
        if self.reason is not None:
            raise BadImage(self.reason)
        digit = self.convention.digit(self.data) if self.convention else digits.read(self.data)
        return reading_options.apply(digit, self.steps)


@dataclass(frozen=True, slots=True)
class Person:
    """One source of handwriting. ``name`` is a pseudonymous id made from the path's stem."""

    name: str
    samples: Callable[[], Iterator[Sample]] = field(repr=False, compare=False)
    """Read the handwriting one file at a time; each call starts at the beginning."""


class _File(NamedTuple):
    """A file's path below the person's path, and a function that reads its bytes (raises BadImage with a reason)."""

    name: str
    read: Callable[[], bytes]


def people(paths: Iterable[Path], read_as: str = "", *, tests_only: bool = False) -> list[Person]:
    """Return one person for each path, in the given order; an IDX pair may be given by either file or both.

    ``read_as`` is an option of ``reading_options`` for all paths. ``tests_only`` reads only the test set if a path
    contains several sets. Raises BadImage for a path that is missing, empty, malformed or unsafe, and for two paths
    with the same name; BadSettings for an unknown option.
    """
    found: dict[str, tuple[Path, Person]] = {}
    steps = reading_options.parse(read_as)
    for path in dict.fromkeys(sets.images_of(path) for path in paths):
        person = _person(path, steps, tests_only=tests_only)
        if person.name in found:
            raise BadImage(f"{found[person.name][0]} and {path} both name the source {person.name!r}; rename one")
        found[person.name] = path, person
    return [person for _, person in found.values()]


def bundled(*, unseen: bool = False) -> list[Person]:
    """Return scikit-learn's digits as people, one for each form; ``corpus.bundled`` describes their writers.

    ``unseen`` skips the forms of the corpus ``digits``, for a base that was trained on it.
    """
    forms = corpus.OTHER_FORMS if unseen else range(len(corpus.FORMS) - 1)
    return [Person(f"bundled-{form:02}", _form(form)) for form in forms]


def _form(form: int) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        for number, (picture, label) in enumerate(zip(*corpus.bundled(form), strict=True)):
            yield Sample(f"{label}/{number}.png", int(label), digits.to_png(picture))

    return samples


def _person(path: Path, steps: tuple[str, ...], *, tests_only: bool) -> Person:
    name = _source_name(path)
    try:
        read = _reader(path, tests_only=tests_only)
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}); make it readable") from error
    return Person(name, (lambda: (replace(sample, steps=steps) for sample in read())) if steps else read)


def _reader(path: Path, *, tests_only: bool) -> Callable[[], Iterator[Sample]]:
    """Check ``path`` and return a function that reads its handwriting. Raises BadImage, OSError."""
    if not path.is_dir() and not path.is_file():
        raise BadImage(f"{path} does not exist; name a folder or zip of <digit>/*.png, IDX files, .npz or CSV")
    if parts := sets.find(path):
        chosen = [sets.select_test(path, parts)] if tests_only else parts
        loaded = [_with_convention(part) for part in chosen]
        return lambda: (sample for each in loaded for sample in _of_set(*each))
    if path.is_dir():
        _check_names(path, [file.name for file in _in_folder(path)])
        return lambda: _labelled(_in_folder(path))
    with archives.opened(path) as archive:
        _check_names(path, [file.name for file in _in_zip(archive)])
    return lambda: _from_zip(path)


def _with_convention(part: sets.Part) -> tuple[sets.Set, Convention | None]:
    """Return a set and its convention, which is None if it has no images. Raises BadImage, OSError."""
    found = part.load()
    try:
        return found, conventions.find(found.images) if len(found.images) else None
    except BadImage as error:
        raise BadImage(f"{part.name}: {error}") from error


def _of_set(found: sets.Set, convention: Convention | None) -> Iterator[Sample]:
    for name, reason in found.refused:
        yield Sample(name, -1, b"", reason)
    for at, (image, label) in enumerate(zip(found.images, found.labels.tolist(), strict=True)):
        if 0 <= label <= 9:
            yield Sample(found.names(at), label, image.tobytes(), convention=convention)
        else:
            hint = " (MATLAB's files use 10 for 0)" if label == 10 else ""
            yield Sample(found.names(at), -1, b"", f"label {label} is not a digit: expected 0 to 9{hint}")


def _check_names(path: Path, names: list[str]) -> None:
    """Raises BadImage if there are no files, or clearly those of several people."""
    if not names:
        raise BadImage(f"{path} contains no files; put <digit>/*.png in it")
    if all(name.lower().endswith(".zip") for name in names):
        raise BadImage(f"{path} contains zips; one path is one person: name each zip instead")
    deep = {parts[0] for parts in (PurePosixPath(name).parts for name in names) if len(parts) == 3}
    if len(deep) > 1:
        several = ", ".join(sorted(deep)[:3])
        raise BadImage(f"{path} contains {len(deep)} folders of folders ({several}); one path is one person: name each")


def _source_name(path: Path) -> str:
    """Return the path's stem in letters, digits, dot, dash and underscore, because it is stored and printed."""
    stem = path.name if path.name not in ("", "..") else path.resolve().name
    for suffix in (".zip", ".gz"):
        stem = stem.removesuffix(suffix)
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in stem)
    name = name.strip(".-")[:MAX_NAME_CHARACTERS]
    if not name:
        raise BadImage(f"{path} has no letters or digits for the name of its source; rename it")
    return name


def _labelled(files: Iterable[_File]) -> Iterator[Sample]:
    """Yield a sample for each file; its label is the name of its folder."""
    for file in files:
        try:
            label = _label(PurePosixPath(file.name))
            yield Sample(file.name, label, file.read())
        except BadImage as error:
            yield Sample(file.name, -1, b"", str(error))


def _label(path: PurePosixPath) -> int:
    """Return 0 to 9 from ``<digit>/name`` or ``anything/<digit>/name``. Raises BadImage with a reason."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise BadImage("not a .png or .jpg file")
    if len(path.parts) not in (2, 3):
        raise BadImage("not in a folder named after its digit: expected <digit>/*.png")
    folder = path.parts[-2]
    if len(folder) != 1 or folder not in "0123456789":
        raise BadImage(f"label {folder[:20]!r} is not a digit: expected a folder 0 to 9")
    return int(folder)


def _is_system_file(path: PurePosixPath) -> bool:
    """Whether an operating system created the file, so that it is skipped without a reason."""
    return any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in path.parts)


def _from_zip(path: Path) -> Iterator[Sample]:
    with archives.opened(path) as archive:
        yield from _labelled(_in_zip(archive))


def _in_zip(archive: zipfile.ZipFile) -> Iterator[_File]:
    for member in archives.files(archive):
        if not _is_system_file(PurePosixPath(member.filename)):
            yield _File(member.filename, partial(archives.read, archive, member, digits.DEFAULT_LIMITS.bytes))


def _in_folder(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder))
        if path.is_file() and not _is_system_file(name):
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
