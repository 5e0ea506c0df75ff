"""The figures of ``poisoning`` from its nights: a line for each night, and the table with n and intervals."""

from collections import defaultdict
from typing import Any

import numpy as np

from loop.evaluation import intervals

Line = dict[str, Any]
Row = dict[str, Any]


def gain(line: Line, role: str = "champion") -> float:
    """Points that the measured writers gain over the base."""
    models = line["models"]
    found = models.get(role, models["champion"])
    return 100 * (found["held_right"] - models["base"]["held_right"]) / found["held_n"]


def class_losses(line: Line) -> list[float]:
    """Points that each digit of MNIST's test set loses from the base to the champion."""
    models = line["models"]
    return [
        100 * (before - after)
        for before, after in zip(models["base"]["mnist_classes"], models["champion"]["mnist_classes"], strict=True)
    ]


def one_line(line: Line) -> str:
    """One night in words."""
    head = f"{line['attack']:<18} seed {line['seed']} {line['defences']:<10}"
    if "error" in line:
        return f"{head} NIGHT LOST: {line['error']}"
    aside = line["set_aside"]
    if "models" not in line:
        return f"{head} {_held('honest', aside)}; {_held('poisoned', aside)}"
    models = line["models"]
    champion, challenger = models["champion"], models.get("challenger", models["champion"])
    promoted = "promoted" if line["promoted"] else "kept"
    parts = [f"{line['verdict']['outcome']}, {promoted}", f"gain {gain(line):+.2f} (challenger "]
    parts[-1] += f"{gain(line, 'challenger'):+.2f})"
    parts.append(f"MNIST {100 * champion['mnist']:.2f}")
    parts.append(f"worst digit −{max(class_losses(line)):.2f}")
    if "trigger" in champion:
        parts.append(f"trigger {100 * champion['trigger']:.1f} % (challenger {100 * challenger['trigger']:.1f} %)")
    for who in ("honest", "poisoned"):
        taught, sent, held = (aside.get(f"{who}_{what}", 0) for what in ("taught", "sent", "quarantined"))
        parts.append(f"{who} {taught}/{sent} taught, {held} held")
    parts.append(f"{line['night_processor_seconds']} s")
    return f"{head} " + "; ".join(parts)


def table(lines: list[Line]) -> list[Row]:
    """A row for each attack and choice of defences, over the seeds."""
    groups: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    honest = {(line["seed"], line["group"], line["defences"]): line for line in lines if line["attack"] == "honest"}
    for line in lines:
        groups[line["attack"], line["group"], line["defences"]].append(line)
    return [_row(key, found, honest) for key, found in groups.items()]


def _row(key: tuple[str, str, str], lines: list[Line], honest: dict[Any, Line]) -> Row:
    attack, group, defences = key
    row: Row = {"attack": attack, "group": group, "defences": defences, "seeds": [line["seed"] for line in lines]}
    whole = [line for line in lines if "error" not in line]
    row |= {"nights": len(lines), "lost": len(lines) - len(whole)}
    if not whole:
        return row
    row["aside"] = {
        name: sum(line["set_aside"].get(name, 0) for line in whole)
        for name in sorted({name for line in whole for name in line["set_aside"]})
    }
    whole = [line for line in whole if "models" in line]
    if not whole:
        return row
    row["promoted"] = sum(line["promoted"] for line in whole)
    row["gain"] = float(np.mean([gain(line) for line in whole]))
    row["gain_challenger"] = float(np.mean([gain(line, "challenger") for line in whole]))
    row["kept"] = kept(whole, honest)
    row["mnist_loss"] = float(
        np.mean([100 * (line["models"]["base"]["mnist"] - line["models"]["champion"]["mnist"]) for line in whole])
    )
    row["worst_class_loss"] = max(max(class_losses(line)) for line in whole)
    row["trigger"] = {role: _shares(whole, role) for role in ("base", "challenger", "champion")}
    return row


def _shares(lines: list[Line], role: str) -> list[float] | None:
    found = [line["models"].get(role, line["models"]["champion"]).get("trigger") for line in lines]
    return None if None in found else [float(each) for each in found]


def kept(lines: list[Line], honest: dict[Any, Line]) -> dict[str, float] | None:
    """The share of the honest night's gain that is kept, with a paired bootstrap over seeds where there are several."""
    pairs = []
    for line in lines:
        other = honest.get((line["seed"], line["group"], line["defences"]))
        if other is not None and "models" in other and "models" in line:
            pairs.append((gain(line), gain(other)))
    if not pairs or sum(reference for _, reference in pairs) <= 0:
        return None
    found = np.array(pairs)
    ratio = float(found[:, 0].sum() / found[:, 1].sum())
    draws = np.random.default_rng(0).integers(0, len(found), (2_000, len(found)))
    sums = found[draws].sum(axis=1)
    sums = sums[sums[:, 1] > 0]
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return {"share": ratio, "low": float(low), "high": float(high), "n": len(found)}


def text(rows: list[Row]) -> str:
    """The table in words: one attack a line."""
    lines = []
    for row in rows:
        head = f"{row['attack']:<18} {row['defences']:<12} n={row['nights']}"
        if "promoted" not in row:
            aside = row.get("aside")
            said = "every night lost" if aside is None else f"{_held('honest', aside)}; {_held('poisoned', aside)}"
            lines.append(f"{head}  {said}")
            continue
        parts = [f"promoted {row['promoted']}/{row['nights']}", f"gain {row['gain']:+.2f}"]
        if (share := row["kept"]) is not None:
            parts.append(f"kept {100 * share['share']:.0f} % ({100 * share['low']:.0f} to {100 * share['high']:.0f})")
        parts.append(f"MNIST −{row['mnist_loss']:.2f}, worst digit −{row['worst_class_loss']:.2f}")
        if (shares := row["trigger"]["champion"]) is not None:
            base, challenger = (max(row["trigger"][role] or [0.0]) for role in ("base", "challenger"))
            parts.append(
                f"trigger ≤ {100 * max(shares):.1f} % (challenger {100 * challenger:.1f}, base {100 * base:.1f})"
            )
        aside = row["aside"]
        parts += [_held(who, aside) for who in ("honest", "poisoned")]
        lines.append(f"{head}  " + "; ".join(part for part in parts if part))
    return "\n".join(lines)


def _held(who: str, aside: dict[str, int]) -> str:
    sent = aside.get(f"{who}_sent", 0)
    if not sent:
        return ""
    held, taught = aside.get(f"{who}_quarantined", 0), aside.get(f"{who}_taught", 0)
    low, high = (100 * end for end in intervals.wilson(held / sent, sent))
    gone = aside.get(f"{who}_sources_quarantined", 0)
    return (
        f"{who}: {held}/{sent} held back ({low:.1f} to {high:.1f} %), {taught} taught, "
        f"{gone}/{aside.get(f'{who}_sources', 0)} sources"
    )
