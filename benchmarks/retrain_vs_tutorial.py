"""One night, ``loop retrain`` with 500 corrections, against the tutorial's way, whole processes, in the same run.

The home is made first (not timed): base registered, all European writers replayed through it. Then, in turn, each
round times ``benchmarks/tutorial.py`` (ten epochs from scratch, converted, scored) and ``loop retrain`` (snapshot,
fine-tune, export, evaluate on MNIST's test set and the held-out writers, judge, publish), each from the start of its
process to its end.

    python benchmarks/retrain_vs_tutorial.py [--rounds 1] [--epochs 10]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
CORRECTIONS = 500
LOOP = [sys.executable, "-c", "from loop.cli import main; main()"]


def timed(command: list[str], environ: dict[str, str]) -> tuple[float, Any]:
    """Run a process to its end; return its seconds and the JSON it printed last."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    printed = done.stdout.strip()
    return seconds, json.loads(printed[printed.index("{") :]) if "{" in printed else None


def main() -> None:
    """Make the home, run both ways in turn, print both and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LOOP_HOME": scratch,
            "LOOP_MNIST": str(SHARED / "data" / "mnist"),
            "LOOP_SNAPSHOT_BUDGET": str(CORRECTIONS),
        }
        writers = sorted(str(path) for path in (SHARED / "data" / "european-writers").glob("*.zip"))
        timed([*LOOP, "init"], environ)
        timed([*LOOP, "replay", *writers], environ)
        environ["LOOP_AUTO_PROMOTE"] = "false"  # every round starts from the same champion
        ratios = []
        for number in range(asked.rounds):
            output = str(Path(scratch) / "tutorial.mlmodel")
            tutorial = [sys.executable, "benchmarks/tutorial.py", "--json", "--output", output]
            slow, theirs = timed([*tutorial, "--epochs", str(asked.epochs), "--seed", str(number)], environ)
            night = [*LOOP, "retrain", "--json", *(["--force"] if number else [])]
            quick, ours = timed(night, {**environ, "LOOP_SEED": str(number)})
            ratios.append(quick / slow)
            print(f"tutorial {slow:6.1f} s  {theirs['seconds']}")
            print(f"retrain  {quick:6.1f} s  {ours['seconds']}  ({ours['status']})")
            print(f"ratio    {quick / slow:.3f}", flush=True)
    print(
        f"mean ratio {sum(ratios) / len(ratios):.3f} of {len(ratios)}; {CORRECTIONS} corrections, {asked.epochs} epochs"
    )
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
