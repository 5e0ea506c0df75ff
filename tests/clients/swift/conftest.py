"""The package's ``phone``, built once a session, and the helper that runs its models."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.swift.phone import Program
from tests.clients.swift.site import Device, Site
from tests.clients.swift.toolchain import SWIFT, toolchain
from tests.helpers.paths import ROOT


@pytest.fixture(scope="session")
def swift() -> None:
    """A Swift toolchain, or a skip."""
    found = toolchain("--where")
    if found.returncode:
        pytest.skip(found.stdout.strip())


@pytest.fixture(scope="session")
def command(swift: None) -> list[str]:  # noqa: ARG001 (a skip without Swift)
    """The command of ``phone``, built now."""
    built = toolchain("clients/swift/check.sh", "phone")
    assert built.returncode == 0, built.stdout[-6000:]
    return [str(SWIFT / "toolchain.sh"), "--run", built.stdout.splitlines()[-1]]


@pytest.fixture(scope="session")
def helper() -> Iterator[str]:
    """The address of ``model_helper``."""
    call = [sys.executable, "-m", "tests.clients.swift.model_helper"]
    with subprocess.Popen(call, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}/"
        child.stdin.close()


@pytest.fixture(scope="module")
def program(command: list[str]) -> Iterator[Program]:
    """A running phone, without a device yet."""
    with Program(command) as found:
        yield found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A web server for the files of a publisher."""
    with Site() as found:
        yield found


@pytest.fixture
def device(program: Program, site: Site, helper: str, tmp_path: Path) -> Device:
    """A device that runs version 1 and has seen two feeds, as ``phone`` of tests/feed/client."""
    made = Device(program, site, helper, tmp_path / "phone")
    made.publisher.before = made.publisher.publish(2, rollout_percent=0)
    made.publisher.publish(1)
    assert made.sync()["current"] == 1
    return made
