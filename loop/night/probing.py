"""Probe a challenger for back doors: paste triggers on held-out digits, and read them in the Core ML runtime.

The triggers are this deployment's bank (drawn from the store's salt, so that no stranger knows it), those that the
uploads of the lesson share, and one learned against the challenger. Each is first pasted on a few of the base corpus'
test images, which no night teaches. Only where a label draws some of them do the champion and the frozen base read them
too, on more digits: this keeps the probes at a few per cent of a night.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loop.asking import suspects
from loop.data.corpus import Corpus
from loop.errors import BackDoorTaught, BadModel
from loop.evaluation import canaries, digit_classifier, lesson_triggers, patch_search, triggers
from loop.evaluation.canaries import Carriers, Draw, Readings
from loop.evaluation.lesson_triggers import Candidate
from loop.evaluation.patch_search import Probabilities
from loop.evaluation.triggers import Images, Kind, Place, Trigger
from loop.evaluation.verdict import Outcome, Reason
from loop.home import Home
from loop.home.sections import Canary
from loop.night.lease import HeldRun
from loop.store import Store, values
from loop.store.feedback import quarantines, split
from loop.store.values import Pool

SIGNAL = "canary"
"""The signal of uploads that were quarantined because they carry a failing trigger."""
LEARNED_ON = 16  # digits on which a patch is learned, not those that carry each trigger at first
FEWEST_DRAWN = 2  # of the first digits: one alone is chance, and reading more digits costs time
CONFIRMED = 12
"""Suspicious triggers that all three models read on more digits: those that draw most. At most half of them are of the
lesson, which names uploads: a stranger who sends many marks cannot crowd out the bank.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The three that are compared. ``champion`` is None before there is one."""

    challenger: Probabilities
    champion: Probabilities | None
    base: Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Held-out digits: ``images`` ``(n, 28, 28)`` and ``labels`` ``(n,)``, in a random order."""

    images: Images
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """The gate's reason, the uploads of the lesson that carry a failing trigger, and the labels that draw one.

    ``doubted (n,) int64`` are the ids of the lesson's uploads with these labels; those come first whose label the base
    doubts most.
    """

    reason: Reason
    carriers: Carriers
    labels: frozenset[int]
    doubted: NDArray[np.int64]


def probe(
    home: Home, draft: bytes, champion: values.Version, base: values.Version, corpus: Corpus, pool: Pool
) -> Probed | None:
    """Probe the file ``draft`` that was taught ``pool``. None if the settings say so, or if it cannot be run: then the
    gate says why.
    """
    if not home.settings.canary.on:
        return None

    def file_of(version: values.Version) -> bytes:
        return home.artifacts.get(version.artifact_digest, ".mlmodel")

    try:
        challenger = reader(draft)
    except BadModel:
        return None
    models = Models(challenger, reader(file_of(champion)), reader(file_of(base)))
    seed = secret_seed(home.store)
    return compare(
        models, held_out(corpus, home.settings.canary.confirm, seed), corpus, pool, home.settings.canary, seed
    )


def compare(models: Models, digits: Digits, corpus: Corpus, pool: Pool, settings: Canary, seed: int) -> Probed:
    """Paste every trigger, and give the gate its reason."""
    found = lesson_triggers.find(pool.pixels, pool.labels, pool.sources, (corpus.train_images, corpus.train_labels))
    shared = [Candidate(each, one.carriers) for one in found for each in _placed(one.trigger)]
    probe = _Probe(models, digits, settings, seed)
    every = [*triggers.bank(seed), probe.learned(), *(one.trigger for one in shared)]
    first = {trigger: draw for trigger in every if (draw := probe.first(trigger)) is not None}
    able = [trigger for trigger, draw in first.items() if canaries.failing([draw], settings.share, FEWEST_DRAWN)]
    able.sort(key=lambda trigger: first[trigger].share, reverse=True)
    naming = [trigger for trigger in able if trigger.kind is Kind.LESSON][: CONFIRMED // 2]
    others = [trigger for trigger in able if trigger.kind is not Kind.LESSON][: CONFIRMED - len(naming)]
    confirmed = [probe.confirmed(trigger) for trigger in (*naming, *others)]
    draws = confirmed + [draw for trigger, draw in first.items() if trigger not in able]
    failing = canaries.failing(draws, settings.share)
    names, labels = {draw.trigger for draw in failing}, frozenset(draw.label for draw in failing)
    carriers = _carriers([one for one in shared if one.trigger.name in names], pool)
    blind = sum(draw.withstood < canaries.WITHSTOOD for draw in first.values())
    reason = canaries.reason(
        draws, carriers, len(every), blind, min(settings.digits, len(digits.labels)), settings.share
    )
    return Probed(reason, carriers, labels, _doubted(models.base, pool, labels))


class _Probe:
    """The three models with what they read of the digits without a trigger."""

    def __init__(self, models: Models, digits: Digits, settings: Canary, seed: int) -> None:
        self.models, self.digits, self.settings, self.seed = models, digits, settings, seed
        self.few = Digits(digits.images[: settings.digits], digits.labels[: settings.digits])
        self.clean_few = _read(models.challenger, self.few.images), _read(models.base, self.few.images)

    @cached_property
    def clean(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """What challenger and base read of all digits; needed only if something is suspicious."""
        return _read(self.models.challenger, self.digits.images), _read(self.models.base, self.digits.images)

    def learned(self) -> Trigger:
        """A patch that was learned against the challenger."""
        images, labels = self.digits.images[-LEARNED_ON:], self.digits.labels[-LEARNED_ON:]
        return patch_search.search(self.models.challenger, images, labels, self.seed).trigger

    def first(self, trigger: Trigger) -> Draw | None:
        """What a label draws of the few digits; None if no label draws so much, whatever the base reads."""
        few, before = self.few, self.clean_few
        pasted = triggers.paste(trigger, few.images, self.seed)
        read = _read(self.models.challenger, pasted)
        if canaries.most_drawn(few.labels, before[0], read) < max(FEWEST_DRAWN, self.settings.share * len(few.labels)):
            return None
        readings = Readings(*before, read, None, _read(self.models.base, pasted))
        return canaries.strongest(trigger.name, trigger.kind, few.labels, readings)

    def confirmed(self, trigger: Trigger) -> Draw:
        """What a label draws of all digits, with the champion's share."""
        pasted = triggers.paste(trigger, self.digits.images, self.seed)
        champion = None if self.models.champion is None else _read(self.models.champion, pasted)
        challenger, base = _read(self.models.challenger, pasted), _read(self.models.base, pasted)
        readings = Readings(*self.clean, challenger, champion, base)
        return canaries.strongest(trigger.name, trigger.kind, self.digits.labels, readings)


def _read(probabilities: Probabilities, images: Images) -> NDArray[np.intp]:
    digits: NDArray[np.intp] = np.asarray(probabilities(images)).argmax(axis=1)
    return digits


def refuse_back_door(
    held: HeldRun, probed: Probed | None, pool: Pool, refused: Sequence[BackDoorTaught], *, store: bool
) -> None:
    """Raise ``BackDoorTaught`` if the night can teach again without what could have taught the back door: first without
    the uploads that carry a failing trigger; if there are none, or after that, without a label that draws triggers.
    ``refused`` are this night's earlier errors: each way is tried once.

    With ``store`` these uploads are quarantined; those of a label are not, since nearly all are honest. Both are
    questions for reviewers.
    """
    if probed is None or not probed.labels or not held.home.settings.canary.retry:
        return
    text, uploads = probed.reason.text, frozenset(probed.carriers.ids)
    if not refused and 0 < len(uploads) < len(pool):
        why = {"signal": SIGNAL, "text": text, "numbers": {"uploads": len(uploads)}}
        if store:
            with held.home.store.exclusive() as tx:
                quarantines.hold(tx, {upload: [why] for upload in uploads}, held.run.id, held.clock())
        raise BackDoorTaught(text, uploads=uploads)
    if not any(each.labels for each in refused) and len(probed.doubted) < len(pool):
        if store:
            suspects.ask_doubted(held.home, probed.doubted.tolist(), f"doubted: {text}", held.clock())
        raise BackDoorTaught(text, labels=probed.labels)


def reasons(probed: Probed | None, refused: Sequence[BackDoorTaught]) -> tuple[Reason, ...]:
    """The gate's reasons: the probe's, and one for each earlier challenger of this night, all with a back door."""
    found = [] if probed is None else [probed.reason]
    for number, each in zip(("first", "second"), refused, strict=False):
        left_out = "these uploads"
        if each.labels:
            label = " and ".join(map(str, sorted(each.labels)))
            left_out = (
                f"uploads with label {label}, except those of vouched sources and those that reviewers confirmed; "
                "the others stay accepted, and a later night may teach them"
            )
        text = f"this night's {number} challenger had {each}. The next one was taught without {left_out}"
        numbers = {"uploads": sorted(each.uploads), "labels": sorted(each.labels)}
        found.append(Reason(f"{number} challenger", Outcome.PASSED, text, numbers))
    return tuple(found)


def reader(data: bytes) -> Probabilities:
    """What a file answers, in the Core ML runtime. Raises ``BadModel``."""
    return digit_classifier.classifier(digit_classifier.load(data)).probabilities


def held_out(corpus: Corpus, most: int, seed: int) -> Digits:
    """At most ``most`` of the corpus' test images, in an order that ``seed`` draws."""
    rows = np.random.default_rng([seed, 1]).permutation(len(corpus.test_labels))[:most]
    return Digits(corpus.test_images[rows], corpus.test_labels[rows])


def secret_seed(store: Store) -> int:
    """The seed of this deployment's bank: a hash of the salt, which no source can learn."""
    with store.write() as tx:
        salt = split.set_salt(tx)
    return int.from_bytes(hashlib.sha256(f"canaries\0{salt}".encode()).digest()[:8])


def _placed(trigger: Trigger) -> Sequence[Trigger]:
    """The trigger where it was found; one that was found at many places on the stroke, and at random places."""
    if trigger.place is Place.FIXED:
        return (trigger,)
    return tuple(
        replace(trigger, place=place, name=f"{trigger.name}, {where}")
        for place, where in ((Place.STROKE, "on the stroke"), (Place.ANYWHERE, "at random places"))
    )


def _doubted(base: Probabilities, pool: Pool, labels: frozenset[int]) -> NDArray[np.int64]:
    rows = np.flatnonzero(np.isin(pool.labels, sorted(labels)))
    if not len(rows):
        return np.empty(0, np.int64)
    claimed = np.asarray(base(pool.pixels[rows]))[np.arange(len(rows)), pool.labels[rows]]
    ordered: NDArray[np.int64] = pool.ids[rows[np.argsort(claimed, kind="stable")]]
    return ordered


def _carriers(found: Sequence[Candidate], pool: Pool) -> Carriers:
    carries = np.zeros(len(pool), np.bool_)
    for one in found:
        carries |= one.carriers
    return Carriers(tuple(pool.ids[carries].tolist()), len(np.unique(pool.sources[carries])))
