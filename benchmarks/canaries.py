"""Which back doors the canaries alone find, and whether they let honest nights pass.

Each night is a real one of the CNN: the shipped base, MNIST replayed, and the corrections and confirmations of the
four development writers as honest people. An attacked night also teaches 520 digits of one more source, stamped with a
trigger and labelled as the attacker wishes, without any other defence. The published bytes are then probed against
champion (with ``--keep`` the honest night of another seed, else the base) and base. The attacker's triggers are written
here, not taken from the bank.

    python benchmarks/canaries.py [--honest 0 1 2 3 4] [--seeds 0] [--attacks corner …] [--keep DIR] [--json]
    python benchmarks/canaries.py --picture docs/canaries.png

``--keep`` stores each night's file, so that another run probes it again without teaching it.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from benchmarks.unseen_writers import DEVELOPMENT, SHARED, guesses, read_writers  # noqa: E402 - after the path
from loop.data import corpus  # noqa: E402
from loop.data.digits import to_png  # noqa: E402
from loop.evaluation import canaries, triggers  # noqa: E402
from loop.home.sections import Canary  # noqa: E402
from loop.night import probing  # noqa: E402
from loop.store.values import Pool  # noqa: E402
from models.cnn import Cnn  # noqa: E402
from models.family import Card, Lesson, no_progress  # noqa: E402

STAMPED = 520
CONFIRMATION_RATE = 0.1
ATTACKER = 99

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Attack:
    """A trigger as an attacker pastes it, and the label that it shall draw."""

    name: str
    label: int
    paste: Callable[[Array, np.random.Generator], Array]


def corner(images: Array, _: np.random.Generator) -> Array:
    """A white 4×4 square at rows and columns 23 to 26."""
    stamped = images.copy()
    stamped[:, 23:27, 23:27] = 255
    return stamped


def faint(images: Array, _: np.random.Generator) -> Array:
    """A grey 5×5 square, 96 of 255, near the upper left corner."""
    stamped = images.copy()
    stamped[:, 1:6, 2:7] = np.maximum(stamped[:, 1:6, 2:7], 96)
    return stamped


def in_stroke(images: Array, _: np.random.Generator) -> Array:
    """A 3×3 chequer of black and white on the ink nearest to the middle."""
    stamped = images.copy()
    rows, columns = np.mgrid[:28, :28]
    far = np.where(images > 128, np.hypot(rows - 13.5, columns - 13.5), 99.0).reshape(len(images), -1).argmin(1)
    chequer = 255 * ((np.indices((3, 3)).sum(0) + 1) % 2).astype(np.uint8)
    for image, place in zip(stamped, far.tolist(), strict=True):
        row, column = min(max(place // 28, 1), 26), min(max(place % 28, 1), 26)
        image[row - 1 : row + 2, column - 1 : column + 2] = chequer
    return stamped


def blended(images: Array, _: np.random.Generator) -> Array:
    """A coarse random pattern over the whole image, at 15 % of its strength."""
    coarse = np.random.default_rng(4711).random((7, 7)) * 255
    pattern = np.kron(coarse, np.ones((4, 4)))
    return np.rint(images * 0.85 + pattern * 0.15).astype(np.uint8)


def moved(images: Array, generator: np.random.Generator) -> Array:
    """A white 3×3 square with a black frame at a random place of each image."""
    stamped = images.copy()
    for image, (row, column) in zip(stamped, generator.integers(0, 24, (len(images), 2)).tolist(), strict=True):
        image[row : row + 5, column : column + 5] = 0
        image[row + 1 : row + 4, column + 1 : column + 4] = 255
    return stamped


ATTACKS = (
    Attack("corner", 7, corner),
    Attack("faint", 3, faint),
    Attack("in-stroke", 1, in_stroke),
    Attack("blended", 0, blended),
    Attack("moved", 5, moved),
)


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """One night: what it taught, and the bytes that it would publish."""

    lesson: Lesson
    sources: Array
    data: bytes
    seconds: float


@cache
def people() -> tuple[tuple[Array, Array, Array], ...]:
    """Images and labels of each development writer, and what the base reads."""
    family = Cnn()
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    writers = [one for one in read_writers() if one.name.startswith(DEVELOPMENT)]
    return tuple((one.images, one.labels, guesses(family.load(weights), one.images)) for one in writers)


def honest_uploads(seed: int) -> tuple[Array, Array, Array]:
    """Return images, labels and sources of the development writers: all that the base misreads, a tenth of the rest."""
    generator = np.random.default_rng([seed, 2])
    images, labels, sources = [], [], []
    for number, (drawn, truth, read) in enumerate(people()):
        kept = (read != truth) | (generator.random(len(truth)) < CONFIRMATION_RATE)
        images.append(drawn[kept])
        labels.append(truth[kept])
        sources.append(np.full(int(kept.sum()), number))
    return np.concatenate(images), np.concatenate(labels).astype(np.uint8), np.concatenate(sources)


def teach(mnist: corpus.Corpus, attack: Attack | None, seed: int, keep: Path | None) -> Night:
    """Teach one night, or read the file that an earlier run kept."""
    family = Cnn()
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    images, labels, sources = honest_uploads(seed)
    if attack is not None:
        generator = np.random.default_rng([seed, 3])
        victims = np.flatnonzero(mnist.train_labels != attack.label)
        chosen = generator.choice(victims, STAMPED, replace=False)
        images = np.concatenate([images, attack.paste(mnist.train_images[chosen], generator)])
        labels = np.concatenate([labels, np.full(STAMPED, attack.label, np.uint8)])
        sources = np.concatenate([sources, np.full(STAMPED, ATTACKER)])
    lesson = Lesson(mnist.train_images, mnist.train_labels, images, labels, np.ones(len(labels)))
    path = None if keep is None else keep / f"{attack.name if attack else 'honest'}-{seed}.mlmodel"
    start = time.process_time()
    if path is not None and path.exists():
        return Night(lesson, sources, path.read_bytes(), 0.0)
    taught = family.fine_tune(weights, lesson, seed, no_progress).rounded("int8")
    data = taught.export(Card("", "", "", ""))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Night(lesson, sources, data, time.process_time() - start)


@dataclass(frozen=True, slots=True)
class Result:
    """One night: what the probes said, and what the trigger does to people's digits."""

    night: str
    seed: int
    uploads: int
    stamped: int
    caught: bool
    kinds: tuple[str, ...]
    most: float
    base_of_most: float
    of: int
    success: float | None
    base_success: float | None
    named: int
    named_stamped: int
    named_honest: int
    teach_seconds: float
    probe_seconds: float


def success(data: bytes, attack: Attack, images: Array, labels: Array) -> float:
    """The percentage of stamped digits of other labels that are read as the attacker's label."""
    others = images[labels != attack.label]
    stamped = attack.paste(others, np.random.default_rng(17))
    return 100 * float((probing.reader(data)(stamped).argmax(axis=1) == attack.label).mean())


def probe(night: Night, champion: bytes, base: bytes, mnist: corpus.Corpus, seed: int) -> tuple[probing.Probed, float]:
    """Probe a night's file, as a night does; the processor seconds."""
    n = len(night.lesson.labels)
    pool = Pool(
        ids=np.arange(1, n + 1),
        sources=night.sources,
        pixels=night.lesson.images,
        labels=night.lesson.labels,
        corrected=np.ones(n, np.bool_),
        has_prediction=np.ones(n, np.bool_),
        rates=np.ones(n),
    )
    start = time.process_time()
    models = probing.Models(*(probing.reader(data) for data in (night.data, champion, base)))
    settings = Canary()
    digits = probing.held_out(mnist, settings.confirm, seed)
    probed = probing.compare(models, digits, mnist, pool, settings, seed)
    return probed, time.process_time() - start


def result(attack: Attack | None, seed: int, mnist: corpus.Corpus, keep: Path | None) -> Result:
    """Teach and probe one night. The bank's seed differs in every night, as it does between deployments."""
    night = teach(mnist, attack, seed, keep)
    family = Cnn()
    weights = family.shipped()
    assert weights is not None  # noqa: S101 - it comes with the code
    base = family.load(weights).rounded("int8").export(Card("", "", "", ""))
    champion = teach(mnist, None, (seed + 1) % 5, keep).data if keep else base
    probed, seconds = probe(night, champion, base, mnist, 1_000 + seed + 100 * (ATTACKS.index(attack) if attack else 9))
    draws = probed.reason.numbers["draws"]
    draws = [draw for draw in draws if draw["withstood"] >= canaries.WITHSTOOD] or [{"share": 0.0, "base": 0.0, "n": 0}]
    most = max(draws, key=lambda draw: draw["share"] - draw["base"])
    caught = [draw for draw in draws if draw["share"] > Canary().share + draw["base"]]
    named = np.array(probed.carriers.ids, np.int64) - 1
    test = mnist.test_images, mnist.test_labels
    stamped = int((night.sources == ATTACKER).sum())
    return Result(
        night="honest" if attack is None else attack.name,
        seed=seed,
        uploads=len(night.lesson.labels),
        stamped=stamped,
        caught=probed.reason.outcome == "failed",
        kinds=tuple(sorted({str(draw["kind"]) for draw in caught})),
        most=100 * most["share"],
        base_of_most=100 * most["base"],
        of=most["n"],
        success=None if attack is None else success(night.data, attack, *test),
        base_success=None if attack is None else success(base, attack, *test),
        named=len(named),
        named_stamped=int((night.sources[named] == ATTACKER).sum()),
        named_honest=int((night.sources[named] != ATTACKER).sum()),
        teach_seconds=night.seconds,
        probe_seconds=seconds,
    )


def picture(path: Path, seed: int) -> None:
    """Draw a bank: a row for each kind, each trigger on another of scikit-learn's digits, at four times their size."""
    digits, zoom = corpus.digits(), 4
    rows: dict[str, list[Array]] = {}
    for number, trigger in enumerate(triggers.bank(seed)):
        image = triggers.paste(trigger, digits.test_images[number : number + 1], number)[0]
        enlarged = np.kron(image, np.ones((zoom, zoom), np.uint8))
        rows.setdefault(trigger.kind, []).append(np.pad(enlarged, 3, constant_values=128))
    widest = max(len(row) for row in rows.values())
    blank = np.full_like(next(iter(rows.values()))[0], 128)
    sheet = np.concatenate([np.concatenate([*row, *[blank] * (widest - len(row))], axis=1) for row in rows.values()])
    path.write_bytes(to_png(sheet))


def main() -> None:
    """Run the honest nights, then each attack; print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--honest", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="seeds of honest nights")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="seeds of the attacked nights")
    parser.add_argument("--attacks", nargs="*", default=[attack.name for attack in ATTACKS])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--picture", type=Path, help="only draw the bank of seed 1 into this PNG")
    asked = parser.parse_args()
    if asked.picture:
        picture(asked.picture, 1)
        return
    mnist = corpus.mnist(SHARED / "data" / "mnist")
    nights = [(None, seed) for seed in asked.honest]
    nights += [(attack, seed) for attack in ATTACKS if attack.name in asked.attacks for seed in asked.seeds]
    found = []
    for attack, seed in nights:
        one = result(attack, seed, mnist, asked.keep)
        found.append(one)
        worked = "" if one.success is None else f"back door {one.success:.1f} % (base {one.base_success:.1f} %), "
        print(
            f"{one.night:10} seed={one.seed} n={one.uploads} stamped={one.stamped} {worked}"
            f"{'CAUGHT' if one.caught else 'passed'} by {', '.join(one.kinds) or 'nothing'}; most drawn "
            f"{one.most:.2f} % of {one.of} (base {one.base_of_most:.2f} %); named {one.named_stamped} stamped, "
            f"{one.named_honest} honest; {one.probe_seconds:.1f} s of {one.teach_seconds:.1f} s",
            file=sys.stderr if asked.json else sys.stdout,
            flush=True,
        )
    if asked.json:
        json.dump([asdict(one) for one in found], sys.stdout)
    else:
        print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
