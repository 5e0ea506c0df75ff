"""Attacks 11 and 12 of issue 11: what others notice of a flood at the door, and what is lost if the home is moved.

A real server process on SQLite. Others are phones with keys on keep-alive connections that upload new pictures all the
time, from 127.0.0.1; the flood is a process of its own, without a key, from 127.0.0.2 (no proxy's address). For each
flood: the others' latencies while it lasts, and the server's peak resident memory so far (Linux). Then the home is
moved while the phones go on, and moved back: uploads that were answered 201 are counted in the database.

    python benchmarks/door.py [--seconds 20] [--phones 4] [--heads 6000] [--json]

Aims: others' p99 at most 0.2 s, memory at most 400 MiB, no acknowledged upload missing. Run it on a quiet machine.
"""

import argparse
import contextlib
import json
import multiprocessing
import platform
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

import httpx  # noqa: E402

from benchmarks.uploads import serving  # noqa: E402
from tests.api.conftest import Phone, picture  # noqa: E402

AIM_SECONDS, AIM_MIB = 0.2, 400
STRANGER = "127.0.0.2"
CHUNKED = b"POST /v1/corrections HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Noticed:
    """What others noticed of one flood: latencies in seconds; ``peak_mib`` is the server's, since its start."""

    flood: str
    uploads: int
    refused: int
    median: float
    p99: float
    longest: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Moved:
    """Uploads answered 201 before, while and after the home was elsewhere, and those of them that are not stored."""

    acknowledged: int
    refused: int
    missing: int


def endless(address: Address, start: bytes, piece: bytes) -> None:
    """Send ``start``, then ``piece`` for ever; connect again when the server closes."""
    while True:
        with contextlib.suppress(OSError), _connect(address) as line:
            line.sendall(start)
            while True:
                line.sendall(piece)


def half_open(address: Address, count: int) -> None:
    """Hold as many connections as the server allows, up to ``count``, each with half a head."""
    lines: list[socket.socket] = []
    while True:
        with contextlib.suppress(OSError):
            line = _connect(address)
            lines.append(line)
            line.sendall(b"GET / HTTP/1.1\r\nX: ")
        if len(lines) >= count:
            for line in lines[: count // 2]:
                line.close()
            del lines[: count // 2]


FLOODS: dict[str, Callable[[Address, int], None]] = {
    "an endless trailer": lambda address, _: endless(address, CHUNKED + b"0\r\nT: ", b"a" * 4096),
    "many trailers": lambda address, _: endless(address, CHUNKED + b"0\r\n", b"A: b\r\n" * 600),
    "chunks of one byte": lambda address, _: endless(address, CHUNKED, b"1\r\nx\r\n" * 600),
    "half-open heads": half_open,
}


def run_flood(name: str, address: Address, heads: int) -> None:
    """One flood, in a process of its own."""
    FLOODS[name](address, heads)


def measure(count: int, seconds: float, heads: int) -> tuple[list[Noticed], Moved]:
    """Every flood in turn, after a quiet time, against one server; then the moved home."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "home"
        folder.mkdir(mode=0o700)
        with serving(None, folder, 256) as (pid, address, key):
            crowd = Crowd(f"http://{address[0]}:{address[1]}", key, count)
            crowd.upload_for(min(seconds, 2.0))  # warm up
            noticed = [_noticed("none", crowd.upload_for(seconds), pid)]
            for flood in FLOODS:
                process = multiprocessing.get_context("spawn").Process(target=run_flood, args=(flood, address, heads))
                process.start()
                time.sleep(1)  # until it floods
                noticed.append(_noticed(flood, crowd.upload_for(seconds), pid))
                process.kill()
                process.join()
            moved = _moved(crowd, folder, seconds)
    return noticed, moved


class Crowd:
    """Phones that upload pictures nobody has sent before; ``stored`` are the digests that were answered 201."""

    def __init__(self, url: str, key: str, count: int) -> None:
        self.stored: set[str] = set()
        self.refused = 0
        self._clients = [(httpx.Client(base_url=url, timeout=60), Phone(key)) for _ in range(count)]
        self._sent = 0
        self._lock = threading.Lock()

    def upload_for(self, seconds: float) -> list[tuple[float, int]]:
        """All phones upload for this time; each upload's seconds and status."""
        found: list[tuple[float, int]] = []
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._one, args=(*each, until, found)) for each in self._clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def _one(self, client: httpx.Client, phone: Phone, until: float, found: list[tuple[float, int]]) -> None:
        while time.monotonic() < until:
            with self._lock:
                self._sent += 1
                image = picture(self._sent)
            began = time.perf_counter()
            said, files = {"label": "4", "predicted": "9"}, {"image": ("digit.png", image, "image/png")}
            answer = client.post("/v1/corrections", data=said, files=files, headers=phone.headers)
            with self._lock:
                found.append((time.perf_counter() - began, answer.status_code))
                if answer.status_code == 201:
                    self.stored.add(answer.json()["digest"])
                else:
                    self.refused += 1


def _moved(crowd: Crowd, folder: Path, seconds: float) -> Moved:
    before, refused = len(crowd.stored), crowd.refused
    elsewhere = folder.with_name("elsewhere")

    def move() -> None:
        time.sleep(seconds / 3)
        folder.rename(elsewhere)
        time.sleep(seconds / 3)
        elsewhere.rename(folder)

    mover = threading.Thread(target=move)
    mover.start()
    crowd.upload_for(seconds)
    mover.join()
    with contextlib.closing(sqlite3.connect(folder / "loop.db")) as database:
        stored = {digest for (digest,) in database.execute("SELECT digest FROM corrections")}
    return Moved(len(crowd.stored) - before, crowd.refused - refused, len(crowd.stored - stored))


def _noticed(flood: str, found: list[tuple[float, int]], pid: int) -> Noticed:
    times = sorted(seconds for seconds, _ in found)
    p99 = times[min(len(times) * 99 // 100, len(times) - 1)]
    refused = sum(status != 201 for _, status in found)
    return Noticed(flood, len(times), refused, statistics.median(times), p99, times[-1], _peak_mib(pid))


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _connect(address: Address) -> socket.socket:
    return socket.create_connection(address, 10, source_address=(STRANGER, 0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each flood lasts")
    parser.add_argument("--phones", type=int, default=4)
    parser.add_argument("--heads", type=int, default=6_000, help="half-open connections that the flood tries to hold")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    noticed, moved = measure(options.phones, options.seconds, options.heads)
    if options.json:
        print(json.dumps({"floods": [asdict(each) for each in noticed], "moved": asdict(moved)}, indent=2))
        return
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {options.phones} phones, {options.seconds:g} s each"
    )
    for each in noticed:
        print(
            f"{each.flood:20} {each.uploads:6,} uploads, {each.refused} refused; median {each.median:.3f} s, "
            f"p99 {each.p99:.3f} s (aim {AIM_SECONDS}), longest {each.longest:.3f} s; "
            f"peak {each.peak_mib:.0f} MiB (aim {AIM_MIB})"
        )
    print(
        f"home moved: {moved.acknowledged:,} acknowledged, {moved.refused:,} refused, {moved.missing} missing (aim 0)"
    )


if __name__ == "__main__":
    main()
