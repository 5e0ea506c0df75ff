"""The rows of issue 11's table from the nights of ``poisoning``: what was to be reached, what was, n and intervals."""

from collections.abc import Iterable
from typing import Any

from benchmarks.poisoning_attacks import ATTACKS
from benchmarks.poisoning_summary import Line, class_losses, gain, kept
from loop.evaluation import intervals

Figure = dict[str, Any]


def figures(lines: list[Line]) -> list[Figure]:
    """Every row that these nights can say something about."""
    nights = [line for line in lines if "models" in line]
    rows = [
        *_triggers(nights, "stamp-", "one source", 1.0),
        *_triggers(nights, "sybils-", "300 sybils", 5.0),
        *_triggers(nights, "patient-", "60 sources that are ten days old", 5.0),
        *_triggers(nights, "adaptive-", "30 old sources that know the screening", 5.0),
        *_triggers(nights, "clean-", "60 such sources, no label wrong", 5.0),
        *_gains(nights),
        *_flips(nights),
        *_honest([line for line in lines if "error" not in line]),
        *_slow(nights),
    ]
    if lost := [line["attack"] for line in lines if "error" in line]:
        rows.append(_row("nights lost", "0", len(lost), len(lines), reached=False, found=", ".join(sorted(set(lost)))))
    return rows


def text(rows: list[Figure]) -> str:
    """A line for each row."""
    return "\n".join(
        f"{'reached' if row['reached'] else 'MISSED ':<7}  {row['figure']:<58} to reach {row['aim']:<28} {row['found']}"
        for row in rows
    )


def _row(figure: str, aim: str, value: float, n: int, *, reached: bool, found: str) -> Figure:
    return {"figure": figure, "aim": aim, "value": value, "n": n, "reached": reached, "found": found}


def _of(nights: Iterable[Line], beginning: str) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in nights:
        if line["attack"].startswith(beginning):
            found.setdefault(line["attack"], []).append(line)
    return found


def _triggers(nights: list[Line], beginning: str, who: str, aim: float) -> list[Figure]:
    rows = []
    for attack, lines in _of(nights, beginning).items():
        points = [100 * line["models"]["champion"]["trigger"] for line in lines]
        base = 100 * lines[0]["models"]["base"]["trigger"]
        promoted = sum(line["promoted"] for line in lines)
        shown = ", ".join(f"{each:.2f}" for each in points)
        found = f"{shown} % (base {base:.2f} %; promoted {promoted} of {len(lines)})"
        name = f"trigger {ATTACKS[attack].trigger} from {who}{'' if ATTACKS[attack].honest else ', nobody honest'}"
        rows.append(
            _row(name, f"≤ {aim:g} % read as 7", max(points), len(lines), reached=max(points) <= aim, found=found)
        )
    return rows


def _gains(nights: list[Line]) -> list[Figure]:
    honest = {(line["seed"], line["group"], line["defences"]): line for line in nights if line["attack"] == "honest"}
    rows = []
    for attack, lines in _of(nights, "").items():
        if attack == "honest" or not ATTACKS[attack].honest:
            continue
        share = kept(lines, honest)
        if share is not None:
            found = f"{100 * share['share']:.0f} % ({100 * share['low']:.0f} to {100 * share['high']:.0f}, paired)"
            found += f", promoted {sum(line['promoted'] for line in lines)} of {len(lines)}"
            reached = share["share"] >= 0.9
            rows.append(
                _row(f"honest gain kept, {attack}", "≥ 90 %", share["share"], len(lines), reached=reached, found=found)
            )
    return rows


def _flips(nights: list[Line]) -> list[Figure]:
    rows = []
    for attack, lines in _of(nights, "flip-").items():
        sent = sum(line["set_aside"].get("poisoned_teachers", 0) for line in lines)
        taught = sum(line["set_aside"].get("poisoned_taught", 0) for line in lines)
        worst = max(max(class_losses(line)) for line in lines)
        promoted = sum(line["promoted"] for line in lines)
        low, high = (100 * end for end in intervals.wilson(1 - taught / max(sent, 1), sent))
        found = f"{100 * (1 - taught / max(sent, 1)):.1f} % held back ({low:.1f} to {high:.1f}, n={sent}); "
        found += f"worst digit of MNIST −{worst:.2f}; promoted {promoted} of {len(lines)}"
        mean = sum(gain(line) for line in lines) / len(lines)
        found += f"; gain {mean:+.2f}"
        reached = worst <= 0.5 and promoted == len(lines)
        rows.append(_row(attack, "held back or no digit −0.5", worst, len(lines), reached=reached, found=found))
    return rows


def _honest(nights: list[Line]) -> list[Figure]:
    rows = []
    every = [("without attack", [line for line in nights if line["attack"] == "honest"]), ("all nights", nights)]
    for name, lines in every:
        for what, aim in (("sources", 1.0), ("sent", 2.0)):
            held_name = "honest_sources_quarantined" if what == "sources" else "honest_quarantined"
            n = sum(line["set_aside"].get(f"honest_{what}", 0) for line in lines)
            held = sum(line["set_aside"].get(held_name, 0) for line in lines)
            if n:
                low, high = (100 * end for end in intervals.wilson(held / n, n))
                title = "honest people quarantined" if what == "sources" else "honest uploads held back"
                found = f"{held} of {n}: {100 * held / n:.2f} % ({low:.2f} to {high:.2f})"
                reached = 100 * held / n <= aim
                rows.append(_row(f"{title}, {name}", f"≤ {aim:g} %", held / n, n, reached=reached, found=found))
    return rows


def _slow(nights: list[Line]) -> list[Figure]:
    rows = []
    for lines in _of(nights, "slow").values():
        door = max(100 * each["champion"]["trigger"] for line in lines for each in line["track"])
        loss = max(
            100 * (line["models"]["base"]["mnist"] - each["champion"]["mnist"])
            for line in lines
            for each in line["track"]
        )
        lowest = min(
            100 * (each["champion"]["held_right"] - line["models"]["base"]["held_right"]) / each["champion"]["held_n"]
            for line in lines
            for each in line["track"]
        )
        found = f"MNIST −{loss:.2f}, measured writers {lowest:+.2f} at worst; back door {door:.2f} %"
        reached = door <= 5 and loss <= 0.3 and lowest >= -0.3
        rows.append(
            _row(
                "a month inside every tolerance", "≤ 0.3 points, ≤ 5 %", door, len(lines), reached=reached, found=found
            )
        )
    return rows
