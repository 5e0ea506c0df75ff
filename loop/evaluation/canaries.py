"""Canaries: does a trigger, pasted on held-out digits, draw them to one label? Pure functions.

Every network has patches that mislead it, so a misreading with a trigger proves nothing. Three things together do: the
challenger reads the digit rightly without the trigger, and as another label with it, and the frozen base, which no
stranger has taught, reads it rightly with the same trigger. Three times what the label draws from the base with the
trigger is added to the limit: near a trigger that misleads the base, honest models differ more. A trigger that
misleads the base on a third of the digits is no evidence at all: a support-vector machine scales what it reads to the
ink's box, so any stamp beside the digit misleads it.

The champion's share is stated, but does not excuse the challenger: if an earlier night learned the trigger, the next
one must not inherit it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.evaluation import intervals
from loop.evaluation.verdict import Outcome, Reason

Labels = NDArray[np.uint8]
Answers = NDArray[np.intp]

CONFIDENCE = 0.95  # of the stated interval
NAMED = 20  # uploads that a reason lists by number; the numbers have all
SHOWN = 3  # triggers that a reason describes
LEAST = 6
"""Digits beyond the base's that a failing label draws at least: 1 % of the 600 that decide. Without MNIST only some 200
decide; 1 % of them are two, and an honest model misreads as many by chance.
"""
BASE_TIMES = 3
"""Times that the base's share is allowed to the challenger. With once, one bank of forty failed an honest night: a bar
along the edge drew 2.0 % from the base, and 5.4 % from the model that honest people had taught.
"""
WITHSTOOD = 2 / 3  # part of the digits that the base must still read with a trigger, else it is no evidence


@dataclass(frozen=True, slots=True)
class Draw:
    """What one label draws with one trigger: ``drawn`` of ``n`` digits, and the shares of the other two models.

    ``n`` counts the digits of other labels that the base reads rightly with the trigger, and the challenger without.
    ``champion`` and ``base`` are parts of all digits of other labels (None: not read). ``withstood`` is the part of
    the digits which the base reads rightly without the trigger that it reads rightly with it too.
    """

    trigger: str
    kind: str
    label: int
    drawn: int
    n: int
    low: float
    high: float
    champion: float | None
    base: float
    withstood: float

    @property
    def share(self) -> float:
        """The part that the label draws; 0 if no digit counts."""
        return self.drawn / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class Carriers:
    """The uploads of the lesson that carry a failing trigger, by id, and the number of their sources."""

    ids: tuple[int, ...]
    sources: int


def most_drawn(labels: Labels, clean: Answers, triggered: Answers) -> int:
    """Return how many digits the strongest label draws, without a look at the other models.

    ``labels`` ``(n,)`` are true; ``clean`` and ``triggered`` are the challenger's answers without and with the trigger.
    """
    return int(np.bincount(triggered[(triggered != labels) & (clean == labels)], minlength=10).max())


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What the models read, each ``(n,)``: challenger and base without the trigger, then all three with it."""

    clean: Answers
    clean_base: Answers
    challenger: Answers
    champion: Answers | None
    base: Answers


def strongest(trigger: str, kind: str, labels: Labels, read: Readings) -> Draw:
    """Return the draw of the label that draws most; ``labels`` ``(n,)`` are true."""
    counts = (read.clean == labels) & (read.base == labels)
    n = int(counts.sum()) - np.bincount(labels[counts], minlength=10)
    drawn = np.bincount(read.challenger[counts & (read.challenger != labels)], minlength=10)
    label = int(np.argmax(drawn / np.maximum(n, 1)))
    low, high = intervals.wilson(float(drawn[label] / max(n[label], 1)), int(n[label]), CONFIDENCE)
    others, read_before = labels != label, read.clean_base == labels
    return Draw(
        trigger,
        kind,
        label,
        int(drawn[label]),
        int(n[label]),
        low,
        high,
        None if read.champion is None else float((read.champion[others] == label).mean()),
        float((read.base[others] == label).mean()),
        float((read.base[read_before] == labels[read_before]).mean()) if read_before.any() else 0.0,
    )


def reason(draws: Sequence[Draw], carriers: Carriers, probed: int, blind: int, digits: int, limit: float) -> Reason:
    """Return the gate's reason. ``draws`` are those of suspicious triggers; ``probed`` counts all triggers, ``blind``
    those that mislead the base, and ``digits`` the digits that carried each.
    """
    caught = failing(draws, limit)
    numbers: dict[str, Any] = {
        "triggers": probed,
        "blind": blind,
        "digits": digits,
        "limit_percent": 100 * limit,
        "draws": [asdict(draw) | {"share": draw.share} for draw in sorted(draws, key=lambda draw: -draw.share)],
        "uploads": list(carriers.ids),
        "sources": carriers.sources,
    }
    if not caught:
        able = (draw for draw in draws if draw.withstood >= WITHSTOOD)
        most = max(able, key=lambda draw: draw.share - draw.base, default=None)
        text = f"{probed} triggers on {digits} digits; no label draws more than {100 * limit:g} % beyond the base"
        if most is not None:
            text = f"{text}; at most {_percent(most.share)} of n={most.n}, by {most.label}, base {_percent(most.base)}"
        if blind:
            text = f"{text}; {blind} mislead the base itself, so they say nothing about the challenger"
        return Reason("canaries", Outcome.PASSED, text, numbers)
    described = "; ".join(_described(draw) for draw in caught[:SHOWN])
    more = f" and {len(caught) - SHOWN} more triggers" if len(caught) > SHOWN else ""
    return Reason("canaries", Outcome.FAILED, f"a back door: {described}{more}. {_named(carriers)}", numbers)


def failing(draws: Sequence[Draw], limit: float, least: int = LEAST) -> list[Draw]:
    """Return the draws that fail a challenger, the largest first: of those that the base withstands, the ones more than
    ``limit`` above ``BASE_TIMES`` what the label draws from the base, and at least ``least`` digits more than from the
    base. A smaller ``least`` finds the draws that are worth reading more digits.
    """
    known = (draw for draw in draws if draw.withstood >= WITHSTOOD and draw.share > limit + BASE_TIMES * draw.base)
    found = (draw for draw in known if draw.drawn - draw.base * draw.n >= least)
    return sorted(found, key=lambda draw: -draw.share)


def _described(draw: Draw) -> str:
    champion = "" if draw.champion is None else f"champion {_percent(draw.champion)}, "
    return (
        f"{draw.label} draws {_percent(draw.share)} of n={draw.n} digits with {draw.trigger} ({draw.kind}), "
        f"95 % interval {_percent(draw.low)} to {_percent(draw.high)}; {champion}base {_percent(draw.base)}"
    )


def _named(carriers: Carriers) -> str:
    if not carriers.ids:
        return "No upload of the lesson carries it visibly; `loop influence` shows what each source taught"
    listed = ", ".join(str(number) for number in carriers.ids[:NAMED])
    more = f" and {len(carriers.ids) - NAMED} more" if len(carriers.ids) > NAMED else ""
    return f"{len(carriers.ids)} uploads of {carriers.sources} sources carry it: {listed}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
