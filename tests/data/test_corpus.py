"""Base corpora: MNIST is the same from every source or is refused; ``digits`` is the small replacement."""

import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from loop.data import corpus, idx
from loop.errors import CorpusUnavailable
from models import bundled, downloads
from tests.helpers import shared

PARTS = [f"{part}-idx{dimensions}-ubyte" for part, dimensions, _, _ in corpus.MNIST_PARTS]


def as_idx(array: NDArray[np.uint8]) -> bytes:
    """Return the array as an IDX file."""
    return idx.header(array.shape) + array.tobytes()


# --- IDX


@pytest.mark.slow
@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, st.one_of(st.tuples(st.integers(0, 9)), st.tuples(*[st.integers(0, 5)] * 3))), st.booleans()
)
def test_idx_round_trip(array: NDArray[np.uint8], zipped: bool) -> None:
    """An array is written and read back unchanged, gzipped or not."""
    file = gzip.compress(as_idx(array)) if zipped else as_idx(array)
    assert np.array_equal(idx.parse(idx.unpacked(file)), array)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "begins with"),
        (b"\0\0\x0b\1\0\0\0\0", "expected an IDX file of bytes"),
        (b"\0\0\x08\x02" + bytes(8), "expected an IDX file of bytes"),
        (b"\0\0\x08\x03" + bytes(8), "header of 16"),
        (b"\0\0\x08\x01" + struct.pack(">I", 5) + b"1234", "states 5 bytes of values, got 4"),
        (b"\0\0\x08\x01" + struct.pack(">I", 3) + b"1234", "states 3 bytes of values, got 4"),
        (b"\0\0\x08\x03" + struct.pack(">III", *[2**32 - 1] * 3), "got 0"),
    ],
)
def test_bad_idx(file: bytes, message: str) -> None:
    """A wrong magic number, a short header, and sizes that differ from the number of bytes are refused."""
    with pytest.raises(ValueError, match=message):
        idx.parse(file)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_a_value_error(file: bytes) -> None:
    """Any bytes give an array or raise ValueError."""
    for prefix in (b"", b"\0\0\x08\x01", b"\x1f\x8b\x08\0"):
        try:
            assert idx.parse(idx.unpacked(prefix + file)).dtype == np.uint8
        except ValueError:
            continue


@pytest.mark.slow
def test_a_gzip_bomb_is_bounded() -> None:
    """A gzip of 300 MB is unpacked only up to the limit."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="at most 1,000,000"):
        idx.unpacked(packed.getvalue(), 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


# --- MNIST


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set an empty Keras cache, and return its path for MNIST."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets" / "mnist.npz"


@pytest.fixture(scope="session")
def mnist_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write MNIST as Keras's ``mnist.npz``."""
    mnist = corpus.mnist(shared.mnist_folder())
    path = tmp_path_factory.mktemp("npz") / "mnist.npz"
    train, test = (mnist.train_images, mnist.train_labels), (mnist.test_images, mnist.test_labels)
    np.savez(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return path


@pytest.mark.slow
def test_mnist_is_the_same_from_every_source(mnist_npz: Path, tmp_path: Path) -> None:
    """Gzipped IDX, plain IDX with dots in the names, an npz, and a folder with an npz give the same digest."""
    gzipped = corpus.mnist(shared.mnist_folder())
    for name in PARTS:
        with gzip.open(shared.mnist_folder() / f"{name}.gz") as file:
            (tmp_path / name.replace("-idx", ".idx")).write_bytes(file.read())
    plain, npz, beside = corpus.mnist(tmp_path), corpus.mnist(mnist_npz), corpus.mnist(mnist_npz.parent)
    assert gzipped.digest == plain.digest == npz.digest == beside.digest
    assert np.array_equal(npz.test_images, plain.test_images)
    assert gzipped.train_images.shape == (60_000, 28, 28)
    assert gzipped.test_labels.shape == (10_000,)


@pytest.mark.slow
def test_a_corpus_cannot_be_changed() -> None:
    """Its arrays are read-only, so that a night cannot change the images that judge it."""
    mnist = corpus.mnist(shared.mnist_folder())
    for array in (mnist.train_images, mnist.train_labels, mnist.test_images, mnist.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def linked(folder: Path) -> Path:
    """Make a folder of links to MNIST's files, for a test to damage."""
    for name in PARTS:
        (folder / f"{name}.gz").symlink_to(shared.mnist_folder() / f"{name}.gz")
    return folder


@pytest.mark.slow
def test_one_wrong_label_is_refused(tmp_path: Path) -> None:
    """One changed label of 70,000 is refused; the message has the file, both checksums and the next step."""
    labels = bytearray(gzip.decompress((shared.mnist_folder() / "t10k-labels-idx1-ubyte.gz").read_bytes()))
    labels[4321] ^= 1
    spoilt = linked(tmp_path) / "t10k-labels-idx1-ubyte.gz"
    spoilt.unlink()
    spoilt.write_bytes(gzip.compress(labels))
    with pytest.raises(
        CorpusUnavailable, match=r"t10k-labels.*expected SHA-256 ff7bcfd.*got [0-9a-f]{64}.*LOOP_MNIST"
    ) as no:
        corpus.mnist(tmp_path)
    assert "\n" not in str(no.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoilt",
    [b"", b"text", b"\x1f\x8b\x08\0cut", gzip.compress(b"\0\0\x08\x01\0\0\0\x09")],
    ids=["empty", "text", "cut", "short"],
)
def test_an_unreadable_file_is_named(tmp_path: Path, spoilt: bytes) -> None:
    """A file that is not IDX is refused with its name."""
    path = linked(tmp_path) / "train-labels-idx1-ubyte.gz"
    path.unlink()
    path.write_bytes(spoilt)
    with pytest.raises(CorpusUnavailable, match=r"train-labels-idx1-ubyte\.gz is unreadable"):
        corpus.mnist(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """A folder with three of MNIST's four files is refused with the name of the missing one."""
    (linked(tmp_path) / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(CorpusUnavailable, match=r"contains no t10k-images-idx3-ubyte.*LOOP_MNIST"):
        corpus.mnist(tmp_path)


def npz(path: Path, **arrays: NDArray[np.generic]) -> Path:
    """Write a small file with the names that Keras uses, with some arrays replaced."""
    empty = np.zeros((0, 28, 28), np.uint8)
    given = {"x_train": empty, "y_train": empty[:, 0, 0], "x_test": empty, "y_test": empty[:, 0, 0]} | arrays
    np.savez_compressed(path, **given)  # type: ignore[arg-type]  # numpy's stub reads the arrays as its option
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "expected SHA-256"),
        ({"x_train": np.zeros((0, 28, 28), np.float32)}, "expected uint8"),
        ({"y_test": np.zeros((2, 2), np.uint8)}, "1 dimensions"),
        ({"x_train": np.array([print], object)}, "pickle"),
        ({"x_train": np.zeros(100 << 20, np.uint8)}, "at most"),
    ],
    ids=["empty", "floats", "two dimensions", "pickle", "bomb"],
)
def test_a_wrong_npz_is_refused(tmp_path: Path, arrays: dict[str, NDArray[np.generic]], message: str) -> None:
    """Other values, types and shapes, pickles and zip bombs under the right names are refused."""
    with pytest.raises(CorpusUnavailable, match=message):
        corpus.mnist(npz(tmp_path / "mnist.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 not a zip"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is refused with its name, in one line."""
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(CorpusUnavailable, match=r"mnist\.npz is not Keras's") as refusal:
        corpus.mnist(tmp_path / "mnist.npz")
    assert "\n" not in str(refusal.value)


# --- where it is looked for


def test_a_named_path_is_never_passed_over(tmp_path: Path, no_cache: Path, mnist_npz: Path) -> None:
    """A wrong LOOP_MNIST is an error even if Keras's cache has MNIST."""
    no_cache.parent.mkdir(parents=True)
    no_cache.symlink_to(mnist_npz)
    assert corpus.mnist().name == "mnist"
    with pytest.raises(CorpusUnavailable, match="nowhere does not exist"):
        corpus.mnist(tmp_path / "nowhere", download=True)


def test_without_any_source_the_message_lists_what_was_tried(no_cache: Path) -> None:
    """Without a path, cache and download, the message has one line with each of them and the next step."""
    with pytest.raises(CorpusUnavailable, match=f"no path is set.*{no_cache} does not exist.*LOOP_MNIST") as refusal:
        corpus.mnist()
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_keras_downloads_into_its_cache(
    no_cache: Path, mnist_npz: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``download``, Keras fills its cache, prints nothing on standard output, and the file is checked as usual."""
    monkeypatch.setattr(downloads, "ORIGIN", mnist_npz.as_uri())
    monkeypatch.setattr(downloads, "SHA256", None)
    assert corpus.mnist(download=True).digest == corpus.mnist(mnist_npz).digest
    assert no_cache.is_file()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["http://127.0.0.1:9/mnist.npz", "file:///nowhere/mnist.npz"])
def test_a_failed_download_is_one_line(no_cache: Path, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """Without a network, the message has the failed download and the next step; no file remains."""
    monkeypatch.setattr(downloads, "ORIGIN", origin)
    with pytest.raises(CorpusUnavailable, match=r"download failed \(URL fetch failure.*LOOP_MNIST") as refusal:
        corpus.mnist(download=True)
    assert "\n" not in str(refusal.value)
    assert not no_cache.exists()


# --- scikit-learn's digits


def test_bundled_forms_are_where_the_labels_start_over() -> None:
    """Each form begins with 0 to 9 (one lacks its 0) and the printed sequence; each of 1,797 digits is in one form."""
    forms = ["".join(map(str, corpus.bundled(form)[1])) for form in range(14)]
    assert [form[:9] for form in forms] == ["012345678"] * 7 + ["123456789"] + ["012345678"] * 6
    assert all("678909556509898" in form[:45] for form in forms)
    assert sum(map(len, forms)) == len(bundled.load_bundled()[1]) == 1797


@pytest.mark.slow
def test_digits_corpus() -> None:
    """``digits`` has 776 and 253 images of all ten digits, white on black, the same at every call."""
    small = corpus.digits()
    assert (small.name, small.train_images.shape, small.test_images.shape) == ("digits", (776, 28, 28), (253, 28, 28))
    assert min(np.bincount(small.train_labels)) > 70
    assert small.digest == corpus.digits().digest
    assert not small.train_images.flags.writeable
    assert 25 < small.train_images.mean() < 45, "about as much ink as MNIST's 33"
    assert not set(map(bytes, small.train_images)) & set(map(bytes, small.test_images))
