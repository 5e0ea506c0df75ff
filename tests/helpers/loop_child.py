"""``loop …`` in a child process, with the fast family, and with nights that fail at a given point.

``python -m tests.helpers.loop_child CORPUS POINT ARGUMENTS…``; settings come from the environment (``environ``).
Points are ``ACT:STEP`` for the steps of a night, ``unimportable`` for a night that fails at import, ``end`` for none,
and ``warm`` for none with forked nights (``tests.helpers.warm``). The act happens to the first night that finds the
file ``armed`` in LOOP_HOME; it removes the file.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loop.home import Home
from loop.home.sections import Schedule
from loop.home.settings import Settings
from tests.helpers.paths import ROOT

QUIET = Schedule(cron="0 3 29 2 *", volume=0)
"""A schedule in which nights run only by request."""


def environ(settings: Settings) -> dict[str, str]:
    """The environment of a child with these settings."""
    given = settings.model_dump(exclude_unset=True) | {"home": settings.home.absolute(), "database_url": settings.url}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOP_")}
    return kept | {"LOOP_CONFIG": "", "LOOP_ACTOR": "child"} | dict(_lines("LOOP_", given))


def _lines(prefix: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, Mapping):
            yield from _lines(f"{prefix}{name.upper()}__", value)
        elif value is not None:
            yield f"{prefix}{name.upper()}", str(value)


def command(corpus: Path, point: str, *arguments: str) -> list[str]:
    """A child's command line."""
    return [sys.executable, "-m", "tests.helpers.loop_child", str(corpus), point, *arguments]


def scheduled(home: Home, lease_seconds: float = 60.0, **changes: Any) -> Home:
    """The same home with the quiet schedule, changed by ``changes``."""
    changed = {"schedule": dataclasses.replace(QUIET, **changes), "lease_seconds": lease_seconds}
    return dataclasses.replace(home, settings=home.settings.model_copy(update=changed))


def begin(settings: Settings, corpus: Path, point: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a child."""
    (settings.home / "armed").touch()
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | options
    return subprocess.Popen(command(corpus, point, *arguments), cwd=ROOT, env=environ(settings), **options)


def sleep() -> None:
    """Act like a slow training."""
    for _ in range(1200):
        time.sleep(0.05)


def grow() -> None:
    """Act like a training with growing memory."""
    held = []
    for _ in range(60):
        held.append(b"1" * (32 << 20))
        time.sleep(0.2)


def deaf() -> None:
    """Act like native code that never returns to Python."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()


def wait() -> None:
    """Act like a training that ends once the file ``go`` exists in LOOP_HOME."""
    while not Path(os.environ["LOOP_HOME"], "go").exists():
        time.sleep(0.05)


def grip(home: Home) -> None:
    """Stop in the middle of a write, so that on SQLite no other process can write."""
    with home.store.exclusive():
        os.kill(os.getpid(), signal.SIGSTOP)


ACTS: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "sleep": sleep,
    "grow": grow,
    "wait": wait,
    "deaf": deaf,
}


def armed() -> bool:
    """Whether this night is the one that fails."""
    try:
        Path(os.environ["LOOP_HOME"], "armed").unlink()
    except FileNotFoundError:
        return False
    return True


def arm(point: str) -> None:
    """Make the night fail at the point."""
    from loop.night.lease import HeldRun

    act, _, where = point.partition(":")
    step = HeldRun.step

    @contextmanager
    def failing_step(self: HeldRun, name: str) -> Iterator[None]:
        with step(self, name):
            if name == where and armed():
                grip(self.home) if act == "grip" else ACTS[act]()
            yield

    HeldRun.step = failing_step


def main(corpus: str, point: str, *arguments: str) -> None:
    """Run the command line with the point armed."""
    if point == "unimportable" and arguments[0] == "retrain" and armed():
        raise ImportError("libtensorflow.so: cannot open shared object file")
    from loop import cli
    from loop.schedule import night_process, scheduler
    from tests.helpers import linear

    if point == "warm":
        from tests.helpers import warm

        warm.install()
        point = "end"
    linear.install(Path(corpus))
    arm(point)
    night_process.COMMAND = tuple(command(Path(corpus), point, "retrain", "--slot"))
    scheduler.Scheduler.__init__.__kwdefaults__["command"] = night_process.COMMAND
    sys.argv = ["loop", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
