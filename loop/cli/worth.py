"""``loop worth``: what asking was worth here, measured on this deployment's own answers."""

from pathlib import Path
from typing import Annotated

import typer

from loop.asking.worth import ARMS, ASKED, RANDOM, Estimate
from loop.cli.output import FamilyName, Json, emit, open_home, print_table, progress, say, table
from loop.cli.setup import known_family
from loop.evaluation import plots
from loop.evaluation.plots import Curve
from loop.night import worth as measuring
from loop.night.worth import Worth

LEGEND = {ASKED: "asked: chosen by the query strategy", RANDOM: "random: drawn by lot"}


def worth(
    family: FamilyName = "cnn",
    minutes: Annotated[float, typer.Option(min=0.01, max=1_440, help="Time to measure; more gives more points.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Trainings of each size, if they fit.")] = 3,
    target: Annotated[
        float | None, typer.Option(min=1, max=100, help="Accuracy in percent; default: the best that both arms reach.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="File for the plot; default: worth.png in LOOP_HOME.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what asking is worth: learning curves of the asked and of the random answers.

    Each point is a model that was taught so many answers from the frozen base, judged on the slice users: answers by
    lot and words of sources that judge. Nothing is registered; no night runs meanwhile.
    """
    known_family(family)
    home = open_home()
    with progress(quiet=as_json) as report:
        share = None if target is None else target / 100
        found = measuring.measure(home, family, minutes, seeds=seeds, target=share, progress=report)
    drawn = None
    if found.curves:
        drawn = plot or home.settings.home / "worth.png"
        _draw(found, drawn)
    if as_json:
        emit(found.document() | {"plot": drawn})
        return
    _show(found)
    if drawn is not None:
        say(f"plot: {drawn}")


def _show(found: Worth) -> None:
    say(found.text, "bold")
    for arm, n in found.teaching.items():
        say(f"{n:,} {arm} answers teach")
    if not found.curves:
        return
    shown = table("Accuracy on users, with 95 % interval", ">labels", *(f">{arm}" for arm in ARMS), ">trainings")
    cells = {arm: {size.labels: size for size in sizes} for arm, sizes in found.curves.items()}
    for labels in sorted(set().union(*cells.values())):
        sizes = [cells[arm].get(labels) for arm in ARMS]
        seeds = "/".join("–" if size is None else str(size.seeds) for size in sizes)
        shown.add_row(f"{labels:,}", *("–" if size is None else _percent(size.accuracy) for size in sizes), seeds)
    print_table(shown)


def _draw(found: Worth, path: Path) -> None:
    curves = [
        Curve(
            LEGEND[arm],
            [size.labels for size in sizes],
            [100 * size.accuracy.value for size in sizes],
            [100 * size.accuracy.low for size in sizes],
            [100 * size.accuracy.high for size in sizes],
        )
        for arm, sizes in found.curves.items()
    ]
    target = None if found.reach is None else 100 * found.reach.target
    plots.learning_curves(curves, path, found.text, target)


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f})"
