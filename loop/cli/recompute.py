"""``loop recompute``: choose the questions of a round again from what is stored, and compare."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from loop.asking import rounds
from loop.asking.rounds import Outcome, Replayed
from loop.cli.output import Json, emit, open_home, print_table, progress, say, table, when

ShownRound = Annotated[
    int | None,
    typer.Argument(metavar="[ROUND]", min=1, max=2**63 - 1, help="Number of the round; default: the last."),
]


def recompute(number: ShownRound = None, as_json: Json = False) -> None:
    """Choose the questions of a round again from what is stored, and compare.

    Exit status 1 if a choice, a score or a chance is not what the round's rules give.
    """
    home = open_home()
    with progress(quiet=as_json) as report:
        found = rounds.recompute(home, number, report)
    if as_json:
        counts = {outcome: found.count(outcome) for outcome in Outcome}
        emit(asdict(found) | {"agrees": found.agrees, "counts": counts})
    else:
        _show(found)
    if not found.agrees:
        sys.exit(1)


def _show(found: Replayed) -> None:
    say(
        f"round {found.round} of {when(found.asked_at)}: {found.asked:,} questions about {found.pool:,} drawings, "
        f"by {found.family} version {found.version} and {found.strategy}",
        "bold",
    )
    shown = table("", ">question", ">drawing", "arm", "outcome", ">score", ">again", ">chance", ">again", "reason")
    for each in found.questions:
        shown.add_row(
            str(each.question),
            str(each.drawing),
            each.arm,
            each.outcome,
            _number(each.score),
            _number(each.score_now),
            _number(each.chance),
            _number(each.chance_now),
            each.why,
        )
    print_table(shown)
    for obstacle in found.obstacles:
        say(f"not all can be computed again: {obstacle}")
    if found.gone:
        say(f"{found.gone:,} questions were erased with their drawings")
    for contradiction in found.contradictions:
        say(f"differs: {contradiction}")
    same, score, unknown, differ = (f"{found.count(outcome):,}" for outcome in Outcome)
    say(
        f"{same} of {found.asked:,} choices confirmed, {score} scores only, {unknown} cannot be computed again, "
        f"{differ} differ",
        "bold",
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
