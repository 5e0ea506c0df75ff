"""Drawing the jury from a million uploads: memory, alone at worst and after the choice of a lesson."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from loop.data.corpus import Corpus
from loop.home.settings import Settings
from loop.night import choosing, jury
from loop.store import Store, schema, tables
from loop.store.values import Role
from tests.campaigns.test_million import NOW, SOURCES, UPLOADS, fill
from tests.helpers.paths import ROOT

MOST_MIB, MOST_BESIDE_MIB = 150, 50


def peak() -> int:
    """The largest resident memory that this process has had, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10


def tiny() -> Corpus:
    """One test image."""
    images, labels = np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8)
    return Corpus("tiny", images, labels, images, labels, "0" * 64)


def main(url: str) -> None:
    """Print the peak memory before, after the lesson's choice (``five.db``), and after the draw, in MiB, as JSON."""
    store, empty, settings = Store(url), Store("sqlite://"), Settings()
    schema.migrate(empty)
    for night in (empty, store):  # what a night imports and compiles is not what drawing costs
        before = peak()
        if "five" in url:
            choosing.choose(night, settings, NOW)
        chosen = peak()
        begun = time.perf_counter()
        drawn = jury.draw(night, tiny(), settings.jury, settings.confirm_rate, NOW)
        seconds = time.perf_counter() - begun
    figures = {"before": before, "lesson": chosen, "after": peak(), "seconds": round(seconds, 1)}
    print(json.dumps(figures | {"hands": drawn.hands, "items": drawn.items}))  # noqa: T201 (the parent reads it)
    store.close()


def measured(path: Path) -> dict[str, float]:
    """The figures of ``main`` in a process of its own."""
    command = [sys.executable, "-c", f"from tests.campaigns.test_million_jury import main; main('sqlite:///{path}')"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    print(figures)  # noqa: T201 (the figures of docs/results.md; pytest -s shows them)
    return figures


@pytest.mark.campaign
def test_drawing_from_a_million_uploads(tmp_path: Path) -> None:
    """It adds at most 150 MiB to a process if every source judges, and, if a fifth does, 50 to a lesson's choice."""
    path = tmp_path / "all.db"
    store = Store(f"sqlite:///{path}")
    schema.migrate(store)
    fill(store, UPLOADS, SOURCES)
    source = tables.Base.metadata.tables["sources"]
    with store.write() as tx:
        tx.execute(update(source).values(role=Role.HOLDOUT))
    alone = measured(path)
    with store.write() as tx:
        tx.execute(update(source).where(source.c.id % 5 > 0).values(role=Role.TRAIN))
    store.close()
    beside = measured(path.rename(tmp_path / "five.db"))
    assert alone["items"] == beside["items"] == Settings().jury.items
    assert alone["hands"] > beside["hands"] > 1_000
    assert alone["after"] - alone["before"] <= MOST_MIB
    assert beside["after"] - beside["lesson"] <= MOST_BESIDE_MIB
