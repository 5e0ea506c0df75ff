"""How much processor time `loop` takes to start: help, and the commands that only look.

    python benchmarks/command_start.py [--runs 15] [--root DIR]

Prints the median of user and system time per command, with byte code compiled, in a fresh home on the bundled digits.
``--root`` measures another checkout with the same Python.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (("--help",), ("--version",), ("versions",), ("status",), ("history",), ("settings",))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = environment(options.root.resolve(), Path(folder))
        subprocess.run([sys.executable, "-m", "loop", "init"], env=environ, cwd=folder, check=True, capture_output=True)
        for command in COMMANDS:
            seconds = [run(command, environ, folder) for _ in range(options.runs + 1)][1:]  # the first compiles
            print(
                f"{' '.join(command):<10} {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}"
            )


def environment(root: Path, folder: Path) -> dict[str, str]:
    """A home of its own, and byte code that is kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOP_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    own = {"LOOP_HOME": str(folder / "home"), "LOOP_CORPUS": "digits", "PYTHONPATH": str(root)}
    return kept | own | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def run(command: tuple[str, ...], environ: dict[str, str], folder: str) -> float:
    """Processor time of one run, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "loop", *command], env=environ, cwd=folder, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
