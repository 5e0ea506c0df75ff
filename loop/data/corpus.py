"""Base corpora: the digits that train every base, that every night replays, and that judge every version.

``mnist`` is the same from every source: the four arrays are compared with the published digests of MNIST's
uncompressed IDX files. ``digits``, scikit-learn's 1,797, replaces it in demonstrations without MNIST.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.data import idx, npz
from loop.data.ink import normalise
from loop.errors import CorpusUnavailable, one_line

Array = NDArray[np.uint8]

MNIST_PARTS = (  # part, dimensions, name in mnist.npz, SHA-256 of the uncompressed IDX file
    ("train-images", 3, "x_train", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels", 1, "y_train", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images", 3, "x_test", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels", 1, "y_test", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
MNIST_ADVICE = "set LOOP_MNIST to a folder with MNIST's four IDX files or to Keras's mnist.npz"

FORMS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
"""The first digit of each form in the bundled digits, and the end of the last form; see ``bundled``."""
TRAIN_FORMS, TEST_FORMS, OTHER_FORMS = range(6), range(6, 8), range(8, 14)
"""The forms of ``digits()``, and the other forms: they have other writers, except for at most one person."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Images ``(n, 28, 28) uint8``, white on black; labels ``(n,) uint8``; all read-only.

    ``digest`` is the SHA-256 over the hex digests of the four arrays as IDX files (training images, training
    labels, test images, test labels), concatenated.
    """

    name: str
    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    digest: str


def mnist(path: Path | None = None, *, download: bool = False) -> Corpus:
    """Return MNIST from ``path`` (a folder with IDX files or ``mnist.npz``, or that file), else from Keras's cache.

    With ``download``, Keras downloads it if its cache is missing or damaged; this loads TensorFlow. A given ``path`` is
    never skipped. Raises ``CorpusUnavailable`` with the sources tried, the error and the next step.
    """
    from models.downloads import cached_mnist

    if path is not None:
        return _checked(path.expanduser())
    cache = cached_mnist()
    try:
        return _checked(cache)
    except CorpusUnavailable as error:
        if not download:
            missing = "does not exist" if not cache.exists() else f"is unusable ({error})"
            raise CorpusUnavailable(
                f"MNIST not found: no path is set, and Keras's cache {cache} {missing}; {MNIST_ADVICE}"
            ) from error
    return _downloaded(cache)


def _downloaded(cache: Path) -> Corpus:
    from models.downloads import DownloadFailed, download_mnist

    try:
        return _checked(download_mnist())
    except DownloadFailed as error:
        raise CorpusUnavailable(
            f"MNIST not found: no path is set, Keras's cache {cache} does not contain it, "
            f"and the download failed ({error}); {MNIST_ADVICE}"
        ) from error


def digits() -> Corpus:
    """Return scikit-learn's digits as a small corpus, normalised to 28×28; takes about a second.

    Forms 0 to 5 are the training set (776 images), 6 and 7 the test set (253).
    """
    forms = [bundled(form) for form in (*TRAIN_FORMS, *TEST_FORMS)]
    images = np.stack([normalise(picture) for pictures, _ in forms for picture in pictures])
    labels = np.concatenate([labels for _, labels in forms])
    split = FORMS[TEST_FORMS[0]]
    arrays = [images[:split], labels[:split], images[split:], labels[split:]]
    return _corpus("digits", arrays, [_idx_digest(array) for array in arrays])


def bundled(form: int) -> tuple[Array, Array]:
    """Return form 0 to 13 of scikit-learn's digits, to be normalised: ``(n, 64, 64) uint8``, labels ``(n,)``.

    The bundled copy has no writer ids. But its labels repeat the same printed form fourteen times: about 130 digits
    that begin with 0 to 9, 0 to 9, 0 to 9, 0, 9, 5, 5, 6, 5. Each form has one writer. UCI lists 13 writers, so one of
    them filled in two forms; it is not known which.

    8×8 is enlarged to 32×32 with a margin of paper, so that the normaliser can separate ink from paper. Levels are
    squared: a level is the number of dots in a 4×4 block, which makes strokes 1.5 times as broad as MNIST's (mean level
    46 of 255 unsquared, 35 squared, MNIST 33).
    """
    from models.bundled import load_bundled

    small, labels = load_bundled()
    rows = slice(FORMS[form], FORMS[form + 1])
    return np.stack([_enlarged(image) for image in small[rows]]), labels[rows]


def _enlarged(image: Array) -> Array:
    """Return ``(8, 8)`` of 0 to 16 as ``(64, 64)`` of 0 to 255."""
    share = Image.fromarray(image.astype(np.float32) / 16)
    large = np.asarray(share.resize((32, 32), Image.Resampling.LANCZOS)).clip(0, 1) ** 2
    return np.pad(np.rint(large * 255).astype(np.uint8), 16)


def _checked(path: Path) -> Corpus:
    """Return MNIST at ``path``, compared with its published digests."""
    try:
        arrays = _from_npz(path) if path.is_file() else _from_folder(path)
    except OSError as error:
        raise CorpusUnavailable(
            f"cannot read {path} ({error.strerror}); make it readable, or {MNIST_ADVICE}"
        ) from error
    for (source, array), (part, dimensions, _, expected) in zip(arrays, MNIST_PARTS, strict=True):
        found = _idx_digest(array)
        if found != expected:
            raise CorpusUnavailable(
                f"{source} is not MNIST's {part}-idx{dimensions}-ubyte: expected SHA-256 {expected} (uncompressed), "
                f"got {found}; fetch it again, or {MNIST_ADVICE}"
            )
    return _corpus("mnist", [array for _, array in arrays], [part[-1] for part in MNIST_PARTS])


def _from_folder(folder: Path) -> list[tuple[str, Array]]:
    """Return the file and array of each part, in the order of MNIST_PARTS."""
    stems = [(part, f"idx{dimensions}-ubyte") for part, dimensions, _, _ in MNIST_PARTS]
    found = {part: _first_file(folder, part, rest) for part, rest in stems}
    if not any(found.values()) and (folder / "mnist.npz").is_file():
        return _from_npz(folder / "mnist.npz")
    arrays = []
    for part, rest in stems:
        path = found[part]
        if path is None:
            state = "contains no" if folder.is_dir() else "does not exist: no"
            raise CorpusUnavailable(f"{folder} {state} {part}-{rest} (or .gz) or mnist.npz; {MNIST_ADVICE}")
        try:
            arrays.append((str(path), idx.load(path)))
        except ValueError as error:
            raise CorpusUnavailable(f"{path} is unreadable: {error}; fetch it again, or {MNIST_ADVICE}") from error
    return arrays


def _first_file(folder: Path, part: str, rest: str) -> Path | None:
    names = (f"{part}{dot}{rest}{suffix}" for dot in "-." for suffix in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _from_npz(path: Path) -> list[tuple[str, Array]]:
    """Return the same from Keras's ``mnist.npz``; a member over ``idx.MAX_BYTES`` is not read."""
    try:
        arrays = npz.load(path)
        return [(f"{path}:{name}", _uint8(arrays[name], dimensions)) for _, dimensions, name, _ in MNIST_PARTS]
    except (ValueError, LookupError) as error:
        raise CorpusUnavailable(f"{path} is not Keras's mnist.npz ({one_line(error)}); {MNIST_ADVICE}") from error


def _uint8(array: NDArray[np.generic], dimensions: int) -> Array:
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise ValueError(f"expected uint8 in {dimensions} dimensions, got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array, np.uint8)


def _idx_digest(array: Array) -> str:
    """Return the SHA-256 of the array as an uncompressed IDX file."""
    hashed = hashlib.sha256(idx.header(array.shape))
    hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def _corpus(name: str, arrays: list[Array], digests: list[str]) -> Corpus:
    for array in arrays:
        array.flags.writeable = False
    train_images, train_labels, test_images, test_labels = arrays
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    return Corpus(name, train_images, train_labels, test_images, test_labels, digest)
