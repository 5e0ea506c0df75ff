"""Remove one protection of a night, to prove that the crash tests detect its absence."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from loop import durable
from loop.home import artifacts
from loop.home.artifacts import Artifacts
from loop.store.nights import runs, slots


def unfenced() -> None:
    """Do not check whether the run is still the running one."""
    runs.hold = lambda tx, run_id: None


def unclaimed() -> None:
    """Do not check whether the slot is free."""
    slots.take = lambda tx, name, run_id, attempts: slots.count(tx, name, run_id)


def in_place(victim: Callable[[Path], bool]) -> None:
    """Write files under their final names, trust existing files, and kill the process in the middle of one."""

    def write(path: Path, data: bytes, mode: int = 0o644) -> None:  # noqa: ARG001 (the signature that it replaces)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            if victim(path):
                os.kill(os.getpid(), signal.SIGKILL)
            file.write(data[len(data) // 2 :])

    def put(self: Artifacts, data: bytes, suffix: str) -> str:
        name = artifacts.digest(data)
        if not self.path(name, suffix).exists():
            write(self.path(name, suffix), data)
        return name

    durable.write_whole, Artifacts.put = write, put


CONTROLS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "unfenced": unfenced,
    "unclaimed": unclaimed,
    "torn weights": lambda: in_place(lambda path: path.suffix == ".npz"),
    "torn feed": lambda: in_place(lambda path: path.name == "feed.json"),
    "trusting": lambda: in_place(lambda path: False),
}
