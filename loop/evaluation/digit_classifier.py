"""Classify digits with any Core ML digit classifier, ours or not: loaded model → DigitClassifier.

Sits between ``models.coreml`` and the code that scores a file (``publishing``, ``export_check``, ``loop score``).
Rules: every assumption about a file is listed in ``assumptions``; a model that can only be used by guessing is refused.
The only error that a file can cause is BadModel.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.errors import BadModel
from loop.evaluation import input_adapter
from loop.evaluation.input_adapter import SIDE, Images, InputAdapter, Scale
from models import coreml

Answers = NDArray[np.floating[Any]]
Outputs = Mapping[str, NDArray[Any]]

_CHUNK_IMAGES, _CHUNK_VALUES = 1000, 8_000_000  # limits on the images, and on the input values, prepared at once
_SUM_TOLERANCE = 1e-3  # ten float16 outputs of a softmax sum to 1 within this


@dataclass(frozen=True, slots=True, eq=False)
class DigitClassifier:
    """One Core ML model, adapted to 28×28 digits.

    ``probabilities`` takes ``(n, 28, 28) uint8``, white ink on black, whatever input the model itself expects, and
    returns ``(n, 10)``: column k is the probability of digit k. It raises BadModel if the model fails on the images.
    """

    probabilities: Callable[[Images], Answers]
    model: str
    """SHA-256 of the file."""
    input: str
    kind: str
    """``grayscale image``, ``RGB image``, ``BGR image``, ``array`` or ``tiles``."""
    size: tuple[int, int]
    """Height and width of the input."""
    polarity: str
    """``white on black`` or ``black on white``: what the model expects."""
    label_only: bool
    """The model returns a label without probabilities, so rows are one-hot."""
    assumptions: tuple[str, ...]
    """What the file states and what was assumed, one sentence each."""
    read: Callable[[Images], "Reading"]
    """Probabilities and embeddings of the same images in one run; raises as ``probabilities`` does."""
    scales: tuple[Scale, ...] = ()
    """If the file states no scale of its array input: the candidates, the assumed one first."""

    def embeddings(self, images: Images) -> NDArray[np.float32]:
        """Return ``(n, d) float32``: the last hidden layer's values for ``(n, 28, 28) uint8``; see ``Reading``."""
        return self.read(images).embeddings


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a model makes of ``n`` images.

    ``probabilities`` ``(n, 10)``: column k is that of digit k. ``embeddings`` ``(n, d) float32``: the values that the
    model's last linear layer takes or, for a model without one (a support-vector machine), the model's input.
    """

    probabilities: Answers
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _OutputAdapter:
    """How the model's outputs become ``(n, 10)`` rows in the order of the digits."""

    output: str
    """The only output requested: a file may have others, of any size."""
    rows: Callable[[Outputs], Answers]
    notes: tuple[str, ...]
    label_only: bool = False


@cache
def runtime() -> str:
    """Digest of the code that turns a file and images into answers. Only reports with one digest are comparable."""
    here, models_package = Path(__file__).parent, Path(coreml.__file__).parent
    own = [here / name for name in ("digit_classifier.py", "input_adapter.py", "pixels.py")]
    sources = [*own, models_package.parent / "svm" / "tiles.py", *sorted(models_package.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def load(data: bytes, name: str = "model.mlmodel") -> coreml.Model:
    """Load a model from a file's bytes; ``name`` appears in messages. Raises BadModel if it cannot be run."""
    with _bad_model():
        return coreml.load(data, name=name)


def classifier(model: coreml.Model, scale: Scale | None = None) -> DigitClassifier:
    """Adapt ``model`` to digits; ``scale`` replaces one that the file does not state.

    Raises BadModel if its input or its labels are not those of a digit classifier.
    """
    adapter = input_adapter.find(model, scale)
    output = _of_classifier(model) if model.labels else _of_network(model, _predict(model, adapter, _probe()))

    def probabilities(images: Images) -> Answers:
        parts = [output.rows(_predict(model, adapter, chunk, (output.output,))) for chunk in _chunks(images, adapter)]
        return np.concatenate(parts) if parts else np.zeros((0, 10), np.float32)

    def read(images: Images) -> Reading:
        return _reading(model, adapter, output, images)

    return DigitClassifier(
        probabilities=probabilities,
        model=model.sha256,
        input=adapter.name,
        kind=adapter.kind,
        size=adapter.size,
        polarity=adapter.polarity,
        label_only=output.label_only,
        assumptions=(*adapter.notes, *output.notes),
        read=read,
        scales=adapter.scales,
    )


def _reading(model: coreml.Model, adapter: InputAdapter, output: _OutputAdapter, images: Images) -> Reading:
    """Read ``images`` with the last hidden layer. No images are one chunk of none, so that the width is known."""
    try:
        wide, more = model.with_hidden(), [coreml.LAST_HIDDEN]
    except coreml.Unsupported:
        wide, more = model, []
    answers, hidden = [], []
    for chunk in _chunks(images, adapter) or [images]:
        found = _predict(wide, adapter, chunk, (output.output, *more))
        answers.append(output.rows(found))
        values = found[coreml.LAST_HIDDEN] if more else _values(adapter.prepare(chunk))
        hidden.append(values.astype(np.float32, copy=False))
    return Reading(np.concatenate(answers), np.concatenate(hidden))


def _chunks(images: Images, adapter: InputAdapter) -> list[Images]:
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise ValueError(f"images must be (n, 28, 28) uint8, got {images.shape} {images.dtype}")
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_VALUES // adapter.values))
    return [images[i : i + step] for i in range(0, len(images), step)]


def _values(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return a model's inputs for n images, side by side, as ``(n, values)``."""
    return np.concatenate([each.reshape(len(each), -1) for each in inputs.values()], axis=1)


def _predict(
    model: coreml.Model, adapter: InputAdapter, images: Images, outputs: tuple[str, ...] | None = None
) -> Outputs:
    with _bad_model():
        return model.predict(adapter.prepare(images), outputs)


@contextmanager
def _bad_model() -> Iterator[None]:
    try:
        yield
    except coreml.AnotherKind as error:
        raise BadModel(str(error)) from error
    except coreml.ModelError as error:
        raise BadModel(f"{error}; give a Core ML digit classifier that this runtime can run") from error


def _of_classifier(model: coreml.Model) -> _OutputAdapter:
    """Probabilities by label, or labels alone. Raises BadModel if the labels are not the ten digits."""
    labels = model.labels or ()
    columns = _columns(model.name, labels)
    sorted_already = (columns == np.arange(10)).all()
    notes = () if sorted_already else (f"labels: {_listed(labels)}, reordered to 0 to 9",)
    if (probabilities := model.probabilities_name) is not None:
        return _OutputAdapter(probabilities, lambda outputs: outputs[probabilities][:, columns], notes)
    if (label := model.label_name) is None:
        raise BadModel(f"{model.name}: expected a label or probabilities among the outputs, got neither")
    one_hot = np.eye(10, dtype=np.float32)

    def rows(outputs: Outputs) -> Answers:
        return one_hot[outputs[label].astype(np.int64)]

    note = "answers: a label without probabilities, taken as probability 1"
    return _OutputAdapter(label, rows, (*notes, note), label_only=True)


def _columns(model: str, labels: tuple[str, ...] | tuple[int, ...]) -> NDArray[np.intp]:
    """For each digit, the index of its column among the model's ten."""
    names = [str(label) for label in labels]
    if sorted(names) != [str(digit) for digit in range(10)]:
        raise BadModel(f"{model}: expected the ten labels 0 to 9, got {len(labels)}: {_listed(labels)}")
    return np.array([names.index(str(digit)) for digit in range(10)], np.intp)


def _listed(labels: tuple[str, ...] | tuple[int, ...]) -> str:
    first = ", ".join(repr(label)[:40] for label in labels[:24])
    return f"{first}, …" if len(labels) > 24 else first


def _of_network(model: coreml.Model, outputs: Outputs) -> _OutputAdapter:
    """For a network without labels that returns ten numbers; ``outputs`` are its outputs for ``_probe``."""
    sizes = {name: array[:1].size for name, array in outputs.items() if array.dtype.kind in "fiu"}
    of_ten = [name for name, size in sizes.items() if size == 10]
    if len(of_ten) != 1:
        named = ", ".join(f"{name!r} of {size} values" for name, size in list(sizes.items())[:12]) or "no numbers"
        raise BadModel(f"{model.name}: expected class labels, or one output of ten numbers; got {named}")
    name = of_ten[0]
    first = outputs[name].reshape(-1, 10)
    normalised = bool((first >= 0).all() and np.allclose(first.sum(axis=1), 1, atol=_SUM_TOLERANCE))
    how = "already probabilities" if normalised else "not probabilities, so a softmax is applied"
    notes = (f"answers: output {name!r}, {how}", "labels: none in the file; number k is taken for digit k (assumed)")

    def rows(outputs: Outputs) -> Answers:
        values = outputs[name].reshape(-1, 10)
        return values if normalised else _softmax(values)

    return _OutputAdapter(name, rows, notes)


def _softmax(values: Answers) -> Answers:
    powers: Answers = np.exp(values - values.max(axis=1, keepdims=True))
    rows: Answers = powers / powers.sum(axis=1, keepdims=True)
    return rows


def _probe() -> Images:
    """Blank, a bar, a ring, a blot: enough to decide whether ten numbers are probabilities."""
    images = np.zeros((4, SIDE, SIDE), np.uint8)
    images[1, 4:24, 13:15] = 255
    images[2, 4:24, 6:22] = 255
    images[2, 7:21, 9:19] = 0
    images[3, 9:19, 9:19] = 255
    return images
