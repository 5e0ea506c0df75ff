"""Three tiers of tests: *fast*, *slow*, *campaign*. A test without a marker is fast.

A fast test starts no process, connects to no database server, opens no browser and imports no TensorFlow: `make quick`
runs in a minute on any machine, without a server. A test that needs one of these is marked ``slow``, by hand or by
``is_slow``. ``forbidden`` makes sure of it: a fast test that does one of these anyway fails, and the message names it.
A test that computes for more than a quarter of a second is marked ``slow`` too, if fast tests cover its code.
"""

import ipaddress
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

import psycopg
import pytest

SLOW_FIXTURES = {
    "ct": "imports coremltools, and TensorFlow with it",
    "driver": "a browser",
    "postgres": "a database server",
    "templates": "homes that child processes made",
}
PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
"""Events of ``sys.addaudithook``: Python raises them itself, however a process is started."""
_under_way: list[str] = []
"""The fast test under way; an audit hook cannot be removed, so it looks here."""


def is_slow(fixtures: Iterable[str], parameters: Mapping[str, object]) -> bool:
    """Whether a test with these fixtures and parameters cannot be a fast one."""
    names = [value for value in parameters.values() if isinstance(value, str)]  # an array has no plain ==
    return not SLOW_FIXTURES.keys().isdisjoint(fixtures) or "postgresql" in names


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark as slow each test that its fixtures or parameters make slow."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if is_slow(getattr(item, "fixturenames", ()), parameters):
            item.add_marker("slow")


def limits(item: pytest.Item) -> AbstractContextManager[None]:
    """What the test's tier forbids it, as a block to run it in."""
    slow = any(item.get_closest_marker(tier) for tier in ("slow", "campaign"))
    return nullcontext() if slow else forbidden(item.name)


class WithoutTensorFlow:
    """The first finder on ``sys.meta_path``: ``importlib.import_module`` passes it too, and raises no audit event."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse one module, leave the others to the next finder."""
        if name == "tensorflow":
            refuse("import TensorFlow")


@contextmanager
def forbidden(test: str) -> Iterator[None]:
    """Until the end of the block, what a fast test must not do fails, in every thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg, "connect", lambda *_, **__: refuse("connect to PostgreSQL"))
        patch.setattr(BaseProcess, "start", lambda _: refuse("start a process"))  # spawning raises no audit event
        patch.setattr(sys, "meta_path", [WithoutTensorFlow(), *sys.meta_path])
        _under_way.append(test)
        try:
            yield
        finally:
            _under_way.pop()


def refuse(what: str) -> NoReturn:
    """Fail the test under way; ``pytest.fail`` raises no ``Exception``, so that no handler in ``loop`` hides it."""
    pytest.fail(f"{_under_way[-1]} is a fast test and must not {what}; mark it with @pytest.mark.slow", pytrace=True)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _under_way:
        return
    if event in PROCESSES:
        refuse("start a process")
    if event == "socket.connect" and not _is_loopback(arguments[1]):
        refuse(f"connect to {arguments[1]}")


def _is_loopback(address: object) -> bool:
    """Whether a socket's address is this machine's own; the path of a Unix socket leads to another process."""
    if not isinstance(address, tuple):
        return False
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] == "localhost"


sys.addaudithook(_audit)
