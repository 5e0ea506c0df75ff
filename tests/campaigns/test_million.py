"""Choosing a lesson from a million uploads: memory, and the shares at that size."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert

from loop.home.settings import Settings
from loop.night import choosing
from loop.schedule.night_process import resident
from loop.store import Store, schema, tables
from loop.store.values import Kind, Role, Status
from tests.helpers.paths import ROOT

NOW = datetime(2026, 11, 28, tzinfo=UTC)
UPLOADS, SOURCES, PART = 1_000_000, 20_000, 20_000
MOST_MIB = 150


def fill(store: Store, uploads: int, sources: int) -> None:
    """Uploads of random ink by sources of which half are young; a twentieth of the uploads are one source's."""
    chance = np.random.default_rng(0)
    source, upload = tables.Base.metadata.tables["sources"], tables.Base.metadata.tables["corrections"]
    with store.write() as tx:
        rows = [
            {
                "name": f"source-{number}",
                "role": Role.TRAIN,
                "seen_at": NOW - timedelta(days=number % 14),
                "days_seen": 1 + number % 14,
            }
            for number in range(sources)
        ]
        tx.execute(insert(source), rows)
    for start in range(0, uploads, PART):
        count = min(PART, uploads - start)
        pixels = chance.integers(0, 256, (count, 784), dtype=np.uint8)
        digests = chance.bytes(32 * count).hex()
        owners = np.where(chance.random(count) < 0.05, 1, chance.integers(1, sources + 1, count))
        rows = [
            {
                "source_id": int(owners[i]),
                "key": str(start + i),
                "body_digest": digests[64 * i : 64 * i + 64],
                "digest": digests[64 * i : 64 * i + 64],
                "pixels": pixels[i].tobytes(),
                "normalised": False,
                "label": int(i % 10),
                "kind": Kind.CORRECTION if i % 3 else Kind.CONFIRMATION,
                "status": Status.ACCEPTED,
                "predicted": int((i + 1) % 10) if i % 3 else int(i % 10),
                "rate": 1.0 if i % 3 else 0.05,
                "received_at": NOW - timedelta(minutes=int(uploads - start - i)),
            }
            for i in range(count)
        ]
        with store.write() as tx:
            tx.execute(insert(upload), rows)


def main(url: str) -> None:
    """Print the peak memory before and after a choice, in MiB, the seconds and the lesson's makeup, as JSON."""
    store = Store(url)
    empty = Store("sqlite://")
    schema.migrate(empty)
    choosing.choose(empty, Settings(), NOW)  # what a night imports and compiles is not what choosing costs
    before, begun = resident(os.getpid()), time.perf_counter()
    chosen = choosing.choose(store, Settings(), NOW)
    seconds = time.perf_counter() - begun
    after = resident(os.getpid())
    assert before is not None
    assert after is not None
    taken = chosen.makeup
    figures = {"before": before >> 20, "after": after >> 20, "seconds": round(seconds, 1)}
    print(json.dumps(figures | {"taught": taken.taught, "young": taken.young, "teaching": taken.teaching}))  # noqa: T201 (the parent reads it)
    store.close()


@pytest.mark.campaign
@pytest.mark.parametrize("uploads", [UPLOADS])
def test_choosing_from_a_million_uploads(tmp_path: Path, uploads: int) -> None:
    """It adds at most 150 MiB to a process, and a tenth of the lesson is by young sources."""
    url = f"sqlite:///{tmp_path / 'loop.db'}"
    store = Store(url)
    schema.migrate(store)
    fill(store, uploads, SOURCES)
    store.close()
    command = [sys.executable, "-c", f"from tests.campaigns.test_million import main; main({url!r})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)  # noqa: T201 (the figures of docs/results.md; pytest -s shows them)
    assert found["after"] - found["before"] <= MOST_MIB
    assert found["taught"] == 5_000
    assert found["young"] <= 500
