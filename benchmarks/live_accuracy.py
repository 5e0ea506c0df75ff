"""Live accuracy from what phones send: does its interval hold the truth, and what do scoring and summing cost?

Phones correct every wrong answer and confirm a twentieth of the right ones. Crowds of people with a known true
accuracy are simulated; the interval should hold it 95 times in 100, the plain share of right uploads is shown beside.
Then uploads are put into a store, scored by the shipped network as it is published, and summed for `loop versions`.

    python benchmarks/live_accuracy.py [--seeds 1000] [--uploads 100000] [--postgres postgresql://…/DATABASE]

The database named with ``--postgres`` is emptied.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert, select, text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from loop import home as homes  # noqa: E402
from loop import registry  # noqa: E402
from loop.clock import utc_now  # noqa: E402
from loop.home import Home  # noqa: E402
from loop.home.settings import load  # noqa: E402
from loop.intake.live_accuracy import BATCH_UPLOADS, FailedVersions, score_waiting  # noqa: E402
from loop.night import retrain  # noqa: E402
from loop.store import schema, tables  # noqa: E402
from loop.store.feedback import live_accuracy as stored_accuracy  # noqa: E402
from tests.helpers import crowd  # noqa: E402

CROWDS = (
    (40, 30, 0.95, 1e9),
    (40, 30, 0.95, 10.0),
    (10, 100, 0.95, 20.0),
    (200, 10, 0.98, 20.0),
    (500, 20, 0.99, 20.0),
    (1000, 50, 0.97, 20.0),
)
"""People, drawings each, true accuracy, and how alike people are (1e9: all the same)."""


def covered(people: int, each: int, accuracy: float, alike: float, seeds: int) -> str:
    """One line of the table: over so many crowds, how often the interval held the truth, and what it looked like."""
    held, plain, halves, sizes = 0, [], [], []
    for seed in range(seeds):
        sent = crowd.write(seed, people, each, accuracy, alike=alike)
        found = stored_accuracy._live(crowd.tally(sent))
        held += found.low <= accuracy <= found.high
        plain.append(float(sent.right.mean()))
        halves.append((found.high - found.low) / 2)
        sizes.append(found.n)
    hands = "the same" if alike > 1e6 else f"beta, {alike:g}"
    return (
        f"{people:>5} people × {each:>3}, {hands:<9} true {accuracy:.0%}: held {held / seeds:6.1%}, "
        f"±{100 * np.mean(halves):.1f} points, n={np.mean(sizes):,.0f}; plain share {np.mean(plain):.1%}"
    )


def cost(home: Home, uploads: int) -> None:
    """Print what scoring one upload and summing all of them takes."""
    schema.migrate(home.store)
    champion = retrain.create_base(home)
    if registry.champion(home, "cnn") is None:
        raise SystemExit("the base is no champion; see `loop verdict 1`")
    now = utc_now()
    sent = crowd.write(0, uploads // 100, 1_100, 0.95)
    sent = crowd.Sent(sent.people[:uploads], sent.right[:uploads], sent.rates[:uploads])
    with home.store.write() as tx:
        crowd.send(tx, sent, now, version=champion.number)
        ids = tx.scalars(select(tables.Correction.id)).all()
        tx.execute(insert(tables.Arrival), [{"correction_id": id_} for id_ in ids])
    failed, begin, processor, scored = FailedVersions(), time.perf_counter(), time.process_time(), 0
    score_waiting(home, now, 1, failed)
    while scored < 5_000:
        scored += score_waiting(home, now, BATCH_UPLOADS, failed)
    each = (time.perf_counter() - begin) / scored
    used = (time.process_time() - processor) / scored
    print(f"  scoring, {BATCH_UPLOADS} at a time: {each * 1e6:.0f} µs each, {used * 1e6:.0f} µs of processor time")
    with home.store.write() as tx:
        spoken = {"version": champion.number, "said": 3, "scored_at": now}
        tx.execute(tables.Base.metadata.tables["arrivals"].update(), spoken)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        with home.store.read() as tx:
            found = stored_accuracy.live(tx, 0.0)
        times.append(time.perf_counter() - begin)
    print(f"  live accuracy of {len(sent.right):,} uploads, told and said: {min(times):.2f} s ({len(found)} lines)")


def main() -> None:
    """Print the table, then the costs on each database."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--uploads", type=int, default=100_000)
    parser.add_argument("--postgres", metavar="URL")
    asked = parser.parse_args()
    for shape in CROWDS:
        print(covered(*shape, asked.seeds))
    with tempfile.TemporaryDirectory() as folder:
        for name, url in (("SQLite", None), ("PostgreSQL", asked.postgres)):
            if name == "PostgreSQL" and url is None:
                continue
            home = homes.at(load(home=Path(folder) / name, database_url=url, actor="benchmark"), migrated=False)
            if url is not None:
                with home.store.engine.begin() as connection:
                    connection.execute(text("DROP SCHEMA public CASCADE"))
                    connection.execute(text("CREATE SCHEMA public"))
            print(name)
            cost(home, asked.uploads)
            home.store.close()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
