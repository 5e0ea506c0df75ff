"""``loop serve`` as a process: it prints its address, and its first key once, stops cleanly, and stays small."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import opened

pytestmark = pytest.mark.slow

EVERYWHERE = "0.0.0.0"  # noqa: S104 (what is tested is that this is refused)


@contextmanager
def process(folder: Path, *options: str, **environ: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running ``loop serve`` and its address."""
    made = subprocess.Popen(
        [sys.executable, "-m", "loop", "serve", "--port", "0", *options],
        env=os.environ | {"LOOP_HOME": str(folder / "home")} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert made.stdout is not None
    try:
        found = re.fullmatch(r"listening on (\S+)\n", made.stdout.readline())
        yield (found[1] if found else ""), made
    finally:
        made.kill()
        made.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a migrated home."""
    opened(f"sqlite:///{tmp_path / 'home' / 'loop.db'}", tmp_path).store.close()
    return tmp_path


def test_first_start_shows_a_key_that_works_and_the_second_none(home: Path) -> None:
    """The store keeps only the hash of the key; a lost key is replaced by a new one."""
    with process(home) as (url, server):
        assert httpx.get(f"{url}/healthz", timeout=20).text == "ok\n"
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=20)
        assert server.returncode == 0
    key = re.search(r"loop_ops_[A-Za-z0-9_-]{43}", said)
    assert key
    with process(home) as (url, server):
        answer = httpx.get(f"{url}/v1/versions", headers={"Authorization": f"Bearer {key[0]}"}, timeout=20)
        assert answer.json() == []
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
        assert "loop_ops_" not in said
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(key[0].encode() in data for data in files)


def test_a_public_address_needs_keys(home: Path) -> None:
    """It refuses before it listens, and names the command that helps."""
    with process(home, "--host", EVERYWHERE) as (url, server):
        _, said = server.communicate(timeout=20)
        assert (url, server.returncode) == ("", 1)
    assert "`loop keys create`" in said
    made = subprocess.run(
        [sys.executable, "-m", "loop", "keys", "create", "the app"],
        env=os.environ | {"LOOP_HOME": str(home / "home")},
        capture_output=True,
        check=True,
    )
    assert b"loop_app_" in made.stdout
    with process(home, "--host", EVERYWHERE) as (url, _):
        assert url.startswith("http://0.0.0.0:")


def test_an_address_that_is_taken(home: Path) -> None:
    """The error is one line, not a traceback."""
    with process(home) as (url, _):
        port = url.rpartition(":")[2]
        with process(home, "--port", port) as (_, second):
            _, said = second.communicate(timeout=20)
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in said.replace("\n", " ")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc: Linux only")
def test_it_never_loads_tensorflow_and_stays_small(home: Path) -> None:
    """150 MiB at most after the first answers, and no heavy library is mapped into the process."""
    with process(home) as (url, server):
        httpx.get(f"{url}/readyz", timeout=20)
        httpx.get(f"{url}/openapi.json", timeout=20)
        status = Path(f"/proc/{server.pid}/status").read_text()
        mapped = Path(f"/proc/{server.pid}/maps").read_text()
    resident = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]  # Linux always says it
    assert resident <= 150 * 1024
    assert not re.search(r"site-packages/(tensorflow|sklearn|coremltools|matplotlib|scipy)", mapped)
