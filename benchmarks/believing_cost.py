"""What the defences against poisoning cost a night: processor time with all of them, and with none, side by side.

One home with a fortnight of honest people's uploads (``poisoning``, attack ``honest``). Then dry nights, in turn with
every defence (shares, trust, screening, jury, probes) and without any. Each pair begins with the other kind, so that a
machine that becomes busier does not favour one. Processor time of the process, by step.

    python benchmarks/believing_cost.py [--pairs 3] [--seed 0] [--json]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from benchmarks import poisoning_defences as defences  # noqa: E402 - after the path
from benchmarks.poisoning import CONFIRM_RATE, PARTS, _champion  # noqa: E402
from benchmarks.poisoning_attacks import DAYS  # noqa: E402
from benchmarks.poisoning_scene import Scene, World, honest_uploads, reader, served  # noqa: E402
from loop.home import Home  # noqa: E402
from loop.night import retrain  # noqa: E402
from loop.night.lease import HeldRun  # noqa: E402

AIM_PERCENT = 25


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """While the block runs, every step of a night adds its processor seconds to the dictionary."""
    seconds: dict[str, float] = {}
    step = HeldRun.step

    @contextmanager
    def measured(held: HeldRun, name: str) -> Iterator[None]:
        begin = time.process_time()
        with step(held, name):
            yield
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - begin

    with patch.object(HeldRun, "step", measured):
        yield seconds


def night(scene: Scene, choice: str) -> dict[str, float]:
    """The processor seconds of each step of a dry night, and of the whole night (``night``)."""
    own = scene.home.settings.model_copy(update=defences.settings(choice))
    home = Home(own, scene.home.store, scene.home.artifacts)
    with timed() as seconds:
        begin = time.process_time()
        retrain.run(home, dry_run=True, force=True, clock=scene.clock)
        seconds["night"] = time.process_time() - begin
    return {name: round(each, 2) for name, each in seconds.items()}


def measure(seed: int, pairs: int) -> list[dict[str, dict[str, float]]]:
    """The pairs; a first night of each kind is not counted: it loads frameworks."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), CONFIRM_RATE["all"], PARTS["all"])
        cast = world.cast("all", seed)
        with served(world, "believing", seed) as scene:
            read = reader(_champion(scene))
            scene.send(honest_uploads(cast, read, world.confirm_rate, world.parts, seed))
            world.clock.turn_to(DAYS, hour=3)
            night(scene, "off")
            for number in range(pairs):
                order = ("all", "off") if number % 2 else ("off", "all")
                found.append({choice: night(scene, choice) for choice in order})
                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure, and print each pair, the medians and the share."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    pairs = measure(asked.seed, asked.pairs)
    share = [100 * (1 - each["off"]["night"] / each["all"]["night"]) for each in pairs]
    steps = {
        choice: {name: statistics.median(each[choice].get(name, 0.0) for each in pairs) for name in pairs[0]["all"]}
        for choice in ("all", "off")
    }
    figures = {"pairs": pairs, "medians": steps, "share_percent": [round(each, 1) for each in share]}
    if asked.json:
        json.dump(figures, sys.stdout)
        return
    print(f"{'step':10} {'with all':>9} {'without':>9}   processor seconds, median of {len(pairs)} pairs")
    for name in pairs[0]["all"]:
        print(f"{name:10} {steps['all'][name]:9.2f} {steps['off'][name]:9.2f}")
    each = ", ".join(f"{one:.1f}" for one in share)
    print(f"share of a night with all defences: {each} % (aim: at most {AIM_PERCENT} %); load at begin {load:.1f}")


if __name__ == "__main__":
    main()
