"""Durable uploads per second: a real server process, and phones on 64 keep-alive connections beside it.

Each round measures the service as it is (uploads share a commit) and with one commit per upload, on the same machine
in the same minute; keys, idempotency and quotas are on (the limits are raised, not the checks), every picture is new.
An upload counts when its 201 has come. The server and the phones share the machine's cores.

    python benchmarks/uploads.py [--uploads 20000] [--rounds 3] [--postgres postgresql://…/DATABASE]

The database named with ``--postgres`` is emptied.
"""

import argparse
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed


from loop import access  # noqa: E402
from loop.clock import utc_now  # noqa: E402
from loop.home import at  # noqa: E402
from loop.home.settings import load  # noqa: E402
from loop.store import Store, schema  # noqa: E402
from tests.helpers import phones  # noqa: E402

SERVE = [sys.executable, "-c", "from loop.cli import main; main()", "serve", "--port", "0"]
RAISED = ("KEY_PER_MINUTE", "SOURCE_PER_MINUTE", "SOURCE_PER_DAY", "SOURCES_PER_MINUTE")
WARM_UP = 1_000


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round showed: uploads a second, latencies in milliseconds, the server's processor time in µs each."""

    per_second: float
    median: float
    p99: float
    processor: float


@contextmanager
def serving(url: str | None, folder: Path, batch: int) -> Iterator[tuple[int, tuple[str, int], str]]:
    """A server on an empty store: its process, its address, and an app's key."""
    named = {f"LOOP_SERVE__{name}": str(10**7) for name in RAISED} | {"LOOP_SERVE__COMMIT_BATCH": str(batch)}
    environ = os.environ | {"LOOP_HOME": str(folder)} | named | ({"LOOP_DATABASE_URL": url} if url else {})
    home = at(load(environ), migrated=False)
    _empty(home.store)
    schema.migrate(home.store)
    key, _ = access.create(home, "benchmark", access.Role.APP, actor="benchmark", now=utc_now())
    home.store.close()
    log = (folder / "log").open("w")
    with log, subprocess.Popen(SERVE, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - a pipe was asked for
            found = next(filter(None, (re.search(r"http://([\d.]+):(\d+)", line) for line in server.stdout)), None)
            if found is None:
                raise SystemExit("the server did not start:\n" + (folder / "log").read_text())
            yield server.pid, (found[1], int(found[2])), key
        finally:
            server.send_signal(signal.SIGTERM)


def _empty(store: Store) -> None:
    if not store.is_sqlite:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")


def measure(url: str | None, body: str, batch: int, count: int, connections: int) -> Figure:
    """One server, warmed up, then loaded."""
    with tempfile.TemporaryDirectory() as folder, serving(url, Path(folder), batch) as (process, address, key):
        sent = list(phones.uploads(key, WARM_UP + count, sources=200, body=body))
        phones.send(address, sent[:WARM_UP], connections)
        before = _processor(process)
        heard = phones.send(address, sent[WARM_UP:], connections)
        used = _processor(process) - before
    if heard.refusals or heard.reconnects or len(heard.answers) != count:
        raise SystemExit(f"not every upload was stored at once: {heard.refusals}, {heard.reconnects} reconnects")
    return Figure(count / heard.seconds, heard.latency(0.5), heard.latency(0.99), used / count * 1e6)


def _processor(process: int) -> float:
    """Seconds that a process has spent on the processor, all its threads together (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a line for each database and kind of body."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uploads", type=int, default=20_000, help="in a round; a fifth of it one commit each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--postgres", metavar="URL", help="a database that may be emptied")
    parser.add_argument("--only-shared", action="store_true", help="do not measure one commit per upload")
    asked = parser.parse_args()
    batch = load({}).serve.commit_batch
    for name, url in [("sqlite", None), *([("postgresql", asked.postgres)] if asked.postgres else [])]:
        for body in ("multipart", "json"):
            ratios = []
            for _ in range(asked.rounds):
                shared = measure(url, body, batch, asked.uploads, asked.connections)
                print(f"{name:<10} {body:<9} shared commits     {_line(shared)}", flush=True)
                if not asked.only_shared:
                    alone = measure(url, body, 1, asked.uploads // 5, asked.connections)
                    ratios.append(shared.per_second / alone.per_second)
                    print(f"{name:<10} {body:<9} a commit each      {_line(alone)}  1 : {ratios[-1]:.1f}", flush=True)
            if ratios:
                print(f"{name:<10} {body:<9} median ratio {statistics.median(ratios):.1f}")
    cores, connections = os.cpu_count(), asked.connections
    print(f"{connections} connections, {cores} cores, {platform.machine()}, Python {platform.python_version()}")


def _line(figure: Figure) -> str:
    latencies = f"p50 {figure.median:6.1f} ms  p99 {figure.p99:6.1f} ms"
    return f"{figure.per_second:7,.0f}/s  {latencies}  {figure.processor:5.0f} µs of the server's processor time each"


if __name__ == "__main__":
    main()
