"""Attacks on the loop, as a stranger makes them who copied the app's key: real network, real nights, real HTTP.

For each attack and seed: a served home with a simulated clock; European writers, each as several installs, correct and
confirm for a fortnight; the attacker sends beside them; then the night runs. Measured are the verdict, what the back
door does in the challenger and in the champion after the night, what two writers who never took part gain, MNIST with
its digits, and what was set aside, of whom. The harness chooses no threshold.

    python benchmarks/poisoning.py --out nights.jsonl [--attacks stamp flip-1to7] [--seeds 0 1 2 3 4]
        [--defences all|none|off|without:NAME] [--group all|development] [--json]

``--out`` gets one line for each finished night; nights that it has already are not run again, so a run that was stopped
goes on. ``--attacks`` takes names or beginnings of names; ``--list`` prints them.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs from a clone that is not installed

from sqlalchemy import select  # noqa: E402 - after the path

from benchmarks import poisoning_defences as defences  # noqa: E402
from benchmarks import poisoning_figures as figures  # noqa: E402
from benchmarks import poisoning_summary as summaries  # noqa: E402
from benchmarks.poisoning_attacks import ATTACKS, Attack  # noqa: E402
from benchmarks.poisoning_scene import Cast, Scene, World, honest_uploads, material, reader, served  # noqa: E402
from benchmarks.poisoning_triggers import success  # noqa: E402
from loop import registry  # noqa: E402
from loop.errors import LoopError  # noqa: E402
from loop.night import retrain  # noqa: E402
from loop.night.retrain import Night  # noqa: E402
from loop.store import tables  # noqa: E402
from loop.store.values import Role, Status  # noqa: E402

CONFIRM_RATE = {"all": 0.4, "development": 0.8}
"""Eleven writers stand for a crowd: at the default of 0.05 they would not fill the gate's 200 judging uploads, and at
0.25 only with some seeds (155 with seed 1)."""
PARTS = {"all": 8, "development": 20}
"""Installs of each writer."""


def model_figures(data: bytes, world: World, cast: Cast, attack: Attack) -> dict[str, Any]:
    """What one file reads: MNIST's test set by digit, the writers who are only measured, and the trigger."""
    key = (hashlib.sha256(data).digest(), cast.measured[0].name, attack.trigger, attack.target)
    if key not in world.measured:
        world.measured[key] = _measure(data, world, cast, attack)
    return world.measured[key]


def _measure(data: bytes, world: World, cast: Cast, attack: Attack) -> dict[str, Any]:
    read, mnist = reader(data), world.mnist
    right = read(mnist.test_images) == mnist.test_labels
    held = {one.name: read(one.images) == one.labels for one in cast.measured}
    labels = np.concatenate([one.labels for one in cast.measured])
    rights = np.concatenate(list(held.values()))
    figures = {
        "mnist": float(right.mean()),
        "mnist_classes": [float(right[mnist.test_labels == digit].mean()) for digit in range(10)],
        "held_right": int(rights.sum()),
        "held_n": len(rights),
        "held_classes": [[int(rights[labels == digit].sum()), int((labels == digit).sum())] for digit in range(10)],
    }
    if attack.trigger is not None:
        named = success(read, attack.trigger, attack.target, mnist.test_images, mnist.test_labels)
        figures["trigger"] = named
    return figures


def set_aside(scene: Scene) -> dict[str, Any]:
    """Who taught and who was held back: uploads and sources, of honest people and of the attacker."""
    with scene.home.store.read() as tx:
        columns = (tables.Correction.id, tables.Correction.status, tables.Source.role)
        rows = tx.execute(select(*columns).join(tables.Source)).all()
        last = select(tables.Run.snapshot_id).order_by(tables.Run.id.desc()).limit(1).scalar_subquery()
        item = tables.SnapshotItem
        taught = set(tx.scalars(select(item.correction_id).where(item.snapshot_id == last)))
    count: Counter[str] = Counter()
    sources: dict[str, dict[str, list[int]]] = {"honest": {}, "poisoned": {}}
    attackers = {one.source for one in scene.sent.values() if one.poisoned}
    for id_, status, role in rows:
        one = scene.sent[id_]
        who = "poisoned" if one.poisoned else "cover" if one.source in attackers else "honest"
        held = status == "quarantined"
        count[f"{who}_sent"] += 1
        count[f"{who}_teachers"] += (role == Role.TRAIN and status == Status.ACCEPTED) or held
        count[f"{who}_taught"] += id_ in taught
        count[f"{who}_quarantined"] += held
        if who != "cover":
            tally = sources[who].setdefault(one.source, [0, 0])
            tally[0] += 1
            tally[1] += held
    for who, found in sources.items():
        count[f"{who}_sources"] = len(found)
        count[f"{who}_sources_touched"] = sum(held > 0 for _, held in found.values())
        count[f"{who}_sources_quarantined"] = sum(2 * held >= n for n, held in found.values())
    return dict(count)


def verdict_of(done: Night) -> dict[str, Any]:
    """The verdict, and each reason that is not passed, in words."""
    if done.judged is None:
        return {"outcome": "skipped", "reasons": [done.reason or ""]}
    given = done.judged.verdicts.values()
    reasons = [f"{each.check}: {each.text}" for one in given for each in one.reasons if each.outcome != "passed"]
    return {"outcome": str(done.judged.outcome), "reasons": reasons}


def night(world: World, name: str, seed: int, group: str, defended: str, *, taught: bool) -> dict[str, Any]:
    """One home, one fortnight, its nights: the line for the file of results, about the last night.

    Without ``taught`` the night ends before it teaches, and the line says only what was set aside.
    """
    attack, cast = ATTACKS[name], world.cast(group, seed)
    begin, processor, track = time.perf_counter(), 0.0, []
    with ExitStack() as stack:
        if not taught:
            stack.enter_context(defences.stopping_before_teaching())
        scene = stack.enter_context(served(world, f"{name}-{seed}", seed, **defences.settings(defended)))
        files = {"base": _champion(scene)}
        read = reader(files["base"])
        sent = attack.make(material(world, scene, cast, read, seed))
        if attack.honest:
            sent = honest_uploads(cast, read, world.confirm_rate, world.parts, seed) + sent
        for last, day in pairwise((-1, *attack.nights)):
            scene.send([one for one in sent if last <= one.day < day])
            world.clock.turn_to(day, hour=3)
            used = time.process_time()
            try:
                done = retrain.run(scene.home, clock=world.clock)
            except defences.StoppedHereError:
                return {"set_aside": set_aside(scene), "refused": scene.refused}
            except LoopError as error:
                return {"error": f"{type(error).__name__}: {error}"}
            processor += time.process_time() - used
            files["champion"] = _champion(scene)
            if done.judged is not None:
                files["challenger"] = done.judged.data
            measured = {role: model_figures(each, world, cast, attack) for role, each in files.items()}
            track.append({"day": day, "verdict": verdict_of(done), "champion": measured["champion"]})
        return {
            "promoted": files["champion"] != files["base"],
            "verdict": verdict_of(done),
            "models": measured,
            "set_aside": set_aside(scene),
            "refused": scene.refused,
            "steps": dict(done.seconds),
            "track": track if len(track) > 1 else [],
            "night_processor_seconds": round(processor / len(track), 2),
            "seconds": round(time.perf_counter() - begin, 1),
        }


def _champion(scene: Scene) -> bytes:
    """The bytes of the published champion."""
    champion = registry.champion(scene.home, "cnn")
    assert champion is not None  # noqa: S101 - ``served`` looked, and a night never leaves a family without one
    return scene.home.artifacts.get(champion.artifact_digest, ".mlmodel")


def chosen(names: list[str]) -> list[str]:
    """The attacks that these names or beginnings of names mean, ``honest`` first: the others are compared with it."""
    found = [each for each in ATTACKS if not names or any(each.startswith(name) for name in names)]
    unknown = [name for name in names if not any(each.startswith(name) for each in ATTACKS)]
    if unknown:
        raise SystemExit(f"--attacks: no attack begins with {unknown[0]!r}; --list prints all names")
    return list(dict.fromkeys(["honest", *found]))


def known_lines(out: Path) -> list[dict[str, Any]]:
    """The finished nights in the file; a last line that was cut off is left out."""
    lines = []
    for text in out.read_text(encoding="utf-8").splitlines() if out.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            print(f"{out}: a line is not whole; its night runs again", file=sys.stderr)
    return lines


def append(out: Path, line: dict[str, Any]) -> None:
    """Add a line, after a line end if the last line was cut off."""
    cut = out.exists() and not out.read_bytes().endswith(b"\n") and out.stat().st_size > 0
    with out.open("a", encoding="utf-8") as file:
        file.write("\n" * cut + json.dumps(line) + "\n")


def identity(line: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two nights the same."""
    return line["attack"], line["seed"], line["group"], line["defences"], line.get("taught", True)


def run_all(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is missing, one night at a time; every night that was asked for."""
    wanted = [
        {"attack": name, "seed": seed, "group": asked.group, "defences": asked.defences, "taught": asked.taught}
        for seed in asked.seeds
        for name in chosen(asked.attacks)
    ]
    lines = known_lines(asked.out)
    have = {identity(line) for line in lines}
    missing = [line for line in wanted if identity(line) not in have]
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), CONFIRM_RATE[asked.group], PARTS[asked.group])
        begin = time.perf_counter()
        for number, line in enumerate(missing):
            _progress(number, len(missing), begin, f"{line['attack']} seed {line['seed']}")
            how = (line["attack"], line["seed"], line["group"], line["defences"])
            line |= night(world, *how, taught=line["taught"])
            append(asked.out, line)
            lines.append(line)
            if not asked.json:
                print("\r\033[K" + summaries.one_line(line), flush=True)
    keys = {identity(line) for line in wanted}
    return [line for line in lines if identity(line) in keys]


def _progress(done: int, total: int, begin: float, what: str) -> None:
    if not sys.stderr.isatty():
        return
    filled = 20 * done // max(total, 1)
    left = f", {(time.perf_counter() - begin) / done * (total - done) / 60:.0f} min left" if done else ""
    print(f"\r\033[K[{'#' * filled}{'.' * (20 - filled)}] {done}/{total}{left}: {what}", end="", file=sys.stderr)


def main() -> None:
    """Run, print each night as it ends, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file of results, a JSON line for each night")
    parser.add_argument("--attacks", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--defences", default="all", help=f"all, none, off, or without:NAME of {', '.join(defences.NAMES)}"
    )
    parser.add_argument("--group", choices=sorted(PARTS), default="all")
    parser.add_argument(
        "--without-teaching", dest="taught", action="store_false", help="only what is set aside: cheap, for many seeds"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the names of the attacks")
    if "--list" in sys.argv:
        print("\n".join(ATTACKS))
        return
    asked = parser.parse_args()
    lines = run_all(asked)
    rows = summaries.table(lines)
    if asked.json:
        json.dump({"nights": lines, "table": rows, "figures": figures.figures(lines)}, sys.stdout)
        return
    print("\n" + summaries.text(rows) + "\n\n" + figures.text(figures.figures(lines)))
    print(f"seeds {asked.seeds}, group {asked.group}, defences {asked.defences}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
