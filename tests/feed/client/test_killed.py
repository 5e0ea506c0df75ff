"""A device that is killed at any file operation runs a complete model, trusts no less, and continues."""

import os
import signal
import sys
from pathlib import Path

import pytest

from loop.feed import client
from loop.feed.client import state as states
from loop.feed.layout import FEED_FILE
from tests.feed.client.conftest import Phone
from tests.feed.simulator import CHANNEL, Publisher

pytestmark = pytest.mark.slow

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate", "os.chmod", "fcntl.flock"}
MAX_FILE_OPERATIONS = 120


def die_at(point: int, folder: Path) -> None:
    """Kill this process before its ``point``-th file operation: nothing is flushed, no ``finally`` runs."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS and (str(folder) in str(arguments[0]) or event == "fcntl.flock"):
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def killed_sync(phone: Phone, point: int) -> bool:
    """Sync in a child process that dies at the point; False if the sync ended before it."""
    child = os.fork()
    if child == 0:
        die_at(point, phone.folder)
        client.sync(phone.publisher.shelf, phone.folder, CHANNEL, phone.publisher.now, root=phone.publisher.app_root)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def trusted(phone: Phone) -> tuple[int, int, int]:
    """Root, epoch and sequence, which must never fall."""
    state = states.load(phone.folder)
    assert state is not None
    return state.trusted.root.version, state.trusted.root.epoch, state.trusted.sequence


def prepare(folder: Path) -> Phone:
    """A device on version 2 (previous: 1); its publisher has rotated, withdrawn version 2 and published 3."""
    publisher = Publisher()
    phone = Phone(folder, publisher)
    publisher.publish(1)
    phone.sync()
    publisher.publish(2)
    phone.sync()
    publisher.rotate()
    withdrawn = states.load(folder).current.digest
    publisher.publish(3, withdrawn=(withdrawn,))
    return phone


@pytest.mark.parametrize("remainder", range(6))
def test_killed_at_every_file_operation(tmp_path: Path, remainder: int) -> None:
    """After a kill at any point a published model runs, trust has not fallen, and one sync reaches the usual end.

    Each of six tests covers every sixth point, from the first lock to the last removed file.
    """
    kills = 0
    for point in range(1 + remainder, MAX_FILE_OPERATIONS, 6):
        phone = prepare(tmp_path / str(point))
        before = trusted(phone)
        if not killed_sync(phone, point):
            break
        kills += 1
        assert trusted(phone) >= before
        assert phone.version() in {1, 2, 3}
        done = phone.sync()
        assert (done.current.version, done.root, done.sequence) == (3, 2, 3)
        names = set(phone.bytes())
        assert len(names) == 6, names  # the lock, the state, two models, two files of golden vectors
    else:
        pytest.fail(f"a sync has more than {MAX_FILE_OPERATIONS} file operations; raise MAX_FILE_OPERATIONS")
    assert kills >= 3


def test_killed_while_beginning(tmp_path: Path) -> None:
    """After a kill at any file operation of its first sync, a new device recovers without help."""
    for point in range(1, MAX_FILE_OPERATIONS, 3):
        publisher = Publisher()
        publisher.publish(1)
        phone = Phone(tmp_path / str(point), publisher)
        if not killed_sync(phone, point):
            break
        assert phone.version() in {None, 1}
        assert phone.sync().current.version == 1
    assert point > 10


def test_killed_half_way_through_a_download(tmp_path: Path) -> None:
    """The received half is kept, and only the rest is requested."""
    phone = prepare(tmp_path / "phone")
    whole = phone.publisher.shelf
    child = os.fork()
    if child == 0:
        phone.publisher.shelf = _Deadly(whole.files)
        phone.sync()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert phone.sync().current.version == 3
    assert [offset for path, offset in whole.opened if path.startswith("models/")][-1] > 0


class _Deadly(type(Publisher().shelf)):  # type: ignore[misc]  # the shelf's own class
    """A shelf that ends the process in the middle of a model."""

    def open(self, path: str, offset: int = 0):
        """Return the first 16 pieces of a model, then end this process."""
        opened = super().open(path, offset)
        return opened if not path.startswith("models/") else _Dying(opened)


class _Dying:
    def __init__(self, opened) -> None:
        self.opened = opened

    def __enter__(self):
        start, pieces = self.opened.__enter__()
        return start, self.some(pieces)

    def __exit__(self, *error: object) -> None:
        self.opened.__exit__(*error)

    @staticmethod
    def some(pieces):
        yield from [next(pieces) for _ in range(4)]
        os.kill(os.getpid(), signal.SIGKILL)


def test_not_killed(tmp_path: Path) -> None:
    """Control: the same child process finishes if it is not killed."""
    phone = prepare(tmp_path / "phone")
    assert not killed_sync(phone, 10_000)
    assert phone.version() == 3
    assert FEED_FILE in phone.publisher.shelf.files
