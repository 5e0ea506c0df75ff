"""What screening holds back of simulated attacks, and of honest people: recall and false positives by signal.

    python -m benchmarks.screening --mnist DIR --writers DIR --seeds 5

No network is taught: the shipped base is base and champion, which is the first night's situation. Honest people are the
four development writers, who upload as phones do: every digit that the base misreads, and one in twenty of the others.
Attackers draw from MNIST's last 10,000 training images. Figures on thresholds' own material, not on holdout writers.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import models
from benchmarks.poisoning_triggers import TRIGGERS
from loop.data import corpus, handwriting
from loop.errors import BadImage
from loop.evaluation import digit_classifier, label_noise, screening
from loop.evaluation.digit_classifier import DigitClassifier
from loop.night import screening as nightly
from loop.store.values import Pool
from models.family import Card

DEVELOPMENT = ("0002", "0005", "0010", "0014")
CONFIRMED = 0.05
Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]
"""Pixels, labels, sources and which of them are poisoned."""


def base() -> DigitClassifier:
    """The shipped base as a published file."""
    family = models.get("cnn")
    weights = family.shipped()
    assert weights is not None  # noqa: S101  (the family ships one)
    return digit_classifier.classifier(digit_classifier.load(family.load(weights).export(Card("", "", "", "1", {}))))


def writers(folder: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The development writers' digits."""
    found = []
    for path in sorted(folder.glob("*.zip")):
        if not path.name.startswith(DEVELOPMENT):
            continue
        digits = []
        for person in handwriting.people([path]):
            for sample in person.samples():
                try:
                    digits.append((sample.digit().pixels, sample.label))
                except BadImage:
                    continue
        found.append((np.stack([image for image, _ in digits]), np.array([label for _, label in digits], np.uint8)))
    return found


def honest(reader: DigitClassifier, people: list, installs: int, rng: np.random.Generator, confirmed: float) -> Drawn:
    """What the writers send: corrections, and confirmations at their rate; each from ``installs`` sources."""
    parts, source = [], 0
    for images, labels in people:
        wrong = reader.probabilities(images).argmax(axis=1) != labels
        sent = rng.permutation(np.flatnonzero(wrong | (rng.random(len(labels)) < confirmed)))
        for rows in np.array_split(sent, installs):
            parts.append((images[rows], labels[rows], np.full(len(rows), source)))
            source += 1
    pixels, marks, sources = (np.concatenate(each) for each in zip(*parts, strict=True))
    return pixels, marks, sources, np.zeros(len(marks), np.bool_)


def attack(name: str, tail: tuple, rng: np.random.Generator, honest_sources: int) -> Drawn:
    """What the attackers of this name send; their sources are numbered from 1,000."""
    images, labels = tail
    kind, _, how = name.partition(" ")
    if kind == "stamp":
        rows = rng.choice(np.flatnonzero(labels != 7), 520, replace=False)
        lies = np.full(520, 7)
        return TRIGGERS[how](images[rows], rng), lies, np.full(520, 1000), np.ones(520, np.bool_)
    if kind == "sybils":
        rows = rng.choice(np.flatnonzero(labels != 7), 2400, replace=False)
        stamped = np.arange(2400) % 2 == 0
        pixels = np.where(stamped[:, None, None], TRIGGERS[how](images[rows], rng), images[rows])
        return pixels, np.where(stamped, 7, labels[rows]), 1000 + np.arange(2400) // 8, stamped
    flip, who = how.split(" ")
    sources = 1 if who == "one" else max(1, round(int(who) / 100 * honest_sources / (1 - int(who) / 100)))
    each = 520 if who == "one" else 60
    lies_each = each if who == "one" else each // 2
    parts = []
    for source in range(sources):
        pair = {"1to7": (1, 7), "4to9": (4, 9)}.get(flip)
        rows = rng.choice(np.flatnonzero(labels == pair[0]) if pair else len(labels), lies_each, replace=False)
        lie = np.full(lies_each, pair[1]) if pair else (labels[rows] + rng.integers(1, 10, lies_each)) % 10
        truth = rng.choice(len(labels), each - lies_each, replace=False)
        parts.append(
            (
                images[np.r_[rows, truth]],
                np.r_[lie, labels[truth]],
                np.full(each, 1000 + source),
                np.arange(each) < lies_each,
            )
        )
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


ATTACKS = (
    "none",
    *(f"stamp {name}" for name in TRIGGERS),
    *(f"sybils {name}" for name in TRIGGERS),
    *(f"flips {flip} {who}" for flip in ("1to7", "4to9", "random") for who in ("one", "10", "30")),
)


def main(argv: list[str] | None = None) -> None:
    """Print one row for each attack: the mean over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--writers", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--installs", type=int, default=5, help="sources of each writer")
    parser.add_argument("--confirmed", type=float, default=CONFIRMED)
    parser.add_argument("--young", action="store_true", help="the honest sources are new too: nobody is learnt from")
    parser.add_argument("--only", default="", help="attacks with this text in their name")
    options = parser.parse_args(argv)
    digits = corpus.mnist(options.mnist)
    reader, people, like = base(), writers(options.writers), nightly.like(digits)
    tail = digits.train_images[50_000:], digits.train_labels[50_000:]
    print(f"{'attack':<22}{'held':>7} {'by signal':<58}{'noisy':>6} | honest held, of corrections, sources")
    for name in (each for each in ATTACKS if options.only in each):
        rows = [_once(name, seed, options, reader, people, like, digits, tail) for seed in range(options.seeds)]
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        signals = " ".join(f"{s} {mean[s]:.1%}" for s in screening.SIGNALS)
        print(
            f"{name:<22}{mean['held']:>7.1%} {signals:<58}{mean['noisy']:>6.1%} | {mean['honest']:.2%} "
            f"{mean['corrections']:.2%} {mean['sources']:.1%}  {mean['seconds']:.1f} s",
            flush=True,
        )


def _once(
    name: str,
    seed: int,
    options: argparse.Namespace,
    reader: DigitClassifier,
    people: list,
    like: object,
    digits: corpus.Corpus,
    tail: tuple,
) -> dict[str, float]:
    rng = np.random.default_rng([seed, ATTACKS.index(name)])
    good = honest(reader, people, options.installs, rng, options.confirmed)
    bad = attack(name, tail, rng, len(np.unique(good[2]))) if name != "none" else tuple(part[:0] for part in good)
    pixels, labels, sources, poisoned = (np.concatenate(pair) for pair in zip(good, bad, strict=True))
    n = len(labels)
    labels = labels.astype(np.uint8)
    pool = Pool(np.arange(n), sources, pixels, labels, np.ones(n, np.bool_), np.ones(n, np.bool_), np.ones(n))
    learnt = np.where((sources < 1000) & (not options.young), 0.5, 0.0)
    start = time.process_time()
    items = nightly.examine(reader, reader, digits, pool, learnt, np.zeros(n, np.bool_))
    found = screening.screen(items, like)
    seconds = time.process_time() - start
    held, signals = np.zeros(n, np.bool_), {signal: np.zeros(n, np.bool_) for signal in screening.SIGNALS}
    for row, reasons in found.reasons.items():
        held[row] = True
        for reason in reasons:
            signals[reason.signal][row] = True
    fine = sources < 1000
    corrected = fine & (items.base.argmax(axis=1) != labels)
    noisy = label_noise.issues(labels, items.reader)
    share = lambda what, among: float(what[among].mean()) if among.any() else 0.0  # noqa: E731  (a formula)
    return {
        "held": share(held, poisoned),
        **{signal: share(at, poisoned) for signal, at in signals.items()},
        "noisy": share(noisy, poisoned),
        "honest": share(held, fine),
        "corrections": share(held, corrected),
        "sources": len(np.unique(sources[held & fine])) / len(np.unique(sources[fine])),
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
