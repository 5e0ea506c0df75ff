"""Read digits with any Core ML digit classifier, ours or not: loaded model → Reader.

Stands between ``models.coreml`` and whoever scores a file (``publishing``, ``trial``, ``loop score``). Rules: what had
to be assumed about a file is said in words; a model that could only be used by guessing is refused with
BadModel, the only error of a reader that a file can cause.
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
from loop.evaluation.input_adapter import SIDE, Images, InputAdapter
from models import coreml

Answers = NDArray[np.floating[Any]]
Outputs = Mapping[str, NDArray[Any]]

_CHUNK, _CHUNK_VALUES = 1000, 8_000_000  # at most so many images, and so many input values, are prepared at once
_SUM_TOLERANCE = 1e-3  # ten float16 outputs of a softmax sum to 1 within this


@dataclass(frozen=True, slots=True, eq=False)
class DigitClassifier:
    """A way of asking one model about digits.

    ``probabilities`` takes ``(n, 28, 28) uint8``, white ink on black, whatever the model is shown, and gives
    ``(n, 10)``, column k for digit k. It raises BadModel where the model fails on them.
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
    """``white on black`` or ``black on white``: what the model is shown."""
    label_only: bool
    """The model names a digit without probabilities: rows are one-hot."""
    assumptions: tuple[str, ...]
    """What was found in the file and what was assumed, a sentence each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """How the model's outputs become ``(n, 10)`` rows in the order of the digits."""

    output: str
    """The only one that is asked for: a file may have others, of any size."""
    rows: Callable[[Outputs], Answers]
    said: tuple[str, ...]
    label_only: bool = False


@cache
def runtime() -> str:
    """Digest of the code that turns a file and images into answers; two reports compare only under one."""
    here, models_room = Path(__file__).parent, Path(coreml.__file__).parent
    own = [here / name for name in ("digit_classifier.py", "input_adapter.py")]
    sources = [*own, models_room.parent / "svm" / "tiles.py", *sorted(models_room.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def load(data: bytes, name: str = "model.mlmodel") -> coreml.Model:
    """The model in a file's bytes; ``name`` stands in messages. Raises BadModel for whatever cannot be run."""
    with _bad_model():
        return coreml.load(data, name=name)


def classifier(model: coreml.Model) -> DigitClassifier:
    """How to read digits with ``model``. Raises BadModel where its input or labels are not a digit classifier's."""
    shown = input_adapter.find(model)
    answer = _of_classifier(model) if model.labels else _of_network(model, _asked(model, shown, _probe()))

    def probabilities(images: Images) -> Answers:
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
            raise ValueError(f"images must be (n, 28, 28) uint8, came {images.shape} {images.dtype}")
        step = max(1, min(_CHUNK, _CHUNK_VALUES // shown.values))
        chunks = [images[i : i + step] for i in range(0, len(images), step)]
        parts = [answer.rows(_asked(model, shown, chunk, (answer.output,))) for chunk in chunks]
        return np.concatenate(parts) if parts else np.zeros((0, 10), np.float32)

    return DigitClassifier(
        probabilities=probabilities,
        model=model.sha256,
        input=shown.name,
        kind=shown.kind,
        size=shown.size,
        polarity=shown.polarity,
        label_only=answer.label_only,
        assumptions=(*shown.said, *answer.said),
    )


def _asked(model: coreml.Model, shown: InputAdapter, images: Images, wanted: tuple[str, ...] | None = None) -> Outputs:
    with _bad_model():
        return model.predict({shown.name: shown.prepare(images)}, wanted)


@contextmanager
def _bad_model() -> Iterator[None]:
    try:
        yield
    except coreml.ModelError as error:
        raise BadModel(f"{error}; give a Core ML digit classifier that this runtime can run") from error


def _of_classifier(model: coreml.Model) -> _Answer:
    """Probabilities by label, or labels alone. Raises BadModel where the labels are not the ten digits."""
    labels = model.labels or ()
    order = _order(model.name, labels)
    straight = (order == np.arange(10)).all()
    said = () if straight else (f"labels: {_listed(labels)}, brought into the order of the digits",)
    if (probabilities := model.probabilities_name) is not None:
        return _Answer(probabilities, lambda outputs: outputs[probabilities][:, order], said)
    if (label := model.label_name) is None:
        raise BadModel(f"{model.name}: expected a label or probabilities among the outputs, came neither")
    one_hot = np.eye(10, dtype=np.float32)
    alone = "answers: a label without probabilities, read as probability 1"
    return _Answer(label, lambda outputs: one_hot[outputs[label].astype(np.int64)], (*said, alone), label_only=True)


def _order(model: str, labels: tuple[str, ...] | tuple[int, ...]) -> NDArray[np.intp]:
    """For each digit, which of the model's ten columns is its."""
    names = [str(label) for label in labels]
    if sorted(names) != [str(digit) for digit in range(10)]:
        raise BadModel(f"{model}: expected the ten labels 0 to 9, came {len(labels)}: {_listed(labels)}")
    return np.array([names.index(str(digit)) for digit in range(10)], np.intp)


def _listed(labels: tuple[str, ...] | tuple[int, ...]) -> str:
    shown = ", ".join(repr(label)[:40] for label in labels[:24])
    return f"{shown}, …" if len(labels) > 24 else shown


def _of_network(model: coreml.Model, outputs: Outputs) -> _Answer:
    """For a network without labels that answers with ten numbers; ``outputs`` are those for ``_probe``."""
    sizes = {name: array[:1].size for name, array in outputs.items() if array.dtype.kind in "fiu"}
    of_ten = [name for name, size in sizes.items() if size == 10]
    if len(of_ten) != 1:
        named = ", ".join(f"{name!r} of {size} values" for name, size in list(sizes.items())[:12]) or "no numbers"
        raise BadModel(f"{model.name}: expected class labels, or one output of ten numbers; came {named}")
    name = of_ten[0]
    first = outputs[name].reshape(-1, 10)
    done = bool((first >= 0).all() and np.allclose(first.sum(axis=1), 1, atol=_SUM_TOLERANCE))
    how = "probabilities as they are" if done else "not probabilities, so a softmax is applied"
    said = (f"answers: output {name!r}, {how}", "labels: none in the file; number k is taken for digit k (assumed)")

    def rows(outputs: Outputs) -> Answers:
        values = outputs[name].reshape(-1, 10)
        return values if done else _softmax(values)

    return _Answer(name, rows, said)


def _softmax(values: Answers) -> Answers:
    powers: Answers = np.exp(values - values.max(axis=1, keepdims=True))
    rows: Answers = powers / powers.sum(axis=1, keepdims=True)
    return rows


def _probe() -> Images:
    """Blank, a bar, a ring, a blot: enough to see whether ten numbers are probabilities."""
    images = np.zeros((4, SIDE, SIDE), np.uint8)
    images[1, 4:24, 13:15] = 255
    images[2, 4:24, 6:22] = 255
    images[2, 7:21, 9:19] = 0
    images[3, 9:19, 9:19] = 255
    return images
