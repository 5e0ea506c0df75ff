"""``clients/vectors/*.json``: what each client must compute, as Python computes it. docs/vectors.md explains them.

``python -m tests.clients.vectors`` writes them anew; a test compares what is committed with what this would write.
"""

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop import access
from loop.data import digits, ink
from loop.errors import BadImage
from loop.evaluation import digit_classifier
from loop.feed import fields, refusals, trust
from models.svm.tiles import tiles
from tests.clients import asking_vectors, drawings, golden_vectors, scenarios
from tests.helpers.paths import ROOT

FOLDER = ROOT / "clients/vectors"
Plain = dict[str, Any]


def every() -> dict[str, bytes]:
    """File names and contents."""
    made: dict[str, Callable[[], object]] = {
        "pictures.json": _pictures,
        "strokes.json": _strokes,
        "small.json": _small,
        "feed.json": _feed,
        "asking.json": _asking,
        "golden.json": _golden,
    }
    return {name: _json(make()) for name, make in made.items()}


def runs(pixels: NDArray[np.uint8]) -> str:
    """Levels as pairs of bytes, in base64: how often (1 to 255), and which level."""
    pairs = bytearray()
    for level, same in groupby(pixels.ravel().tolist()):
        count = len(list(same))
        for start in range(0, count, 255):
            pairs += bytes((min(255, count - start), level))
    return base64.b64encode(pairs).decode()


def file_text(data: bytes) -> list[str | list[Any]]:
    """A file as text in which each character is one byte (ISO 8859-1); ``[text, n]`` is a text n times."""
    text, parts, at = data.decode("latin-1"), list[str | list[Any]](), 0
    for found in re.finditer(r"(.)\1{15,}", text, re.S):
        parts += [text[at : found.start()], [found[1], len(found[0])]]
        at = found.end()
    return [part for part in (*parts, text[at:]) if part]


def _json(value: object) -> bytes:
    return (
        json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=False).encode() + b"\n"
    )


def _pictures() -> object:
    return [
        {
            "width": grey.shape[1],
            "height": grey.shape[0],
            "grey": runs(grey),
            "pixels": _normalised(grey),
            "tiles": [round(float(value), 9) for value in tiles(grey[None])[0]] if i % 3 == 0 else None,
        }
        for i, grey in enumerate(drawings.pictures())
    ]


def _normalised(grey: NDArray[np.uint8]) -> str | None:
    try:
        return runs(ink.normalise(grey))
    except BadImage:
        return None


def _strokes() -> object:
    return [
        {
            "strokes": drawn,
            "pen": pen,
            "canvas": hashlib.sha256((grey := drawings.canvas(drawn, pen)).tobytes()).hexdigest(),
            "pixels": runs(ink.normalise(grey)),
        }
        for drawn, pen in drawings.strokes()
    ]


def _small() -> object:
    rng = np.random.default_rng(drawings.SEED)
    secrets = [base64.urlsafe_b64encode(rng.bytes(32)).decode().rstrip("=") for _ in range(20)]
    devices = [(rng.bytes(16).hex(), rng.bytes(32).hex()) for _ in range(100)]
    pixels = ink.normalise(next(drawings.pictures()))
    return {
        "sources": [{"secret": secret, "source": access.source_name(secret)} for secret in secrets],
        "buckets": [
            {"device": device, "digest": digest, "bucket": trust.bucket(device, digest)} for device, digest in devices
        ],
        "times": [_time(text) for text in TIMES],
        "png": {"pixels": runs(pixels), "file": base64.b64encode(scenarios.stored_png(pixels)).decode()},
    }


TIMES = (
    "1970-01-01T00:00:00Z",
    "2000-02-29T12:00:00Z",
    "2026-05-03T03:00:00Z",
    "2099-12-31T23:59:59Z",
    "1900-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-05-03T24:00:00Z",
    "2026-05-03T03:00:60Z",
    "2026-05-03T03:00:00+00:00",
    "2026-5-3T03:00:00Z",
    "2026-05-03 03:00:00Z",
    "",
)


def _time(text: str) -> Plain:
    try:
        moment: datetime | None = fields.parse_time({"time": text}, "time")
    except refusals.BadDocument:
        moment = None
    return {"text": text, "seconds": None if moment is None else int(moment.timestamp())}


def _feed() -> object:
    """Scenarios with each different file once, by the first 16 digits of its SHA-256."""
    files: dict[str, bytes] = {}

    def named(data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()[:16]
        files[name] = data
        return name

    def step(each: scenarios.Step) -> Plain:
        files = {path: named(data) for path, data in sorted(each.files.items())}
        return {"now": fields.when(each.now), "files": files, **each.outcome}

    played = [
        {"name": each.name, "root": named(each.steps[0].built_in), "steps": [step(one) for one in each.steps]}
        for each in scenarios.every()
    ]
    updates = [
        {"name": each.name, "steps": [{"built_in": named(one.built_in), **step(one)} for one in each.steps]}
        for each in scenarios.of_updated_apps()
    ]
    return {
        "scenarios": played,
        "updates": updates,
        "models": {hashlib.sha256(data).hexdigest(): _model(data) for data in scenarios.models()},
        "files": {name: file_text(data) for name, data in sorted(files.items())},
    }


def _asking() -> object:
    return {
        "two_best": asking_vectors.best_of_ten(),
        "policies": [asdict(policy) for policy in asking_vectors.POLICIES],
        "decisions": asking_vectors.decisions(),
        "roots": [[file_text(root) for root in chain] for chain in asking_vectors.chains()],
        "documents": [each | {"file": file_text(each["file"])} for each in asking_vectors.documents()],
    }


def _golden() -> object:
    data, _ = scenarios.model(golden_vectors.VERSION)
    return {
        "digest": hashlib.sha256(data).hexdigest(),
        "model": _model(data),
        "files": [each | {"file": file_text(each["file"])} for each in golden_vectors.judged()],
    }


def _model(data: bytes) -> Plain:
    """What a loader finds in the file: its metadata, and the answers of ``models.coreml`` to the golden pictures."""
    model = digit_classifier.load(data)
    images = scenarios.images()
    answers = digit_classifier.classifier(model).probabilities(images)
    return {
        "metadata": dict(model.metadata),
        "answers": {
            digits.digit(image).digest: [round(float(p), 6) for p in answer]
            for image, answer in zip(images, answers, strict=True)
        },
    }


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in every().items():
        (FOLDER / name).write_bytes(data)
        sys.stdout.write(f"{name}: {len(data):,} bytes\n")


if __name__ == "__main__":
    main()
