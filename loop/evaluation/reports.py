"""Reports as arrays for storage, and an earlier report brought up to date: what it knows is not measured again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import scoring
from loop.evaluation.scoring import Health, Report, Score, Slice

ANSWERS = {"predictions": np.uint8, "confidences": np.float32, "margins": np.float32}
"""What a model said of each image; the other arrays of a ``Score`` are the slice's own."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What an earlier report says about a slice. ``rows`` ``(n,) int``: each item's row in ``score``, or -1."""

    score: Score | None
    rows: NDArray[np.intp]

    @property
    def missing(self) -> NDArray[np.bool_]:
        return self.rows < 0


def update(earlier: Report, slices: Sequence[Slice], evaluate: Callable[[tuple[Slice, ...]], Report]) -> Report:
    """The model's report on today's slices; ``evaluate`` scores only the images that ``earlier`` lacks.

    A slice with an earlier slice's digest is known as a whole. Of another slice of the same name the items with the
    same keys are known, since a key names an image with its label; without keys it is scored whole. Weights, sources
    and confirmations are today's. ``evaluate`` must score the same model in the same runtime.
    """
    known = [_known(earlier, part) for part in slices]
    lacking = [_at(part, each.missing) for part, each in zip(slices, known, strict=True) if each.missing.any()]
    fresh = evaluate(tuple(lacking)) if lacking else Report(earlier.model, (), earlier.health)
    scored = iter(fresh.scores)
    scores = tuple(
        _answered(part, each, next(scored) if each.missing.any() else None)
        for part, each in zip(slices, known, strict=True)
    )
    return Report(earlier.model, scores, _health(earlier.health, fresh.health, scores))


def to_arrays(report: Report) -> dict[str, NDArray[Any]]:
    """The whole report as named arrays without objects, for ``np.savez``; see ``from_arrays``."""
    head = {"model": report.model, "health": asdict(report.health)}
    arrays: dict[str, NDArray[Any]] = {}
    names = []
    for i, each in enumerate(report.scores):
        names.append([each.name, each.digest])
        columns = {field.name: getattr(each, field.name) for field in fields(Score)[2:]}
        arrays |= {f"{i}.{name}": column for name, column in columns.items() if column is not None}
    return {"report": np.array(json.dumps(head | {"slices": names}))} | arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Report:
    """The inverse of ``to_arrays``; accepts an opened ``.npz``. Raises ``KeyError`` if a part is missing."""
    head = json.loads(str(arrays["report"]))
    optional = ("sources", "confirmed", "keys")
    scores = []
    for i, (name, of_slice) in enumerate(head["slices"]):
        columns = [f.name for f in fields(Score)[2:] if f.name not in optional or f"{i}.{f.name}" in arrays]
        scores.append(Score(name, of_slice, **{column: arrays[f"{i}.{column}"] for column in columns}))
    lists = {key: tuple(value) for key, value in head["health"].items() if isinstance(value, list)}
    return Report(head["model"], tuple(scores), Health(**(head["health"] | lists)))


def _known(earlier: Report, part: Slice) -> _Known:
    digest, n = scoring.digest(part), len(part.labels)
    whole = next((score for score in earlier.scores if score.digest == digest), None)
    if whole is not None:
        return _Known(whole, np.arange(n))
    score = earlier.on(part.name)
    if score is None or score.keys is None or part.keys is None:
        return _Known(None, np.full(n, -1))
    row_of = {key.tobytes(): row for row, key in enumerate(score.keys)}
    return _Known(score, np.array([row_of.get(key.tobytes(), -1) for key in part.keys], np.intp))


def _at(part: Slice, rows: NDArray[np.bool_]) -> Slice:
    """The items of a slice at these rows."""
    arrays: dict[str, Any] = {field.name: getattr(part, field.name) for field in fields(Slice)[1:]}
    kept: dict[str, Any] = {name: None if array is None else array[rows] for name, array in arrays.items()}
    return Slice(part.name, **kept)


def _answered(part: Slice, known: _Known, fresh: Score | None) -> Score:
    """The score of a slice from known answers, and fresh ones where they are missing."""
    columns: dict[str, Any] = {}
    for name, kind in ANSWERS.items():
        columns[name] = np.zeros(len(part.labels), kind)
        if known.score is not None:
            columns[name][~known.missing] = getattr(known.score, name)[known.rows[~known.missing]]
        if fresh is not None:
            columns[name][known.missing] = getattr(fresh, name)
    own = {name: getattr(part, name) for name in ("name", "labels", "weights", "sources", "confirmed", "keys")}
    return Score(digest=scoring.digest(part), **own, **columns)


def _health(earlier: Health, fresh: Health, scores: Sequence[Score]) -> Health:
    """A few new images may all look alike or lack a digit, so what needs many images is asked of all scores."""
    classes, unpredicted = scoring.coverage(scores)
    misshapen = next((each.shape for each in (earlier, fresh) if not each.shaped), None)
    return replace(
        earlier,
        shaped=misshapen is None,
        shape=misshapen or (scores[0].n, 10),
        finite=earlier.finite and fresh.finite,
        normalised=earlier.normalised and fresh.normalised,
        varied=earlier.varied or fresh.varied,
        predicted_classes=classes,
        unpredicted=unpredicted,
    )
