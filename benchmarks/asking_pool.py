"""What choosing tonight's questions costs, against only scoring the pool: processor time and peak memory.

A home with a champion (the shipped base) and 1,000 taught corrections; drawings are MNIST's training digits, moved by
up to two pixels, of 2,000 sources, stored through the intake. For each size of the pool and each strategy, processes of
their own, each on a copy of the home: one reads the pictures and scores them with the champion's file, the Core ML
runtime alone (least of three), the others run the whole round of asking, ``loop.asking.nightly``.

    python -m benchmarks.asking_pool [--sizes 10000 30000 100000] [--strategies margin k-center] [--count 200]
    python -m benchmarks.asking_pool --folder DIR      # keeps the home there, and finds it there again
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.unseen_writers import SHARED
from loop import home as homes
from loop import intake
from loop.asking import nightly
from loop.asking.strategies import STRATEGIES
from loop.clock import utc_now
from loop.data import corpus, digits
from loop.home import Home
from loop.home.settings import load
from loop.intake import Receipt, Upload
from loop.night import retrain
from loop.store import schema
from loop.store.asking import pool
from loop.store.feedback import narrow
from loop.store.nights import versions
from loop.store.values import Kind

SIZES = (10_000, 30_000, 100_000)
SOURCES, TAUGHT, COUNT = 2_000, 1_000, 200
AT_ONCE = 2_000


def opened(folder: Path, strategy: str = "margin") -> Home:
    """The home in a folder; the pool is never cut, so that each round scores all of it."""
    home = homes.at(load(home=folder, mnist=SHARED / "data" / "mnist", actor="benchmark"), migrated=False)
    rules = replace(home.settings.ask, strategy=strategy, pool_size=10 * max(SIZES))
    return Home(home.settings.model_copy(update={"ask": rules}), home.store, home.artifacts)


def moved(images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int) -> tuple[NDArray[np.uint8], list[int]]:
    """``count`` different pictures: each training digit once, then again, moved elsewhere."""
    random = np.random.default_rng(5)
    rows = np.arange(count) % len(images)
    shifts = random.integers(-2, 3, (count, 2))
    made = np.stack(
        [np.roll(images[row], shift, (0, 1)) for row, shift in zip(rows.tolist(), shifts.tolist(), strict=True)]
    )
    return made, labels[rows].tolist()


def filled(folder: Path, sizes: list[int]) -> None:
    """A home of each size in ``folder/SIZE``, the larger ones grown from the smaller."""
    growing = folder / "growing"
    shutil.rmtree(growing, ignore_errors=True)
    home = opened(growing)
    schema.migrate(home.store)
    retrain.create_base(home)
    mnist = corpus.mnist(SHARED / "data" / "mnist")
    pictures, labels = moved(mnist.train_images, mnist.train_labels, max(sizes) + TAUGHT)
    _send(home, pictures[-TAUGHT:], labels[-TAUGHT:], Kind.CORRECTION)
    stored = 0
    for size in sorted(sizes):
        for begin in range(stored, size, AT_ONCE):
            end = min(begin + AT_ONCE, size)
            _send(home, pictures[begin:end], [None] * (end - begin), Kind.DRAWING)
        stored = size
        home.store.close()
        shutil.copytree(growing, folder / str(size))
        home = opened(growing)
    home.store.close()
    shutil.rmtree(growing)


def _send(home: Home, pictures: NDArray[np.uint8], labels: list[int | None] | list[int], kind: Kind) -> None:
    now = utc_now()
    uploads = [
        Upload(
            f"source {int.from_bytes(picture.tobytes()[300:340]) % SOURCES}",
            digits.digit(picture),
            label,
            kind=kind,
            rate=1.0,
            predicted=1 if label != 1 else 2,
            confidence=0.5,
            runner_up=7,
            runner_up_confidence=0.4,
            captured_at=now - timedelta(minutes=1),
        )
        for picture, label in zip(pictures, labels, strict=True)
    ]
    answers = intake.accept_many(home.store, uploads, 0.2, now)
    if refused := [each for each in answers if not isinstance(each, Receipt)]:
        raise SystemExit(f"expected receipts, got {refused[0]!r}")


def scored(home: Home) -> dict[str, float]:
    """Processor seconds of reading the pool with the champion, pictures in memory a part at a time."""
    with home.store.frozen() as tx:
        champion = versions.champion(tx, "cnn")
        assert champion is not None  # noqa: S101 - the base passed
        model = home.models.get(champion.artifact_digest)
        ids, spent = pool.waiting(tx).ids, 0.0
        for begin in range(0, len(ids), AT_ONCE):
            pictures = narrow.pixels(tx, ids[begin : begin + AT_ONCE])
            start = time.process_time()
            model.probabilities(pictures)
            spent += time.process_time() - start
    return {"seconds": spent}


def asked(home: Home, count: int) -> dict[str, float]:
    """Processor seconds of a whole round, and the questions that it stored."""
    start, begun = time.process_time(), time.perf_counter()
    done = nightly.ask(home, "cnn", utc_now(), count)
    return {
        "seconds": time.process_time() - start,
        "wall": time.perf_counter() - begun,
        "questions": done.asked + done.random,
        "scored": done.scored,
    }


def child(folder: Path, strategy: str, count: int) -> None:
    """What one process measures, as JSON."""
    home = opened(folder, strategy if strategy in STRATEGIES else "margin")
    found = asked(home, count) if strategy in STRATEGIES else scored(home)
    home.store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {"peak_mib": peak}))


def measured(folder: Path, strategy: str, count: int) -> dict[str, float]:
    """A process of its own on a copy of the home."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as copied:
        shutil.copytree(folder, copied, dirs_exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.asking_pool", "--child", copied, strategy, str(count)]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print a line for each size and strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--repeats", type=int, default=3, help="of scoring; the least counts")
    parser.add_argument("--folder", type=Path, help="where the home is kept; default: a temporary folder")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, strategy, count = options.child
        child(Path(folder), strategy, int(count))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not all((folder / str(size)).exists() for size in options.sizes):
            filled(folder, options.sizes)
        for size in options.sizes:
            alone = min((measured(folder / str(size), "score", 0) for _ in range(options.repeats)), key=_seconds)
            print(
                f"{size:>7,} {'scoring':16} {alone['seconds']:6.1f} s   peak {alone['peak_mib']:6.0f} MiB", flush=True
            )
            for strategy in options.strategies:
                whole = measured(folder / str(size), strategy, options.count)
                print(
                    f"{size:>7,} {strategy:16} {whole['seconds']:6.1f} s × {whole['seconds'] / alone['seconds']:.2f}   "
                    f"peak {whole['peak_mib']:6.0f} MiB   {whole['questions']} questions, {whole['wall']:.1f} s wall",
                    flush=True,
                )
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


def _seconds(found: dict[str, float]) -> float:
    return found["seconds"]


if __name__ == "__main__":
    main()
