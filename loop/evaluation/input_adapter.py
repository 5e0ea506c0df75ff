"""Adapt 28×28 digits to a foreign model's inputs: the inputs and their descriptions → InputAdapter.

The first half of ``digit_classifier``. Rules: a convention that the file states is followed, and the input's own
description takes precedence over the model's. Anything else is assumed to be as in MNIST (white ink on black, the
whole picture, arrays from 0 to 1) and noted. An input that is not a picture is refused with BadModel.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from loop.errors import BadModel
from loop.evaluation import pixels
from loop.evaluation.pixels import Pixels
from models import coreml
from models.svm.tiles import FULL, tiles

Images = NDArray[np.uint8]

SIDE = 28
WHITE_ON_BLACK, BLACK_ON_WHITE = "white on black", "black on white"

_MAX_SIDE_PIXELS = 1024  # no digit classifier has a larger input
_DARK, _LIGHT = "(?:black|dark)", "(?:white|light|bright)"
_INK = (
    (WHITE_ON_BLACK, rf"\b{_LIGHT}\b(?: \w+){{0,3}}? on(?: \w+){{0,2}}? {_DARK}\b|\b{_DARK} background"),
    (BLACK_ON_WHITE, rf"\b{_DARK}\b(?: \w+){{0,3}}? on(?: \w+){{0,2}}? (?:{_LIGHT}|paper)\b|\b{_LIGHT} background"),
    (BLACK_ON_WHITE, r"\binverted mnist\b|\bmnist\b[^.]*\binverted\b"),
)
_TO = r" ?(?:-|–|…|\.\.+|to) ?"
_SCALES = (  # the first match counts: "0 to 255, divided by 255" is 0 to 1
    (0.0, 1.0, r"(?:/|divided by) ?255|\bnormali[sz]ed\b"),
    (-1.0, 1.0, rf"[-−]1(?:\.0)?{_TO}\+?1\b"),
    (0.0, 255.0, rf"\b0{_TO}255\b"),
    (0.0, 16.0, rf"\b0{_TO}16\b"),
    (0.0, 1.0, rf"\b0(?:\.0)?{_TO}1(?:\.0)?\b"),
)


Scale = tuple[float, float]
"""Lowest and highest value of an array's pixels."""
SCALES: tuple[Scale, ...] = ((0.0, 1.0), (0.0, 255.0), (0.0, 16.0), (-1.0, 1.0), (-0.4242, 2.8215))
"""Usual scales of array inputs; the last is MNIST normalised by its mean 0.1307 and deviation 0.3081."""


@dataclass(frozen=True, slots=True, eq=False)
class InputAdapter:
    """A model's input, or its many inputs of one pixel each.

    ``prepare`` takes ``(n, 28, 28) uint8``, white on black, and returns what ``predict`` takes, by input.
    """

    name: str
    kind: str
    """``grayscale image``, ``RGB image``, ``BGR image``, ``array`` or ``tiles``."""
    size: tuple[int, int]
    """Height and width."""
    values: int
    """Numbers per image."""
    polarity: str
    prepare: Callable[[Images], dict[str, NDArray[Any]]]
    notes: tuple[str, ...]
    """What the file states and what was assumed, in words."""
    scales: tuple[Scale, ...] = ()
    """If the file states no scale: the candidates, the assumed one first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Form:
    """An input whose polarity is not yet known."""

    kind: str
    size: tuple[int, int]
    channels: int
    shape: Callable[[Images], NDArray[Any]]
    note: str
    scales: tuple[Scale, ...] = ()


def find(model: coreml.Model, scale: Scale | None = None) -> InputAdapter:
    """The adapter for ``model``; ``scale`` replaces one that the file does not state.

    Raises BadModel unless the model has one input that is a picture, or one number for each pixel.
    """
    many = pixels.find(model.inputs)
    if len(model.inputs) != 1 and many is None:
        named = ", ".join(f"{each.name!r} ({each.kind})" for each in model.inputs[:12])
        raise BadModel(
            f"{model.name}: expected one input, an image or an array, or one number for each pixel; "
            f"got {len(model.inputs)}: {named}"
        )
    feature = many.together if many else model.inputs[0]
    texts = tuple(f"{key}: {text}" for key, text in model.metadata.items())
    if feature.kind == "image":
        form = _image(feature)
    elif feature.kind == "array":
        form = _array(model.name, feature, (feature.description, model.metadata.get("description", "")), scale)
    else:
        raise BadModel(f"{model.name}: input {feature.name!r}: expected an image or an array, got {feature.kind}")
    if min(form.size) < 2 or max(form.size) > _MAX_SIDE_PIXELS:
        raise BadModel(
            f"{model.name}: input {feature.name!r}: expected sides of 2 to {_MAX_SIDE_PIXELS}, got {_by(form.size)}"
        )
    polarity, ink_note = _polarity(feature.description, texts)
    resized = form.kind != "tiles" and form.size != (SIDE, SIDE)
    size_note = (f"size: 28×28 pictures resized to {_by(form.size)} (assumed; not padded)",) if resized else ()

    def prepare(images: Images) -> dict[str, NDArray[Any]]:
        adapted = form.shape(images if polarity == WHITE_ON_BLACK else 255 - images)
        return many.split(adapted) if many else {feature.name: adapted}

    notes = (f"input: {_named(feature, many)}, {form.note}", *size_note, ink_note)
    values = prod(form.size) * form.channels
    return InputAdapter(feature.name, form.kind, form.size, values, polarity, prepare, notes, form.scales)


def _named(feature: coreml.Feature, many: Pixels | None) -> str:
    return many.note if many else repr(feature.name)


def _image(feature: coreml.Feature) -> _Form:
    size, grey = (feature.height, feature.width), feature.colour == "grayscale"
    if grey:
        return _Form("grayscale image", size, 1, lambda images: _resized(images, size), f"grayscale image {_by(size)}")
    kind = f"{feature.colour.upper()} image"

    def shape(images: Images) -> Images:
        return np.repeat(_resized(images, size)[..., None], 3, axis=3)

    return _Form(kind, size, 3, shape, f"{kind} {_by(size)}, the grey level in all three channels")


def _array(model: str, feature: coreml.Feature, texts: Sequence[str], chosen: Scale | None) -> _Form:
    size, channels, first = _layout(model, feature)
    if channels == 1 and size == (8, 8):
        return _tiles(feature, texts, chosen)
    default, why = (255.0, "integers") if feature.dtype.startswith("int") else (1.0, "the file states no range")
    (low, high), why, scales = _scale(texts, default, why, chosen)
    axis = 1 if first else 3

    def shape(images: Images) -> NDArray[np.float64]:
        scaled = low + _resized(images, size).astype(np.float64) * ((high - low) / 255.0)
        if channels == 3:
            scaled = np.repeat(np.expand_dims(scaled, axis), 3, axis=axis)
        return scaled.reshape(len(images), *feature.shape)

    note = f"array {_by(feature.shape)}, row by row, values {low:g} to {high:g} ({why})"
    return _Form("array", size, channels, shape, note, scales)


def _tiles(feature: coreml.Feature, texts: Sequence[str], chosen: Scale | None) -> _Form:
    """64 numbers, as the tutorial's app sends them, after scikit-learn's digits."""
    (low, high), why, scales = _scale(texts, FULL, "as in scikit-learn's digits", chosen)

    def shape(images: Images) -> NDArray[np.float64]:
        return (low + tiles(images) * ((high - low) / FULL)).reshape(len(images), *feature.shape)

    note = f"averages of 8×8 tiles of the ink's bounding box, values {low:g} to {high:g} ({why})"
    return _Form("tiles", (8, 8), 1, shape, note, scales)


def _layout(model: str, feature: coreml.Feature) -> tuple[tuple[int, int], int, bool]:
    """Size, channels (1 or 3) and whether channels come first, from an array's shape without dimensions of 1."""
    match [length for length in feature.shape if length != 1]:
        case [length] if isqrt(length) ** 2 == length:
            return (isqrt(length), isqrt(length)), 1, True
        case [height, width]:
            return (height, width), 1, True
        case [3, height, width]:
            return (height, width), 3, True
        case [height, width, 3]:
            return (height, width), 3, False
    raise BadModel(
        f"{model}: input {feature.name!r}: expected a picture's shape, such as (28, 28) or (784,), got {feature.shape}"
    )


def _resized(images: Images, size: tuple[int, int]) -> Images:
    """The whole picture at another size: averaged by area to shrink it, interpolated linearly to enlarge it."""
    if size == (SIDE, SIDE):
        return images
    method = Image.Resampling.BOX if max(size) < SIDE else Image.Resampling.BILINEAR
    resized: Images = np.empty((len(images), *size), np.uint8)
    for i, image in enumerate(images):
        resized[i] = np.asarray(Image.fromarray(image).resize(size[::-1], method))
    return resized


def _by(lengths: Sequence[int]) -> str:
    return "×".join(map(str, lengths))


def _polarity(own: str, texts: Sequence[str]) -> tuple[str, str]:
    """White on black or black on white, and why; ``own`` is the input's description, ``texts`` are the model's."""
    for source, text in (("its input's description", own), ("the model's description", ". ".join(texts))):
        plain = re.sub(r"[^\w.]+|_", " ", text).lower()
        stated = {polarity for polarity, pattern in _INK if re.search(pattern, plain)}
        if len(stated) == 1:
            polarity = stated.pop()
            return polarity, f"ink: {polarity}, stated by {source}"
        if stated:
            return WHITE_ON_BLACK, f"ink: {WHITE_ON_BLACK} (assumed: {source} names both conventions)"
    return WHITE_ON_BLACK, f"ink: {WHITE_ON_BLACK} (assumed, as in MNIST: the file states no polarity)"


def _scale(
    texts: Sequence[str], default: float, why: str, chosen: Scale | None
) -> tuple[Scale, str, tuple[Scale, ...]]:
    """Scale of an array input, why, and what else it may be. The first text that names a range counts."""
    for text in texts:
        for low, high, pattern in _SCALES:
            if re.search(pattern, text.lower()):
                return (low, high), "read from its description", ()
    assumed = (0.0, default)
    scales = (assumed, *(each for each in SCALES if each != assumed))
    if chosen is None:
        return assumed, f"assumed: {why}", scales
    return chosen, "chosen: the file states no range", scales
