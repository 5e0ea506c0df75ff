"""Which uploads of a lesson a reviewer should see before they are taught, and why: readings → reasons by row.

Rules:
- ``ink``: an upload with much ink where digits have none is held back.
- ``mark``: drawings of a source, or of a label, that share a mark which no drawing of the corpus has, are held back.
- ``source``: of a source that contradicts every reader more often than honest people do, each upload is held back
  if no reader sees its label, or if confident learning finds it mislabelled.
- ``pair`` and ``label``: uploads of any sources, if their labels lie together (``contradictions``), are held back.
- The last three are asked of two readers: one that learnt from other known sources, which reads people's ones and nines
  better, and one that learnt from the corpus alone, which no crowd of old sources can teach its lie.
- Readers that contradict most people are no witnesses: then only ``ink`` and ``mark`` count.
- Nothing else is held back. A contradiction alone is a correction; confident learning alone flags too many of them.
- ``exempt`` uploads (a reviewer accepted them, an operator vouches for their source) are neither held nor counted.

Thresholds were chosen on MNIST's last 10,000 training images and the four development writers; see docs/results.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import contradictions, label_noise, odd_ink
from loop.evaluation.contradictions import Contradictions
from loop.evaluation.odd_ink import Likeness

Mask = NDArray[np.bool_]

ODD_INK = 400
"""Sum of levels where digits have none. 5 of MNIST's last 10,000 training images have as much, no writer's of 2,077."""
USUAL_SHARE, USUAL_SOURCES = 0.25, 3
"""Ink or a mark that most people, of at least so many, have in this share of their uploads is how an app draws."""
SIGNALS = ("ink", "mark", "source", "pair", "label", "canary")


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """What is known about n uploads: ``pixels (n, 28, 28) uint8``, ``labels (n,) uint8`` and ``sources (n,)``;
    probabilities ``(n, 10)`` of ``base``, ``champion``, the independent ``reader`` and ``unmoved``, the same without
    any upload learnt; ``atypical (n,)`` and ``unmoved_atypical (n,)``: what ``contradictions`` says of these two;
    ``exempt (n,) bool``; ``known (n,) bool``: whether its source is no longer young.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    sources: NDArray[np.int64]
    base: NDArray[np.floating]
    champion: NDArray[np.floating]
    reader: NDArray[np.floating]
    atypical: NDArray[np.float64]
    unmoved: NDArray[np.floating]
    unmoved_atypical: NDArray[np.float64]
    exempt: Mask
    known: Mask


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an upload is held back: one of ``SIGNALS``, a sentence, and the numbers behind it."""

    signal: str
    text: str
    numbers: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"signal": self.signal, "text": self.text, "numbers": dict(self.numbers)}


@dataclass(frozen=True, slots=True)
class Found:
    """``reasons``: the rows to hold back, ascending, each with at least one. ``credible``: whether the readers are
    witnesses; if not, no contradiction held anything back.
    """

    reasons: Mapping[int, tuple[Reason, ...]]
    credible: bool


def screen(items: Items, like: Likeness) -> Found:
    """Return what to hold back. A pure function of its arguments."""
    rows = np.flatnonzero(~items.exempt)
    items = _at(items, rows)
    models = items.base, items.champion
    taught = contradictions.find(items.labels, models, items.reader, items.atypical)
    unmoved = contradictions.find(items.labels, models, items.unmoved, items.unmoved_atypical)
    reasons: dict[int, list[Reason]] = {}
    signals = [_ink(items, like), _marks(items, unmoved, like)]
    if credible := contradictions.credible(taught, items.sources, items.known):
        noisy = label_noise.issues(items.labels, items.reader)
        for found in (taught, unmoved):
            lying = contradictions.by_source(found, items.labels, items.sources)
            signals += [_by_source(items, found, lying, noisy), _together(items, found, lying)]
    for signal in signals:
        for row, reason in signal:
            if all(reason.signal != known.signal for known in reasons.get(row, ())):  # both readers may say the same
                reasons.setdefault(row, []).append(reason)
    return Found({int(rows[row]): tuple(reasons[row]) for row in sorted(reasons)}, credible)


def _at(items: Items, rows: NDArray[np.intp]) -> Items:
    return Items(*(getattr(items, name)[rows] for name in Items.__slots__))


def _ink(items: Items, like: Likeness) -> Iterator[tuple[int, Reason]]:
    amounts = odd_ink.amounts(items.pixels, like)
    if _usual(amounts >= ODD_INK, items, np.ones(len(amounts), np.bool_)):
        return
    for row in np.flatnonzero(amounts >= ODD_INK):
        text = f"ink where digits have none: levels sum to {amounts[row]}, expected less than {ODD_INK}"
        yield int(row), Reason("ink", text, {"amount": float(amounts[row])})


def _marks(items: Items, found: Contradictions, like: Likeness) -> Iterator[tuple[int, Reason]]:
    """Marks that a source's drawings share, or those of one label."""
    for what, groups in (("this source", items.sources), ("this label", items.labels)):
        for group in np.unique(groups):
            at = np.flatnonzero(groups == group)
            shared = odd_ink.mark(items.pixels[at], found.read[at], like)
            if shared is None:
                continue
            carriers = odd_ink.carriers(items.pixels, shared)
            if _usual(carriers, items, groups != group):
                continue
            middle = np.argwhere(shared).mean(axis=0)
            carried = at[carriers[at]]
            text = (
                f"drawings of different digits from {what} share a mark of {shared.sum()} pixels "
                f"around row {middle[0]:.0f}, column {middle[1]:.0f}; {len(carried)} carry it"
            )
            numbers = {"pixels": float(shared.sum()), "row": float(middle[0]), "column": float(middle[1])}
            for row in carried:
                yield int(row), Reason("mark", text, numbers | {"carriers": float(len(carried))})


def _usual(flags: Mask, items: Items, among: Mask) -> bool:
    """Whether most people ``among`` these have it too: then it is how an app places its digits, and no mark."""
    if len(np.unique(items.sources[among])) < USUAL_SOURCES:
        return False
    share = contradictions.usual_share(flags[among], items.sources[among], items.known[among])
    return share is not None and share >= USUAL_SHARE


def _by_source(
    items: Items, found: Contradictions, lying: Mapping[int, float], noisy: Mask
) -> Iterator[tuple[int, Reason]]:
    for row in np.flatnonzero(np.isin(items.sources, list(lying)) & (found.against | noisy)):
        own = items.sources == items.sources[row]
        text = (
            f"label {items.labels[row]}, read as {found.read[row]}; every reader contradicts {found.sure[own].sum()} "
            f"of this source's {own.sum()} uploads"
        )
        numbers = {"read": float(found.read[row]), "contradicted": float(found.sure[own].mean())}
        yield int(row), Reason("source", text, numbers | {"chance": lying[int(items.sources[row])]})


def _together(items: Items, found: Contradictions, lying: Mapping[int, float]) -> Iterator[tuple[int, Reason]]:
    """Labels that lie together across sources. One that lies by itself would make many labels look alike, so ``label``
    leaves it out.
    """
    every, others = np.arange(len(items.labels)), np.flatnonzero(~np.isin(items.sources, list(lying)))
    tests: tuple[tuple[str, Callable[..., Mask], NDArray[np.intp], str], ...] = (
        ("pair", contradictions.by_pair, every, "as are many plain drawings of that digit with this label"),
        ("label", contradictions.by_label, others, "and drawings with this label are read as many different digits"),
    )
    for signal, test, rows, why in tests:
        among = Contradictions(*(getattr(found, name)[rows] for name in Contradictions.__slots__))
        for row in rows[test(among, items.labels[rows], items.sources[rows])]:
            text = f"label {items.labels[row]}, which no reader sees; read as {found.read[row]}, {why}"
            numbers = {"read": float(found.read[row]), "atypical": round(float(found.atypical[row]), 3)}
            yield int(row), Reason(signal, text, numbers)
