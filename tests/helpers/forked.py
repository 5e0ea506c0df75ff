"""Processes forked from one that has imported what they need: each has an id and an end, none a second of imports."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

PRELOAD = ["tests.crashes.process", "tests.crashes.warm", "tests.helpers.night_child"]
"""One list for the whole session: the first process that is started decides."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended: its exit status, minus the signal where one killed it, and all that it wrote."""

    returncode: int
    output: str


def context() -> ForkServerContext:
    """``multiprocessing`` whose processes are forked from the warm one."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOAD)
    return found


def begin(task: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """The task under way."""
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
