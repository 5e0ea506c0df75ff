"""Processes forked from one that has imported what they need: real processes without a second of imports each."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

PRELOAD = ["tests.crashes.process", "tests.crashes.warm", "tests.helpers.night_child"]
"""One list for the whole session, because the first started process decides."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended: its exit status (a negative number is a signal) and its output."""

    returncode: int
    output: str


def context() -> ForkServerContext:
    """A ``multiprocessing`` context that forks from the warm process."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(PRELOAD)
    return forkserver


def begin(task: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Start a task."""
    process = context().Process(target=task, args=arguments)
    process.start()
    return process


def run(output: Path, task: Callable[..., None], *arguments: object, seconds: float = 120) -> Ended:
    """Run a task to its end; it writes to the file ``output``."""
    process = begin(_task, output, task, *arguments)
    process.join(seconds)
    assert process.exitcode is not None, f"still running after {seconds} s: {task} {arguments}\n{output.read_text()}"
    return Ended(process.exitcode, output.read_text())


def _task(output: Path, task: Callable[..., None], *arguments: object) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    task(*arguments)
