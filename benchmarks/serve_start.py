"""From the command line to the first answer: ``loop serve`` started anew, and what it then needs of memory.

python benchmarks/serve_start.py [--rounds 7]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any


def once(home: str) -> tuple[float, float]:
    """Seconds until ``/readyz`` answers, and the peak of resident memory in MiB after a few answers."""
    begun = time.perf_counter()
    server: Any = subprocess.Popen(
        [sys.executable, "-m", "loop", "serve", "--port", "0"],
        env=os.environ | {"LOOP_HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = server.stdout.readline().rpartition(" ")[2].strip()
        urllib.request.urlopen(f"{url}/readyz").read()  # noqa: S310 (our own server)
        seconds = time.perf_counter() - begun
        for path in ("/", "/openapi.json", "/healthz"):
            urllib.request.urlopen(url + path).read()  # noqa: S310 (our own server)
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    finally:
        server.terminate()
        server.wait()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return seconds, int(peak[1]) / 1024 if peak else float("nan")


def main() -> None:
    """Print the median and the range."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "loop", "migrate"]
        subprocess.run(command, env=os.environ | {"LOOP_HOME": home}, check=True, stdout=subprocess.DEVNULL)
        found = [once(home) for _ in range(rounds)]
    for name, unit, values in zip(("first answer", "memory"), ("s", "MiB"), zip(*found, strict=True), strict=True):
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name}: median {middle:.2f} {unit}, {low:.2f} to {high:.2f}, n={rounds}")


if __name__ == "__main__":
    main()
