"""The lease: one run at a time, whichever process dies."""

import os
import socket
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from loop.errors import LeaseLost, RunInProgress, UnknownVersion
from loop.store import Store, values
from loop.store.nights import runs
from tests.conftest import NOW

LATER = NOW + timedelta(hours=1)


def claim(store: Store, holder: str, now=NOW) -> values.Run:
    """A night's claim with a lease of a minute."""
    with store.exclusive() as tx:
        return runs.claim(tx, "cnn", "night", holder, 60, now)


def dead_process() -> str:
    """The holder name of a process of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return f"{runs.me().rpartition(':')[0]}:{child.pid}"


def test_a_living_run_keeps_others_out(store: Store) -> None:
    """While a lease is held, a second claim is refused, and the message names the holder."""
    claim(store, runs.me())
    with pytest.raises(RunInProgress, match=f"as {runs.me()}"):
        claim(store, "elsewhere:1")


@pytest.mark.slow
def test_a_killed_run_is_taken_over_at_once(store: Store) -> None:
    """The next night does not wait for the lease of a dead process, and the old run stores the reason of its end."""
    first = claim(store, dead_process())
    claim(store, runs.me())
    with store.read() as tx:
        old = runs.get(tx, first.id)
    assert old.status is values.RunStatus.FAILED
    assert "abandoned" in str(old.reason)


def test_a_silent_run_elsewhere_is_taken_over_after_its_lease(store: Store) -> None:
    """A run of another machine counts as alive until its lease ends, and no longer."""
    claim(store, "elsewhere:1")
    with pytest.raises(RunInProgress):
        claim(store, runs.me(), NOW + timedelta(seconds=59))
    claim(store, runs.me(), NOW + timedelta(seconds=61))


def test_a_lost_lease_refuses_every_later_step(store: Store) -> None:
    """A run that was taken over can neither renew, freeze nor finish, even if its process is alive (fencing)."""
    old = claim(store, "elsewhere:1")
    claim(store, runs.me(), LATER)
    for step in (
        lambda tx: runs.renew(tx, old.id, 60, LATER),
        lambda tx: runs.freeze(tx, old.id, 1),
        lambda tx: runs.finish(tx, old.id, values.RunStatus.FINISHED, None, {}, LATER),
    ):
        with pytest.raises(LeaseLost), store.write() as tx:
            step(tx)


def test_numbers_are_never_reused(store: Store) -> None:
    """A failed run leaves a gap in the numbers if it had reserved one; no number is reserved twice."""
    numbers = []
    for reserving in (True, False, True):
        run = claim(store, runs.me())
        if reserving:
            with store.exclusive() as tx:
                numbers.append(runs.reserve(tx, run.id))
        with store.write() as tx:
            runs.finish(tx, run.id, values.RunStatus.FAILED, "disk full", {}, NOW)
    assert numbers == [1, 2]


def test_eight_claims_at_once_give_one_run(store: Store) -> None:
    """Of concurrent claims exactly one succeeds, and the others are refused."""
    won: list[values.Run] = []
    told: list[RunInProgress] = []

    def attempt() -> None:
        try:
            won.append(claim(store, runs.me()))
        except RunInProgress as refused:
            told.append(refused)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(told)) == (1, 7)


def test_unknown_run(store: Store) -> None:
    """An unknown run is a typed error."""
    with store.read() as tx, pytest.raises(UnknownVersion, match="no run 77"):
        runs.get(tx, 77)


def test_the_same_host_name_elsewhere_is_not_believed_dead(store: Store) -> None:
    """The process ids of a container or cloned machine with our host name mean nothing here, so its lease counts."""
    claim(store, f"{socket.gethostname()}:another-boot:{os.getpid() + 1}")
    with pytest.raises(RunInProgress):
        claim(store, runs.me())


def test_me_is_this_process() -> None:
    """A holder names host, namespace and process, so that a successor can check whether it is alive."""
    host, place, pid = runs.me().split(":")
    assert (host, pid) == (socket.gethostname(), str(os.getpid()))
    assert place
