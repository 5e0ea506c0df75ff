"""How long a backup and a restoration take, how large and how hungry they are, and what uploads notice of a backup.

``python -m benchmarks.backup [UPLOADS]`` makes a home of so many uploads (100,000) in a temporary folder.
"""

import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from loop.clock import utc_now
from loop.data.digits import digit
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.intake import Upload, accept_many
from loop.operations import backup, restore, verify
from loop.store import Store, schema
from loop.store.feedback import split

BATCH = 64


def opened(folder: Path) -> Home:
    """A home on SQLite."""
    settings = Settings(home=folder, corpus="digits")
    return Home(settings, Store(settings.url), Artifacts(folder / "artifacts"))


def uploads(home: Home, count: int, first: int) -> list[float]:
    """Store uploads of 784 pixels with strokes of random ink; the seconds of each batch."""
    random, took = np.random.default_rng(first), []
    for begin in range(first, first + count, BATCH):
        pixels = np.zeros((BATCH, 28, 28), np.uint8)
        pixels[:, 4:24, 10:17] = random.integers(0, 255, (BATCH, 20, 7), np.uint8)  # about as much ink as a digit has
        sent = [Upload(f"s{(begin + i) % 500}", digit(pixels[i]), label=i % 10) for i in range(BATCH)]
        began = time.perf_counter()
        accept_many(home.store, sent, 0.2, utc_now())
        took.append(time.perf_counter() - began)
    return took


def timed(what: str, call: Callable[[], object]) -> object:
    """Say how long it took, and how much memory the process has had."""
    began = time.perf_counter()
    answer = call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<28} {time.perf_counter() - began:7.1f} s   peak {peak:,.0f} MiB")
    return answer


def main(count: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="loop-backup-") as place:
        home = opened(Path(place) / "home")
        schema.migrate(home.store)
        with home.store.write() as tx:
            split.set_salt(tx)
        timed(f"{count:,} uploads stored", lambda: uploads(home, count, 0))
        quiet = uploads(home, 200 * BATCH, 10_000_000)
        stop, during = threading.Event(), []

        def keep_on() -> None:
            first = 20_000_000
            while not stop.is_set():
                during.extend(uploads(home, BATCH, first))
                first += BATCH

        writer = threading.Thread(target=keep_on)
        writer.start()
        path = Path(place) / "b.tar.gz"
        timed("backup, uploads going on", lambda: backup.backup(home, path, utc_now()))
        stop.set()
        writer.join()
        for name, took in (("alone", quiet), ("during the backup", during)):
            middle, worst = statistics.median(took), max(took)
            print(
                f"batches of {BATCH} {name:<18} n={len(took)}: median {middle * 1000:.0f} ms, worst {worst * 1000:.0f}"
            )
        sizes = [each.stat().st_size / 1e6 for each in (path, home.settings.home / "loop.db")]
        print(f"backup {sizes[0]:,.1f} MB, database {sizes[1]:,.1f} MB")
        other = opened(Path(place) / "other")
        timed("restore into an empty home", lambda: restore.restore(other, path, restore.Options(), utc_now()))
        found = verify.verify(other, utc_now())
        print(f"verify: {len(found.findings)} findings")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
