"""A night in a child process (``tests.helpers.forked``) that kills itself at a given point.

Points: ``before:STEP`` and ``after:STEP`` for the steps of the night, ``term:STEP`` for SIGTERM instead, ``put:N``
after the N-th artifact, ``commit`` inside the last transaction, ``end`` for not at all.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loop import cli
from loop import home as homes
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.night import retrain
from loop.night.lease import HeldRun
from loop.store.nights import runs
from tests.helpers import linear
from tests.night.test_retrain import settings


def die() -> None:
    """End the process without handlers, ``finally`` or flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Make the process die at the point."""
    kind, _, where = point.partition(":")
    step, put, finish = HeldRun.step, Artifacts.put, runs.finish
    written = 0

    @contextmanager
    def deadly_step(self: HeldRun, name: str) -> Iterator[None]:
        if point == f"before:{name}":
            die()
        if point == f"term:{name}":
            os.kill(os.getpid(), signal.SIGTERM)
        with step(self, name):
            yield
        if point == f"after:{name}":
            die()

    def deadly_put(self: Artifacts, data: bytes, suffix: str) -> str:
        nonlocal written
        digest = put(self, data, suffix)
        written += 1
        if kind == "put" and written == int(where):
            die()
        return digest

    def deadly_finish(*args: object) -> None:
        finish(*args)
        if kind == "commit":
            die()

    HeldRun.step, Artifacts.put, runs.finish = deadly_step, deadly_put, deadly_finish


def main(url: str, folder: str, corpus: str, point: str) -> None:
    """Run one night."""
    linear.install(Path(corpus))
    made: Settings = settings(url, Path(folder))
    arm(point)
    signal.signal(signal.SIGTERM, cli._stop)
    print(retrain.run(homes.at(made), force=True).status)
