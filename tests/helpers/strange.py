"""Files and folders of other kinds, as people drop them on the commands, made by real writers where that is cheap."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from loop.data import idx
from tests.models.coreml import seeds


def picture(kind: str) -> bytes:
    """Return a 28×28 picture in a format that Pillow writes."""
    made = io.BytesIO()
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(made, kind)
    return made.getvalue()


def zipped(*names: str) -> bytes:
    """Return a zip of files of one byte."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return made.getvalue()


def _array(save: Callable[..., None]) -> bytes:
    made = io.BytesIO()
    save(made, np.arange(12))
    return made.getvalue()


def _hdf5() -> bytes:
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file["kernel"] = np.arange(12.0)
    return made.getvalue()


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.mlmodel"), io.BytesIO())
    return made.getvalue()


def _safetensors() -> bytes:
    head = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(4)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 526000\n"
ROWS = b"label,pixel0,pixel1\n7,0,255\n3,12,0\n"

FILES: Mapping[str, tuple[bytes, str, str]] = {
    "empty.mlmodel": (b"", "an empty file", "fetch the file again"),
    "pointer.mlmodel": (POINTER, "a Git LFS pointer", "git lfs pull"),
    "page.mlmodel": (b"\n<!DOCTYPE html>\n<html lang='en'>", "an HTML page", "downloads the file itself"),
    "page.zip": (b"<!-- saved -->\n<html><body>", "an HTML page", "downloads the file itself"),
    "digits.csv": (ROWS, "a CSV table", "the digits second"),
    "digits.tsv": (ROWS.replace(b",", b"\t"), "a CSV table", "the digits second"),
    "model.h5": (_hdf5(), "an HDF5 file", "docs/coreml-runtime.md"),
    "model.keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "a Keras model", "docs/coreml-runtime"),
    "model.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:\x02\x0a\x00", "an ONNX model", "does not read ONNX"),
    "bare.onnx": (b"\x08\x08:\x02\x0a\x00B\x02\x10\x0d", "an ONNX model", "does not read ONNX"),
    "model.tflite": (b"\x1c\x00\x00\x00TFL3\x14\x00\x20\x00", "a TensorFlow Lite model", "docs/coreml-runtime.md"),
    "model.pt": (zipped("model/data.pkl", "model/data/0", "model/version"), "a PyTorch file", "runs the code"),
    "old.pt": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M", "a PyTorch file", "runs the code"),
    "model.safetensors": (_safetensors(), "a safetensors file", "weights without a network"),
    "model.pkl": (pickle.dumps({"weights": [1.0]}), "a Python pickle", "runs the code"),
    "list.pkl": (pickle.dumps([1, 2], protocol=2), "a Python pickle", "runs the code"),
    "digits.npy": (_array(np.save), "a NumPy array", "the digits second"),
    "digits.npz": (_array(np.savez), "a NumPy archive", "the digits second"),
    "t10k-images-idx3-ubyte": (idx.header((1, 2, 2)) + bytes(4), "an IDX file", "the digits second"),
    "digits.idx": (idx.header((1, 2, 2)) + bytes(4), "an IDX file", "the digits second"),
    "digits.gz": (gzip.compress(ROWS), "a gzip", "gunzip"),
    "digits.bz2": (bz2.compress(ROWS), "an archive", "unpack it"),
    "digits.xz": (lzma.compress(ROWS), "an archive", "unpack it"),
    "digits.tar": (_tar(), "an archive", "unpack it"),
    "digits.zip": (zipped("7/a.png"), "a zip", "unpack it"),
    "model.zip": (zipped("readme.txt", "best.mlmodel"), "a zip with an .mlmodel in it", "unpack it"),
    "compiled.zip": (zipped("digits.mlmodelc/coremldata.bin"), "a compiled Core ML model", "was compiled from"),
    "seven.png": (picture("PNG"), "a PNG picture", "the digits second"),
    "seven.jpg": (picture("JPEG"), "a JPEG picture", "the digits second"),
    "seven.heic": (b"\x00\x00\x00\x24ftypheic\x00\x00", "a HEIC picture", "the digits second"),
    "seven.bmp": (picture("BMP"), "a picture of another format", "the digits second"),
    "seven.gif": (picture("GIF"), "a picture of another format", "the digits second"),
    "seven.tif": (picture("TIFF"), "a picture of another format", "the digits second"),
    "seven.webp": (picture("WEBP"), "a picture of another format", "the digits second"),
    "model.json": (json.dumps({"modelTopology": {}}).encode(), "a JSON file", "give an .mlmodel"),
    "rows.json": (b"[[1, 2], [3, 4]]", "a JSON file", "give an .mlmodel"),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3", "a PDF", "give an .mlmodel"),
    "readme.md": ("# Ziffern, größer als üblich\n".encode(), "a text file", "give an .mlmodel"),
    "cut.txt": (b"a" + "ä".encode() * 4096, "a text file", "give an .mlmodel"),
}
"""By file name: the bytes, the kind's name, and words of the next step where a model is expected."""
TAKEN_AS_DIGITS = {"t10k-images-idx3-ubyte", "digits.zip", "digits.csv", "digits.tsv", "digits.npz", "digits.idx"} | {
    "digits.gz",
    "readme.md",
    "cut.txt",
}
"""What the reader of labelled digits looks into itself, and refuses by what it finds there."""

READ_ALONE = {"seven.png", "seven.jpg"}
"""What ``loop score`` reads as one picture without a label."""

FOLDERS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "program.mlmodelc": (("coremldata.bin", "model.mil", "weights/weight.bin"), "a compiled Core ML", "compiled from"),
    "renamed": (("coremldata.bin", "model.espresso.net"), "a compiled Core ML", "compiled from"),
    "bare.mlmodelc": (("metadata.json",), "a compiled Core ML", "compiled from"),
    "saved": (("saved_model.pb", "variables/variables.index"), "a TensorFlow SavedModel", "docs/coreml-runtime.md"),
    "stuff": (("notes.txt",), "a folder", "give an .mlmodel"),
}


def write(folder: Path, name: str) -> Path:
    """Write one of ``FILES`` or ``FOLDERS`` into ``folder`` and return its path."""
    path = folder / name
    if name in FILES:
        path.write_bytes(FILES[name][0])
    for member in FOLDERS.get(name, ((),))[0]:
        (path / member).parent.mkdir(parents=True, exist_ok=True)
        (path / member).write_bytes(b"x")
    return path


def core_ml() -> bytes:
    """Return a Core ML model."""
    data: bytes = seeds.convolutional().SerializeToString()
    return data
