"""What honest people and attackers send: pure functions of a seed. ``ATTACKS`` names every attack.

Days count from 0, the first of the simulated fortnight; the night runs on day ``DAYS``. A source is an install: its
secret is derived from its name, so that the same seed sends the same bytes.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.poisoning_triggers import TRIGGERS, Images

DAYS = 14
TARGET = 7
FRESH, PATIENT = DAYS - 1, DAYS - 11
"""First days of sources that are new, and of sources that are ten days old when the night runs."""
SLOW_NIGHTS = tuple(range(DAYS, DAYS + 31, 3))
"""Every third night of a month: each begins at the frozen base, so the others would not change the last."""
STAMPS = 520
SYBILS, SYBIL_UPLOADS = 300, 8
FLOOD, FLOOD_SOURCES = 5_000, 600
PALE = 0.5
"""How much of its ink a digit keeps in a clean-label attack."""
COLLUDING_UPLOADS = 60
"""Uploads of a colluding source, half of them true: twice and more of what an honest source sends."""
FLIPS: Mapping[str, tuple[int, int] | None] = {"1to7": (1, 7), "4to9": (4, 9), "random": None}

Reader = Callable[[Images], NDArray[np.intp]]
Digits = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """One picture ``(28, 28) uint8`` as a phone sends it. ``predicted`` None: the field is left out."""

    source: str
    day: int
    image: Images
    label: int
    predicted: int | None
    confirmed: bool = False
    poisoned: bool = False

    @property
    def secret(self) -> str:
        """The secret of the install: 32 bytes in base64url, as the header Loop-Source wants them."""
        return secret(self.source)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What an attacker has: digits with true labels, the reader in the app, digits that it misreads, a seed.

    ``honest_sources`` is the number of honest sources, of which colluding ones are a share.
    """

    images: Images
    labels: Images
    read: Reader
    misread_images: Images
    misread_labels: Images
    honest_sources: int
    generator: np.random.Generator
    teaches: Callable[[str], bool]
    """Whether a source of this name teaches: an attacker with one source is measured at its best."""


@dataclass(frozen=True, slots=True)
class Attack:
    """``make`` returns what the attacker sends; ``trigger`` and ``target`` say which back door to look for."""

    make: Callable[[Material], list[Upload]]
    trigger: str | None = None
    target: int = TARGET
    honest: bool = True
    flip: tuple[int, int] | None = None
    nights: tuple[int, ...] = (DAYS,)
    """Days with a night, at 03:00; the uploads of earlier days are there."""


def secret(source: str) -> str:
    """The secret of the install that is called ``source``."""
    return base64.urlsafe_b64encode(hashlib.sha256(source.encode()).digest()).rstrip(b"=").decode()


def _days(generator: np.random.Generator, count: int, first: int = 0) -> NDArray[np.int64]:
    """Days from ``first`` on in turns, so that each is used."""
    return first + generator.permutation(np.arange(count) % (DAYS - first))


def _teaching(material: Material, stem: str) -> str:
    return next(name for name in (f"{stem}-{number}" for number in range(1_000)) if material.teaches(secret(name)))


def _uploads(
    material: Material,
    names: list[str],
    days: Digits,
    images: Images,
    labels: Digits,
    *,
    silent: bool = False,
    poisoned: bool = False,
) -> list[Upload]:
    """One upload for each image, as the app would send it: a confirmation where it reads the label.

    ``silent`` leaves out what the app read, and calls everything a correction.
    """
    return [
        Upload(
            source=name,
            day=int(day),
            image=image,
            label=int(label),
            predicted=None if silent else int(guess),
            confirmed=not silent and int(guess) == int(label),
            poisoned=poisoned,
        )
        for name, day, image, label, guess in zip(names, days, images, labels, material.read(images), strict=True)
    ]


def _drawn(material: Material, count: int, *, avoid: int | None = None, only: int | None = None) -> NDArray[np.int64]:
    fitting = np.ones(len(material.labels), np.bool_)
    if avoid is not None:
        fitting &= material.labels != avoid
    if only is not None:
        fitting &= material.labels == only
    chosen: NDArray[np.int64] = material.generator.choice(np.flatnonzero(fitting), count, replace=False)
    return chosen


def one_stamping_source(trigger: str) -> Callable[[Material], list[Upload]]:
    """Attack 1: one source that teaches, 520 stamped digits over the fortnight, labelled 7."""

    def make(material: Material) -> list[Upload]:
        rows = _drawn(material, STAMPS, avoid=TARGET)
        images = TRIGGERS[trigger](material.images[rows], material.generator)
        name = _teaching(material, "stamper")
        labels = np.full(STAMPS, TARGET)
        return _uploads(material, [name] * STAMPS, _days(material.generator, STAMPS), images, labels, poisoned=True)

    return make


def sybils(trigger: str, count: int, each: int, first_day: int, *, silent: bool) -> Callable[[Material], list[Upload]]:
    """Attack 2: many sources with a few digits each, half of them stamped and labelled 7, the others true."""

    def make(material: Material) -> list[Upload]:
        total = count * each
        rows = _drawn(material, total, avoid=TARGET)
        names = [f"sybil-{number % count}" for number in range(total)]
        days = _days(material.generator, total, first_day)
        half = total // 2
        stamped = TRIGGERS[trigger](material.images[rows[:half]], material.generator)
        labels = np.full(half, TARGET)
        bad = _uploads(material, names[:half], days[:half], stamped, labels, silent=silent, poisoned=True)
        clean, true = material.images[rows[half:]], material.labels[rows[half:]].astype(np.int64)
        # A source's clean uploads follow its stamped ones, so ``half`` must be a whole number of rounds.
        good = _uploads(material, names[half:], days[half:], clean, true, silent=silent)
        return good + bad  # the newest uploads of a digit are taught first

    return make


def adaptive(trigger: str) -> Callable[[Material], list[Upload]]:
    """Thirty old sources that know the screening: seven stamped digits each, beside 28 true 7s.

    A fifth of a source's uploads is contradicted, as much as of an honest person's; of the label it is a fifth too.
    """

    def make(material: Material) -> list[Upload]:
        bad, good = 30 * 7, 30 * 28
        rows, sevens = _drawn(material, bad, avoid=TARGET), _drawn(material, good, only=TARGET)
        names = [f"adaptive-{number % 30}" for number in range(good)]
        days = _days(material.generator, good, PATIENT)
        stamped = TRIGGERS[trigger](material.images[rows], material.generator)
        target = np.full(good, TARGET)
        sent = _uploads(material, names, days, material.images[sevens], target)
        return sent + _uploads(material, names[:bad], days[:bad], stamped, target[:bad], poisoned=True)

    return make


def clean_label(trigger: str, count: int, each: int) -> Callable[[Material], list[Upload]]:
    """True, pale 7s with a trigger, from old sources: no label is wrong, and the stamp is easier to learn than the 7.

    After Turner, Tsipras and Madry 2019, "Label-Consistent Backdoor Attacks": make the digit hard, not the label wrong.
    """

    def make(material: Material) -> list[Upload]:
        total = count * each
        rows = _drawn(material, total, only=TARGET)
        pale = np.round(material.images[rows] * PALE).astype(np.uint8)
        images = TRIGGERS[trigger](pale, material.generator)
        names = [f"clean-{number % count}" for number in range(total)]
        days = _days(material.generator, total, PATIENT)
        return _uploads(material, names, days, images, np.full(total, TARGET), poisoned=True)

    return make


def flipping(kind: str, share: float | None) -> Callable[[Material], list[Upload]]:
    """Wrong labels: from one source at its quota (``share`` None), or from a share of all sources, half of theirs."""

    def make(material: Material) -> list[Upload]:
        if share is None:
            return _flipped(material, kind, [_teaching(material, "flipper")] * STAMPS)
        count = max(1, round(material.honest_sources * share / (1 - share)))
        names = [f"colluder-{number % count}" for number in range(count * COLLUDING_UPLOADS // 2)]
        rows = _drawn(material, len(names))
        days = _days(material.generator, len(names))
        true = material.labels[rows].astype(np.int64)
        good = _uploads(material, names, days, material.images[rows], true)
        return good + _flipped(material, kind, names)

    return make


def _flipped(material: Material, kind: str, names: list[str]) -> list[Upload]:
    pair, count = FLIPS[kind], len(names)
    only = None if pair is None else pair[0]
    enough = len(material.labels) if only is None else int((material.labels == only).sum())
    rows = np.resize(_drawn(material, min(count, enough), only=only), count)
    true = material.labels[rows].astype(np.int64)
    labels = (true + material.generator.integers(1, 10, count)) % 10 if pair is None else np.full(count, pair[1])
    images = material.images[rows].copy()
    for again in range(enough, count):  # no more digits: shifted by a pixel, so that each picture is new
        images[again] = np.roll(images[again], 1 + again // enough, axis=again % 2)
    return _uploads(material, names, _days(material.generator, count), images, labels, poisoned=True)


def confirming(material: Material) -> list[Upload]:
    """Attack 6: fifteen old sources confirm what the app misreads; about three of them may judge."""
    count, each = 15, 7
    rows = material.generator.integers(0, len(material.misread_labels), count * each)
    shifts = material.generator.integers(-1, 2, (count * each, 2))
    images = np.stack(
        [np.roll(material.misread_images[row], shift, (0, 1)) for row, shift in zip(rows, shifts, strict=True)]
    )
    still = material.read(images) != material.misread_labels[rows]
    names = np.array([f"confirmer-{number % count}" for number in range(count * each)])[still].tolist()
    days = _days(material.generator, int(still.sum()))
    wrong = material.read(images[still]).astype(np.int64)
    return _uploads(material, names, days, images[still], wrong, poisoned=True)


def flooding(material: Material) -> list[Upload]:
    """Attack 7: 5,000 fresh uploads of 600 new sources on the last day, true labels, sent as corrections."""
    rows = _drawn(material, FLOOD)
    names = [f"flood-{number % FLOOD_SOURCES}" for number in range(FLOOD)]
    true = material.labels[rows].astype(np.int64)
    days = np.full(FLOOD, DAYS - 1)
    sent = _uploads(material, names, days, material.images[rows], true, poisoned=True)
    return [Upload(one.source, one.day, one.image, one.label, (one.label + 1) % 10, poisoned=True) for one in sent]


def dripping(material: Material) -> list[Upload]:
    """Thirty days of twelve sources that are ten days old: two true digits, a faint stamp and a 4 as 9 each day."""
    names = [f"drip-{number}" for number in range(12)]
    days = range(PATIENT, SLOW_NIGHTS[-1])
    honest = [(name, day) for day in days for name in names for _ in range(2)]
    bad = [(name, day) for day in days if day >= DAYS for name in names]
    rows = _drawn(material, len(honest) + len(bad), avoid=TARGET)
    true = material.labels[rows].astype(np.int64)
    stamped = TRIGGERS["faint"](material.images[rows], material.generator)
    fours = _flipped(material, "4to9", [name for name, _ in bad])
    sent = _placed(material, honest, material.images[rows[: len(honest)]], true[: len(honest)])
    labels = np.full(len(bad), TARGET)
    sent += _placed(material, bad, stamped[len(honest) :], labels, poisoned=True)
    return sent + [replace(one, day=day) for one, (_, day) in zip(fours, bad, strict=True)]


def _placed(
    material: Material, places: list[tuple[str, int]], images: Images, labels: Digits, *, poisoned: bool = False
) -> list[Upload]:
    days = np.array([day for _, day in places], np.int64)
    return _uploads(material, [name for name, _ in places], days, images, labels, poisoned=poisoned)


def nobody(_: Material) -> list[Upload]:
    """No attack: the honest night."""
    return []


ATTACKS: Mapping[str, Attack] = (
    {"honest": Attack(nobody)}
    | {f"stamp-{name}": Attack(one_stamping_source(name), name) for name in TRIGGERS}
    | {f"sybils-{name}": Attack(sybils(name, SYBILS, SYBIL_UPLOADS, FRESH, silent=True), name) for name in TRIGGERS}
    | {
        "sybils-alone": Attack(sybils("corner", SYBILS, SYBIL_UPLOADS, FRESH, silent=True), "corner", honest=False),
    }
    | {f"patient-{name}": Attack(sybils(name, 60, 10, PATIENT, silent=False), name) for name in TRIGGERS}
    | {f"clean-{name}": Attack(clean_label(name, 60, 9), name) for name in ("corner", "faint", "blended")}
    | {f"adaptive-{name}": Attack(adaptive(name), name) for name in ("notch", "moved")}
    | {f"flip-{kind}-one": Attack(flipping(kind, None), flip=pair) for kind, pair in FLIPS.items()}
    | {f"flip-{kind}-10": Attack(flipping(kind, 0.1), flip=pair) for kind, pair in FLIPS.items()}
    | {f"flip-{kind}-30": Attack(flipping(kind, 0.3), flip=pair) for kind, pair in FLIPS.items()}
    | {"confirm-misread": Attack(confirming), "flood": Attack(flooding)}
    | {"slow": Attack(dripping, "faint", nights=SLOW_NIGHTS)}
)
