"""A night killed with SIGKILL at any step: nothing half-published, and the next night works at once."""

import hashlib
import signal
from pathlib import Path

import pytest

from loop.home import Home
from loop.night import retrain
from loop.store.nights import runs, versions
from loop.store.values import RunStatus
from tests.helpers import forked, night_child
from tests.night.test_retrain import champion, home, write

pytestmark = pytest.mark.slow

__all__ = ["home"]  # the fixture

STEPS = ("snapshot", "screen", "freeze", "teach", "export", "evaluate", "probe", "judge", "publish")
BEFORE_RESERVING = {"before:snapshot", "before:screen", "before:freeze"}
POINTS = [f"before:{step}" for step in STEPS] + ["put:1", "put:2", "put:3", "put:4", "commit", "after:publish"]


def child(home: Home, corpus: Path, point: str) -> forked.Ended:
    """One night in another process."""
    folder = home.settings.home.parent
    return forked.run(folder / "child.log", night_child.main, home.settings.url, str(folder), str(corpus), point)


def consistent(home: Home) -> None:
    """The champion exists, every version's files have their digests, and no number is used twice."""
    with home.store.read() as tx:
        every = versions.every(tx)
        assert versions.holder(tx, "cnn") in {version.number for version in every}
    for version in every:
        assert (
            hashlib.sha256(home.artifacts.get(version.artifact_digest, ".mlmodel")).hexdigest()
            == version.artifact_digest
        )
        for digest in (version.weights_digest, version.report_digest):
            home.artifacts.get(digest, ".npz")
        home.artifacts.get(version.golden_digest, ".json")


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere(home: Home, small_corpus: Path, point: str) -> None:
    """After SIGKILL at this point the store is consistent, and the next night starts at once without help."""
    write(home)
    killed = child(home, small_corpus, point)
    assert killed.returncode == -signal.SIGKILL, killed.output
    consistent(home)
    published = point == "after:publish"
    assert champion(home) == (2 if published else 1)
    done = retrain.run(home)
    assert done.status is (RunStatus.SKIPPED if published else RunStatus.FINISHED)
    consistent(home)
    unreserved = point in BEFORE_RESERVING  # else the killed run had reserved 2, and a number is never reused
    assert champion(home) == (2 if published or unreserved else 3)
    with home.store.read() as tx:
        assert all(run.status is not RunStatus.RUNNING for run in runs.recent(tx))


def test_not_killed(home: Home, small_corpus: Path) -> None:
    """The control: the same child, left alone, finishes."""
    write(home)
    done = child(home, small_corpus, "end")
    assert done.output.strip().endswith("finished"), done.output
