"""Nights in child processes, forked from one that has imported everything: a case takes one second, not five."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import models
from loop import home as homes
from loop.clock import utc_now
from loop.feed import authority, upkeep
from loop.home import Home
from loop.night import retrain
from loop.schedule import slots
from loop.store import schema
from loop.store.feedback import senders, split
from loop.store.service import hooks, messages
from loop.store.values import Attribution
from models.cnn import Cnn
from models.cnn.recipe import NIGHT
from models.cnn.train import REPORT_EVERY
from models.family import Family, Images, Labels, Lesson, Progress, Weights
from tests.crashes import acts, controls, points
from tests.helpers import forked, linear
from tests.helpers.loop_child import QUIET
from tests.night.test_retrain import settings, write

WHY = Attribution("ops", "a crash test")
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A night: its home and slot, the offset of its clock, the crash point and act, and the removed protection."""

    url: str
    folder: Path
    corpus: Path
    slot: str = ""
    ahead: timedelta = timedelta()
    point: str = ""
    act: str = ""
    control: str = ""
    hand: int = 0
    """The horizontal shift of digits that are uploaded before the night; 0: none are uploaded."""
    family: str = "fast"
    log: str = "night"

    def now(self) -> datetime:
        """The night's clock."""
        return utc_now() + self.ahead

    @property
    def output(self) -> Path:
        """The file with the output of the process."""
        return self.folder / f"{self.log}.log"

    @property
    def reached(self) -> Path:
        """A file that exists once the point was reached."""
        return self.folder / f"{self.log}.reached"


class Epochs(linear.Linear):
    """The fast family with reports of epochs, like the slow one; it uses only a quarter of the pixels."""

    def _fit(self, images: Images, labels: Labels, weights: NDArray[np.float64], progress: Progress) -> linear.Line:
        blurred = images.reshape(-1, 14, 2, 14, 2).mean((2, 4))
        arrays = super()._fit(blurred, labels, weights, progress).arrays
        kernel = arrays["digits/kernel"].reshape(14, 14, 10).repeat(2, 0).repeat(2, 1).reshape(784, 10) / 4
        return linear.Line(arrays | {"digits/kernel": kernel})

    def fine_tune(self, base: Weights, lesson: Lesson, seed: int, progress: Progress) -> linear.Line:
        """Three epochs that change nothing, then the solution."""
        for done in range(1, 4):
            progress("epoch", done, 3)
        return super().fine_tune(base, lesson, seed, progress)


def opened(plan: Plan, *, founded: bool = True) -> Home:
    """The plan's home, in which nights run only by request."""
    return homes.at(settings(plan.url, plan.folder).model_copy(update={"schedule": QUIET}), migrated=founded)


FAMILIES: dict[str, Callable[[str], Family]] = {
    "fast": Epochs,
    "cnn": lambda name: Cnn(night_recipe=replace(NIGHT, steps=3 * REPORT_EVERY)),
}


def work(plan: Plan) -> None:
    """Run a night, which is stopped if the plan has a point."""
    home = _begun(plan)
    _send(home, plan)
    if plan.point:
        points.POINTS[plan.point].arm(acts.once(plan.act, plan.reached))
    retrain.run(home, slot=plan.slot, clock=plan.now)


def follow(plan: Plan) -> None:
    """Run the next night of a scheduler: the free slot, else a new one with new uploads."""
    home = _begun(plan)
    slot = slots.ready(home, plan.now())
    if slot is None:
        _send(home, plan)
        slot = slots.ask(home, "cnn", "ops", plan.now())
    done = retrain.run(home, slot=slot.name, clock=plan.now)
    sys.stdout.write(f"{slot.name}: {done.status}\n")
    sys.stdout.flush()


def found(plan: Plan) -> None:
    """Create a home with a base, uploads, a webhook, keys, a published feed, and a root that no phone has seen."""
    home = _begun(plan, founded=False)
    schema.migrate(home.store)
    with home.store.write() as tx:
        split.set_salt(tx, "salt")
    retrain.create_base(home, weights=models.get("cnn").shipped())
    write(home)
    _vouch(home, plan)
    with home.store.write() as tx:
        hooks.add(tx, "https://example.org/hook", "secret", list(messages.Kind), "ops", plan.now())
    authority.create(home, 2, 1, 365, None, WHY, plan.now())
    assert upkeep.follow(home, WHY, plan.now()).feed is not None
    keys = [authority.folder(home)]
    authority.rotate(home, authority.RotationOptions(), keys, lambda _: None, None, WHY, plan.now())


def _send(home: Home, plan: Plan) -> None:
    if plan.hand:
        write(home, hand=lambda images: np.rot90(images, plan.hand - 3, axes=(1, 2)))  # moved, it would be a near copy
        _vouch(home, plan)


def _vouch(home: Home, plan: Plan) -> None:
    """Nobody is screened, and no share limits anybody: a night teaches every upload."""
    with home.store.write() as tx:
        senders.vouch(tx, [f"person-{who}" for who in range(8)], plan.now())


def _begun(plan: Plan, *, founded: bool = True) -> Home:
    output = os.open(plan.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    linear.install(plan.corpus)
    models.get = lambda name: FAMILIES[plan.family](name)
    controls.CONTROLS[plan.control]()
    return opened(plan, founded=founded)


AHEAD = timedelta(minutes=5)
"""The offset of a successor's clock, beyond any lease, so that no test waits for a lease to expire."""
LOCK_WAIT_SECONDS = 1.0
"""The time after which a successor is assumed to wait for a lock."""


def overtaken(plan: Plan, *, waits: bool = False) -> str:
    """Stall a night past its lease, let another do its work, then continue the first; returns the first one's output.

    ``waits``: the first one holds a lock, so the other cannot end before the first continues.
    """
    late = begin(work, plan)
    assert stopped(late), f"{plan.point} was never reached: {plan.output.read_text()}"
    successor = replace(plan, point="", control="", ahead=AHEAD, hand=5, log="successor")
    other = begin(follow, successor)
    if waits:
        other.join(LOCK_WAIT_SECONDS)
    else:
        assert ended(other, successor) == 0, successor.output.read_text()
    os.kill(late.pid, signal.SIGCONT)
    assert ended(other, successor) == 0, successor.output.read_text()
    ended(late, plan)
    return plan.output.read_text()


def begin(task: Callable[[Plan], None], plan: Plan) -> ForkServerProcess:
    """Start a task."""
    return forked.begin(task, plan)


def ended(process: ForkServerProcess, plan: Plan, seconds: float = TIMEOUT_SECONDS) -> int:
    """Wait for the exit status; a negative number is a signal."""
    process.join(seconds)
    assert process.exitcode is not None, f"still running: {plan}\n{plan.output.read_text()}"
    return process.exitcode


def stopped(process: ForkServerProcess, seconds: float = TIMEOUT_SECONDS) -> bool:
    """Wait until the process is stopped by SIGSTOP; False if it ended instead."""
    stat, end = Path(f"/proc/{process.pid}/stat"), time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < end:
        if stat.read_text().rpartition(") ")[2].startswith("T"):
            return True
        time.sleep(0.01)
    return False
