"""Recognise the kind of a file or folder by its first bytes or its contents, and give the next step.

This is the only table of kinds. Users give many files that are not models: a pointer left by Git LFS, a web page saved
as a model, a training framework's own file. Nothing is unpacked or loaded; only the names in a zip are read, and only
if its directory is small.
"""

import io
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 4096
DIRECTORY_BYTES = 1 << 20
"""The largest directory of a zip that is read: some 10,000 names."""
_TAIL_BYTES = (1 << 16) + 22  # a zip's end record with the longest comment


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: ``name`` with its article, and the next step if another kind is expected.

    ``as_model`` is the step if a Core ML model is expected, ``as_digits`` if labelled digits are; an empty step means
    that the first bytes are of an accepted kind. The step of IDX files and gzips, which are digits only by their name,
    is for other names.
    """

    name: str
    as_model: str
    as_digits: str


_DIGITS = "give a folder or zip of <digit>/*.png, IDX files, an .npz or a CSV table of labels and pixels"
_SWAPPED = "give the model first, the digits second"
_MODEL = "give an .mlmodel or .mlpackage"
_CONVERT = "convert the model where it was trained: docs/coreml-runtime.md, 'Converting', has the lines"


def _model(name: str, step: str = _CONVERT) -> Kind:
    """Return the kind of a model file, which is not data."""
    return Kind(name, step, f"a model contains no labelled digits: {_DIGITS}")


def _data(name: str, as_digits: str = _DIGITS) -> Kind:
    """Return the kind of a file of data, which is not a model."""
    return Kind(name, f"that is data, not a model: {_SWAPPED}", as_digits)


def _other(name: str, step: str) -> Kind:
    """Return the kind of a file with the same next step in both places."""
    return Kind(name, step, step)


_UNPACK = "unpack it and give what it contains"
_RUNS_CODE = "it is never loaded here, because loading it runs the code in it"

EMPTY = _other("an empty file", "the download or copy failed: fetch the file again")
LFS_POINTER = _other(
    "a Git LFS pointer, the text that Git leaves in place of a large file",
    "run `git lfs install && git lfs pull` in the clone that it is from, then give the same path again",
)
HTML = _other(
    "an HTML page", "the link leads to a web page: use the link that downloads the file itself (on GitHub, 'raw')"
)
COMPILED = _model(
    "a compiled Core ML model (.mlmodelc)",
    "compiling cannot be undone: give the .mlmodel or .mlpackage that it was compiled from",
)
PACKAGE = Kind("a Core ML package (.mlpackage)", "", _SWAPPED)
CORE_ML = Kind("a Core ML model", "", _SWAPPED)
KERAS = _model("a Keras model (.keras)")
HDF5 = _model("an HDF5 file (.h5), as Keras saves models in")
SAVED_MODEL = _model("a TensorFlow SavedModel folder")
TFLITE = _model("a TensorFlow Lite model (.tflite)")
ONNX = _model("an ONNX model (.onnx)", f"coremltools does not read ONNX: {_CONVERT}")
TORCH = _model("a PyTorch file (.pt, .pth)", f"{_RUNS_CODE}: {_CONVERT}")
SAFETENSORS = _model("a safetensors file", f"it contains weights without a network: {_CONVERT}")
PICKLE = _other(
    "a Python pickle (.pkl, .joblib)", f"{_RUNS_CODE}: save the model as .mlmodel, or the data as IDX or PNG files"
)
NPZ = _data("a NumPy archive (.npz)", "")
NPY = _data("a NumPy array (.npy)", "it has no labels: save both with numpy.savez(FILE, images=…, labels=…)")
IDX = _data("an IDX file", "")
CSV = _data("a CSV table", "")
PNG = _data(
    "a PNG picture", "put it in a folder named after its digit, such as digits/7/a.png, and give the outer folder"
)
JPEG = _data("a JPEG picture", PNG.as_digits)
HEIC = _data("a HEIC picture", f"save it as JPEG or PNG; {PNG.as_digits}")
PICTURE = _data("a picture of another format", f"save it as PNG; {PNG.as_digits}")
ZIP = Kind("a zip", f"{_UNPACK}, if that is a model", "")
ZIP_OF_MODEL = _model("a zip with an .mlmodel in it", _UNPACK)
GZIP = Kind("a gzip", "unpack it with gunzip and give what it contains", "")
ARCHIVE = _other("an archive (tar, 7z, xz, bzip2, RAR or Zstandard)", _UNPACK)
JSON = _other("a JSON file", f"it contains neither: {_MODEL}, or digits as <digit>/*.png or IDX files")
PDF = _other("a PDF", f"it contains neither: {_MODEL}, or digits as <digit>/*.png or IDX files")
TEXT = Kind("a text file", f"it is not a model: {_MODEL}", "")
FOLDER = Kind("a folder", f"a model is one file or an .mlpackage folder: {_MODEL}", "")

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", LFS_POINTER),
    (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (4, b"TFL3", TFLITE),
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P", TORCH),  # before 2020; newer ones are zips
    (0, b"\x93NUMPY", NPY),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff", JPEG),
    (4, b"ftyphe", HEIC),
    (4, b"ftypmif1", HEIC),
    (0, b"GIF8", PICTURE),
    (0, b"II*\0", PICTURE),
    (0, b"MM\0*", PICTURE),
    (8, b"WEBP", PICTURE),
    (0, b"\x1f\x8b", GZIP),
    (0, b"BZh", ARCHIVE),
    (0, b"\xfd7zXZ\0", ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (0, b"Rar!\x1a\x07", ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", ARCHIVE),
    (257, b"ustar", ARCHIVE),
    (0, b"%PDF", PDF),
)
_PATTERNS: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"\x80[\x02-\x05][\x80-\xff(\])}cX}KJ]", re.DOTALL), PICKLE),
    (re.compile(rb"\0\0[\x08\x09\x0b-\x0e][\x01-\x04]", re.DOTALL), IDX),
    (re.compile(rb".{4}\0{4}\{\"", re.DOTALL), SAFETENSORS),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), PICTURE),
    (
        re.compile(rb"\x08[\x01-\x20](:|\x12[\x01-\x40][A-Za-z][\w.-])", re.DOTALL),
        ONNX,
    ),  # its producer's name, or its graph
    (re.compile(rb"\x08[\x01-\x20]\x12", re.DOTALL), CORE_ML),  # its version, then its description
)
_WORDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE), HTML),
    (re.compile(r"\s*(<!--.*?-->\s*)+<(!doctype html|html)\b", re.IGNORECASE | re.DOTALL), HTML),
    (re.compile(r'\s*(\{\s*["}]|\[\s*["\[{\d\]-])'), JSON),
)
_MEMBERS: tuple[tuple[Callable[[str], bool], Kind], ...] = (
    (lambda name: name.endswith("coremldata.bin"), COMPILED),
    (lambda name: ".mlpackage/" in name or name.endswith("com.apple.CoreML/model.mlmodel"), PACKAGE),
    (lambda name: name.endswith("model.weights.h5"), KERAS),
    (lambda name: name.endswith(("/data.pkl", "constants.pkl")), TORCH),
    (lambda name: name.endswith(".mlmodel"), ZIP_OF_MODEL),
    (lambda name: name.endswith(".npy"), NPZ),
)
_INSIDE: tuple[tuple[str, Kind], ...] = (
    ("coremldata.bin", COMPILED),
    ("model.mil", COMPILED),
    ("model.espresso.net", COMPILED),
    ("Data/com.apple.CoreML", PACKAGE),
    ("saved_model.pb", SAVED_MODEL),
)


def of_bytes(data: bytes) -> Kind | None:
    """Return the kind of a whole file's bytes; None if it is unknown."""
    return _of_file(io.BytesIO(data))


def of_path(path: Path) -> Kind | None:
    """Return the kind of the file or folder at ``path``; None if it is unknown. Raises ``OSError``."""
    if path.is_dir():
        return of_folder(path)
    with path.open("rb") as file:
        return _of_file(file)


def of_folder(path: Path) -> Kind:
    """Return the kind of a folder, by the files that this kind always contains or by its suffix."""
    for name, kind in _INSIDE:
        if (path / name).exists():
            return kind
    return {".mlmodelc": COMPILED, ".mlpackage": PACKAGE}.get(path.suffix.lower(), FOLDER)


def _of_file(file: BinaryIO) -> Kind | None:
    head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(file)
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    return next((kind for pattern, kind in _PATTERNS if pattern.match(head)), None) or _of_text(head)


def _of_zip(file: BinaryIO) -> Kind:
    names = member_names(file)
    return next((kind for fits, kind in _MEMBERS if any(map(fits, names))), ZIP)


def member_names(file: BinaryIO) -> tuple[str, ...]:
    """Return the names in a zip; none if it is unreadable or its directory is over ``DIRECTORY_BYTES``."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    if not small_directory(file.read(_TAIL_BYTES)):
        return ()
    try:
        with zipfile.ZipFile(file) as archive:
            return tuple(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError, OSError, struct.error):
        return ()


def small_directory(tail: bytes) -> bool:
    """Whether a zip's last bytes state a directory within the limit.

    ``zipfile`` makes an object of some 500 bytes for each 46 bytes of directory, before the caller can count them. It
    takes the size from the record ``PK56``, or from zip64's, for files over 4 GB; each possible record is checked.
    """
    ends = [found.start() for found in re.finditer(rb"PK\x05\x06", tail)]
    sizes = [int.from_bytes(tail[end + 12 : end + 16], "little") for end in ends]
    return bool(sizes) and max(sizes) <= DIRECTORY_BYTES and b"PK\x06\x07" not in tail


def _of_text(head: bytes) -> Kind | None:
    """Return the kind of text; None for bytes that are not text."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < HEAD_BYTES - 4 or len(head) < HEAD_BYTES:  # otherwise the last character is cut
            return None
        text = head[: error.start].decode("utf-8-sig")
    if any(not (letter.isprintable() or letter.isspace()) for letter in text):
        return None
    return next((kind for pattern, kind in _WORDS if pattern.match(text)), CSV if _is_table(text) else TEXT)


def _is_table(text: str) -> bool:
    """Whether the first lines have the same number of fields, at least three; the last may be cut."""
    lines = text.splitlines()[:3]
    counts = {tuple(line.count(separator) for separator in ",;\t") for line in lines[: max(1, len(lines) - 1)]}
    return len(counts) == 1 and max(counts.pop()) >= 2
