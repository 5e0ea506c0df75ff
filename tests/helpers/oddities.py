"""Inputs in unusual formats, with the expected result: a preparation in ``RIGHT``, a reason in ``REFUSED``.

Every input contains the same real digits (MNIST training images, seeded) in another format: a function writes it into a
folder and returns its path.
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import digits, idx
from tests.helpers import shared
from tests.helpers.drawn import encoded

Grey = NDArray[np.uint8]
Write = Callable[[Path], Path]

COUNT, SEED = 60, 10


def chosen() -> tuple[Grey, Grey]:
    """COUNT training images and labels: the first of each label alike, in a seeded order."""
    images = shared.mnist_training(6000)
    labels = idx.load(shared.mnist_folder() / "train-labels-idx1-ubyte.gz")[:6000]
    each = [np.flatnonzero(labels == label)[100 : 100 + COUNT // 10] for label in range(10)]
    order = np.random.default_rng(SEED).permutation(np.concatenate(each))
    return images[order], labels[order]


def small(images: Grey, side: int) -> Grey:
    """The 20×20 box of each image, averaged down."""
    boxes = [Image.fromarray(image[4:24, 4:24]).resize((side, side), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(box) for box in boxes])


# --- writers of each format


def idx_pair(change: Callable[[Grey], NDArray[Any]], *, packed: bool = False) -> Write:
    """Two IDX files."""

    def write(folder: Path) -> Path:
        images, labels = chosen()
        changed = np.ascontiguousarray(change(images), np.uint8)
        for name, array in (("t10k-images-idx3-ubyte", changed), ("t10k-labels-idx1-ubyte", labels)):
            body = idx.header(array.shape) + array.tobytes()
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(body) if packed else body)
        return folder

    return write


def npz(change: Callable[[Grey], NDArray[Any]], images_name: str = "x_test", labels_name: str = "y_test") -> Write:
    """An ``.npz`` of images and labels."""

    def write(folder: Path) -> Path:
        images, labels = chosen()
        np.savez(folder / "set.npz", **{images_name: change(images), labels_name: labels})
        return folder / "set.npz"

    return write


def table(
    change: Callable[[Grey], NDArray[Any]],
    separator: str = ",",
    head: str = "label,{pixels}",
    *,
    last: bool = False,
    edit: Callable[[str], str] = lambda text: text,
) -> Write:
    """Rows of a label and its pixels."""

    def write(folder: Path) -> Path:
        images, labels = chosen()
        pixels = change(images).reshape(len(images), -1)
        rows = [
            [*map(_plain, row), str(label)] if last else [str(label), *map(_plain, row)]
            for row, label in zip(pixels, labels, strict=True)
        ]
        names = head.format(pixels=",".join(f"pixel{at}" for at in range(pixels.shape[1])))
        lines = [*([names.replace(",", separator)] if head else []), *(separator.join(row) for row in rows)]
        (folder / "set.csv").write_text(edit("\n".join(lines) + "\n"), encoding="utf-8")
        return folder / "set.csv"

    return write


def _plain(value: object) -> str:
    return f"{value:g}"


def folder_of(change: Callable[[Grey], bytes], suffix: str = "png", *, packed: bool = False) -> Write:
    """``<digit>/*.png``, in a folder or a zip."""

    def write(folder: Path) -> Path:
        files = {
            f"{label}/{at}.{suffix}": change(image) for at, (image, label) in enumerate(zip(*chosen(), strict=True))
        }
        return _zip(folder / "set.zip", files) if packed else _tree(folder / "set", files)

    return write


def _tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return path


def bytes_of(name: str, body: bytes) -> Write:
    """One file with this content."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(body)
        return folder / name

    return write


def zipped_idx(folder: Path) -> Path:
    """A zip of gzipped IDX files inside a folder."""
    inner = idx_pair(lambda x: x, packed=True)(folder)
    return _zip(folder / "mnist.zip", {f"MNIST/raw/{path.name}": path.read_bytes() for path in inner.glob("*.gz")})


def semeion(folder: Path) -> Path:
    """Semeion's text: 256 values of 0 and 1 and ten columns for the label, blanks between."""
    images, labels = chosen()
    ink, hot = (small(images, 16) > 100).reshape(COUNT, -1), np.eye(10, dtype=int)[labels]
    lines = [" ".join([*(f"{value:.4f}" for value in row), *map(str, one)]) for row, one in zip(ink, hot, strict=True)]
    (folder / "semeion.data").write_text("\n".join(lines) + " \n", encoding="utf-8")
    return folder / "semeion.data"


def sorted_names(folder: Path) -> Path:
    """A CSV with its columns sorted as text: pixel0, pixel1, pixel10."""
    images, labels = chosen()
    order = sorted(range(784), key=lambda at: f"pixel{at}")
    lines = [",".join(["class", *(f"pixel{at}" for at in order)])]
    for image, label in zip(images, labels, strict=True):
        lines.append(",".join(map(str, [label, *image.ravel()[order]])))
    (folder / "set.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "set.csv"


# --- pictures


def grey(change: Callable[[Grey], Grey] = lambda x: x, **options: object) -> Callable[[Grey], bytes]:
    """A grey PNG of the changed pixels."""
    return lambda image: encoded(Image.fromarray(np.ascontiguousarray(change(image))), **options)


def sideways(image: Grey) -> bytes:
    """112×112, stored a quarter turn to the left; its EXIF says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = Image.fromarray(255 - image).resize((112, 112), Image.Resampling.BICUBIC)
    return encoded(large.transpose(Image.Transpose.ROTATE_90), exif=exif)


def sideways_28(image: Grey) -> bytes:
    """The same at 28×28, white on black."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(np.rot90(image)), exif=exif)


def photo(
    light: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    side: int = 280,
    depth: float = 0.7,
) -> Callable[[Grey], bytes]:
    """Dark ink on paper under ``light(down, across)``, both -0.5 to 0.5, with noise."""

    def change(image: Grey) -> bytes:
        rng = np.random.default_rng([SEED, *image[14]])
        down, across = np.mgrid[:side, :side] / side - 0.5
        share = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)) / 255
        levels = light(down, across) * (1 - depth * share) + rng.normal(0, 4, share.shape)
        return encoded(Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8)))

    return change


def colours(paper: tuple[int, int, int], pen: tuple[int, int, int]) -> Callable[[Grey], bytes]:
    """An RGB picture of 84×84."""

    def change(image: Grey) -> bytes:
        share = np.asarray(Image.fromarray(image).resize((84, 84), Image.Resampling.BICUBIC))[..., None] / 255
        mixed = np.array(paper) * (1 - share) + np.array(pen) * share
        return encoded(Image.fromarray(np.rint(mixed).astype(np.uint8)))

    return change


def transparent(image: Grey) -> bytes:
    """Black ink on nothing."""
    return encoded(Image.merge("LA", (Image.new("L", (28, 28), 0), Image.fromarray(image))))


def tar_of(name: str) -> bytes:
    """The head of a tar archive."""
    return name.encode().ljust(257, b"\0") + b"ustar\x0000" + bytes(248)


def npy() -> bytes:
    """One array."""
    file = io.BytesIO()
    np.save(file, np.zeros((3, 28, 28), np.uint8))
    return file.getvalue()


def same(images: Grey) -> Grey:
    """As they are."""
    return images


def one_in_ten_inverted(images: Grey) -> Grey:
    """A set that is not of one polarity."""
    return np.where(np.arange(COUNT)[:, None, None] % 10, images, 255 - images)


def slanting(down: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """A shadow over one corner and more."""
    return np.where(down + across < 0.1, 210.0, 110.0)


RIGHT: dict[str, tuple[Write, str]] = {  # the input, and the preparation of most of its digits
    "IDX": (idx_pair(same), "kept"),
    "IDX, gzipped": (idx_pair(same, packed=True), "kept"),
    "IDX, black on white": (idx_pair(lambda x: 255 - x), "inverted"),
    "IDX, 0 and 1": (idx_pair(lambda x: x > 127), "scaled from 0..1"),
    "IDX, 0 and 1, black on white": (idx_pair(lambda x: x <= 127), "scaled from 0..1; inverted"),
    "IDX, 0 to 16": (idx_pair(lambda x: x // 16), "scaled from 0..16"),
    "IDX, 0 to 100": (idx_pair(lambda x: x / 255 * 100), "scaled from 0..100"),
    "IDX, black on grey": (idx_pair(lambda x: 200 - x * (180 / 255)), "inverted; fitted"),
    "IDX, 32×32": (idx_pair(lambda x: np.pad(x, ((0, 0), (2, 2), (2, 2)))), "fitted"),
    "IDX, 20×20": (idx_pair(lambda x: x[:, 4:24, 4:24]), "fitted"),
    "IDX, one in ten inverted": (idx_pair(one_in_ten_inverted), "kept"),
    "zip of IDX": (zipped_idx, "kept"),
    "npz": (npz(same), "kept"),
    "npz, images and labels": (npz(same, "images", "labels"), "kept"),
    "npz, arr_0 and arr_1": (npz(same, "arr_0", "arr_1"), "kept"),
    "npz, rows of 784": (npz(lambda x: x.reshape(-1, 784), "data", "target"), "kept"),
    "npz, a channel": (npz(lambda x: x[..., None]), "kept"),
    "npz, a channel first": (npz(lambda x: x[:, None]), "kept"),
    "npz, float 0 to 1": (npz(lambda x: x / 255), "scaled from 0..1"),
    "npz, float32 1 to 0": (npz(lambda x: (1 - x / 255).astype(np.float32)), "scaled from 0..1; inverted"),
    "npz, float -1 to 1": (npz(lambda x: x / 127.5 - 1), "scaled from -1..1"),
    "npz, 16 bits": (npz(lambda x: x.astype(np.uint16) * 257), "scaled from 0..65535"),
    "npz, 12 bits": (npz(lambda x: x.astype(np.uint16) * 16), "scaled from 0..4080"),
    "npz, booleans": (npz(lambda x: x > 127), "scaled from 0..1"),
    "npz, float64 0 to 255": (npz(lambda x: x.astype(float)), "kept"),
    "npz, columns first in memory": (npz(np.asfortranarray), "kept"),
    "npz, 8×8 of 0 to 16": (npz(lambda x: small(x, 8) / 16), "scaled from 0..16; fitted"),
    "npz, 8×8, black on white": (npz(lambda x: 16 - small(x, 8) // 16), "scaled from 0..16; inverted; fitted"),
    "npz, 14×14": (npz(lambda x: small(x, 14)), "fitted"),
    "CSV": (table(same), "kept"),
    "CSV without names": (table(same, head=""), "kept"),
    "CSV, label last": (table(same, head="{pixels},class", last=True), "kept"),
    "CSV, label last, no names": (table(same, head="", last=True), "kept"),
    "CSV, semicolons": (table(same, ";"), "kept"),
    "CSV, tabs": (table(same, "\t"), "kept"),
    "CSV with a byte order mark": (table(same, edit=lambda text: "\ufeff" + text), "kept"),
    "CSV with CRLF and empty lines": (table(same, edit=lambda text: text.replace("\n", "\r\n\r\n")), "kept"),
    "CSV, columns sorted as text": (sorted_names, "kept"),
    "CSV, 0 to 1": (table(lambda x: x / 255), "scaled from 0..1"),
    "CSV, black on white": (table(lambda x: 255 - x, head=""), "inverted"),
    "optdigits": (table(lambda x: small(x, 8) // 16, head="", last=True), "scaled from 0..16; fitted"),
    "USPS": (table(lambda x: small(x, 16) / 127.5 - 1, " ", head=""), "scaled from -1..1; fitted"),
    "Semeion": (semeion, "scaled from 0..1; fitted"),
    "PNG 28×28": (folder_of(grey()), "kept"),
    "PNG 28×28, black on white": (folder_of(grey(lambda x: 255 - x)), "inverted"),
    "PNG 28×28, black on grey": (folder_of(grey(lambda x: 200 - x // 3 * 2)), "inverted; fitted"),
    "PNG 28×28 turned, EXIF": (folder_of(sideways_28), "turned 90"),
    "PNG 112×112 turned, EXIF": (folder_of(sideways), "turned 90; inverted; fitted"),
    "PNG 28×28, black on white, zipped": (folder_of(grey(lambda x: 255 - x), packed=True), "inverted"),
    "PNG, black on transparent": (folder_of(transparent), "inverted; fitted"),
    "PNG, blue on yellow": (folder_of(colours((255, 240, 120), (20, 30, 160))), "inverted; fitted"),
    "PNG, yellow on green board": (folder_of(colours((20, 70, 40), (250, 240, 150))), "fitted"),
    "photo, hard shadow": (folder_of(photo(lambda y, x: np.where(x < 0, 200.0, 110.0))), "inverted; evened; fitted"),
    "photo, slanting shadow": (folder_of(photo(slanting)), "inverted; evened; fitted"),
    "photo, soft shadow": (
        folder_of(photo(lambda y, x: 110 + 90 / (1 + np.exp(40 * (y - 0.05))))),
        "inverted; evened; fitted",
    ),
    "photo, slope of light": (folder_of(photo(lambda y, x: 170 + 80 * x + 40 * y)), "inverted; fitted"),
}

REFUSED: dict[str, tuple[Write, str]] = {  # the input, and the message of its refusal
    "IDX by columns": (idx_pair(lambda x: x.swapaxes(1, 2)), "% transposed .*--as transposed"),
    "IDX upside down": (idx_pair(lambda x: x[:, ::-1]), "--as flipped"),
    "IDX mirrored": (idx_pair(lambda x: x[:, :, ::-1]), "--as mirrored"),
    "IDX turned": (idx_pair(lambda x: np.rot90(x, 1, (1, 2))), "--as turned-90"),
    "CSV by columns, black on white": (table(lambda x: 255 - x.swapaxes(1, 2)), "--as transposed"),
    "PNG 28×28 by columns": (folder_of(grey(np.transpose)), "--as transposed"),
    "IDX, blank": (idx_pair(lambda x: x * 0), "blank"),
    "npz, standardised": (npz(lambda x: (x / 255 - 0.1307) / 0.3081), "were standardised"),
    "npz, signed bytes": (npz(lambda x: x.view(np.int8)), "bytes saved as signed numbers"),
    "npz, colours": (npz(lambda x: np.stack([x] * 3, -1)), r"expected images \(n, h, w\)"),
    "npz, objects": (npz(lambda x: np.array([str(each) for each in x], object)), "pickled objects"),
    "npz, not a number": (npz(lambda x: x * np.nan), "not finite|finite"),
    "CSV without labels": (table(same, edit=lambda text: _without_labels(text)), "pixels without a label"),
    "CSV with row numbers": (table(same, edit=lambda text: _numbered(text)), "remove the row numbers"),
    "CSV, decimal commas": (
        table(lambda x: x / 255, ";", edit=lambda text: text.replace(".", ",")),
        "expected a number",
    ),
    "LIBSVM": (bytes_of("mnist.scale", b"5 153:0.0117 154:0.07 155:0.07\n"), "LIBSVM"),
    "a web page": (bytes_of("train.csv", b"<!DOCTYPE html><html>log in</html>"), "a web page"),
    "ARFF": (bytes_of("mnist.arff", b"@RELATION mnist\n@ATTRIBUTE pixel1 real\n"), "an ARFF file"),
    "a Git LFS pointer": (
        bytes_of("m.npz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "git lfs pull",
    ),
    "HDF5": (bytes_of("mnist.h5", b"\x89HDF\r\n\x1a\n" + bytes(40)), "an HDF5 file"),
    "a pickle": (bytes_of("mnist.pkl", b"\x80\x04\x95" + bytes(40)), "pickle"),
    "a gzipped pickle": (bytes_of("mnist.pkl.gz", gzip.compress(b"\x80\x02}q\x01" + bytes(40))), "pickle"),
    "a tar": (bytes_of("mnist.tar", tar_of("0/a.png")), "got an archive"),
    "a MATLAB file": (bytes_of("ex3data1.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90)), "a MATLAB file"),
    "one array": (bytes_of("x.npy", npy()), "a NumPy array"),
    "one picture": (
        bytes_of("four.png", digits.to_png(np.eye(28, dtype=np.uint8) * 255)),
        "a PNG picture",
    ),
    "IDX of floats": (bytes_of("a-images-idx3-ubyte", b"\0\0\x0d\3" + bytes(12)), "got float32 in 3"),
    "text in UTF-16": (bytes_of("set.csv", "label,pixel0\n".encode("utf-16")), "UTF-16"),
}


def _without_labels(text: str) -> str:
    return "\n".join(line.partition(",")[2] for line in text.splitlines())


def _numbered(text: str) -> str:
    return "\n".join(f"{number or ''},{line}" for number, line in enumerate(text.splitlines()))
