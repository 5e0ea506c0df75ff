"""``loop quarantine``: list what screening held back, look at it, accept or reject it."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer

from loop.cli.output import Json, console, emit, open_home, print_table, say, table, when
from loop.clock import utc_now
from loop.errors import UnknownCorrection
from loop.evaluation.screening import SIGNALS as SCREENED
from loop.night.probing import SIGNAL as PROBED
from loop.store.feedback import quarantines
from loop.store.feedback.quarantines import ACCEPTED, REJECTED, Decision, Held, Which
from loop.store.values import Attribution

log = logging.getLogger(__name__)

SIGNALS = (*SCREENED, PROBED)
"""What holds uploads back: a signal of the screening, or the probe of a challenger that learned a trigger from them."""
SHADES = " ░▒▓█"
COLUMNS = 60
"""Most characters of the first reason in the list."""

Source = Annotated[str | None, typer.Option(help="Only uploads of this source.")]
Signal = Annotated[str | None, typer.Option("--signal", help=f"Only this signal: {', '.join(SIGNALS)}.")]
Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of uploads, as the list shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every upload that waits.")]
Reason = Annotated[str, typer.Option(help="Reason; stored with your name.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def quarantine(
    context: typer.Context,
    source: Source = None,
    signal: Signal = None,
    decided: Annotated[str | None, typer.Option(help="List those that were accepted or rejected instead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of uploads.")] = 100,
    as_json: Json = False,
) -> None:
    """List the uploads that screening held back; show, accept or reject them.

    A held upload teaches nothing until somebody accepts it; then it is never held back again. A rejected one never
    teaches. Its source does not learn of it.
    """
    if context.invoked_subcommand is not None:
        return
    which = Which((), source, _signal(signal), _decided(decided))
    with open_home().store.read() as tx:
        found, waiting = quarantines.find(tx, which, limit), quarantines.waiting(tx)
    if as_json:
        emit({"waiting": waiting, "uploads": [as_row(each) for each in found]})
        return
    shown = table("Held back", ">upload", "source", ">label", "found", "signals", "first reason")
    for each in found:
        first = str(each.reasons[0]["text"]) if each.reasons else "–"
        cut = first if len(first) <= COLUMNS else f"{first[: COLUMNS - 1]}…"
        shown.add_row(str(each.id), each.source, str(each.label), when(each.found_at), _signals(each), cut)
    print_table(shown)
    counts = ", ".join(f"{count:,} {name}" for name, count in waiting.items() if name != "all")
    say(f"{waiting['all']:,} wait for a decision{f': {counts}' if counts else ''}")


@app.command()
def show(
    upload: Annotated[int, typer.Argument(help="Number of the upload.", show_default=False)], as_json: Json = False
) -> None:
    """Show one upload: its picture, the reasons, the decision."""
    with open_home().store.read() as tx:
        found = quarantines.get(tx, upload)
    if found is None:
        raise UnknownCorrection(f"upload: expected one that was held back, got {upload}; `loop quarantine` lists them")
    if as_json:
        emit(as_row(found) | {"pixels": np.frombuffer(found.pixels, np.uint8).reshape(28, 28).tolist()})
        return
    for row in picture(found.pixels):
        console.print(row, highlight=False, markup=False)
    say(f"upload {found.id} of {found.source}: label {found.label}, {found.status}", "bold")
    for reason in found.reasons:
        say(f"  {reason['signal']}: {reason['text']}")
    run = "" if found.run is None else f" by run {found.run}"
    say(f"received {when(found.received_at)}, held back {when(found.found_at)}{run}")
    if found.decided_at is not None:
        say(f"{found.decision} on {when(found.decided_at)}")


@app.command()
def accept(
    reason: Reason,
    uploads: Ids = None,
    source: Source = None,
    signal: Signal = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """Accept uploads: the next night may teach them, and none holds them back again."""
    _decide(ACCEPTED, reason, uploads, source, signal, every, as_json)


@app.command()
def reject(
    reason: Reason,
    uploads: Ids = None,
    source: Source = None,
    signal: Signal = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """Reject uploads: they never teach, and their source loses trust."""
    _decide(REJECTED, reason, uploads, source, signal, every, as_json)


def picture(pixels: bytes) -> Sequence[str]:
    """The picture for a terminal: 28 lines of 56 characters in five shades, without empty lines at both ends."""
    levels = np.frombuffer(pixels, np.uint8).reshape(28, 28).astype(int) * (len(SHADES) - 1) // 255
    lines = ["".join(SHADES[level] * 2 for level in row).rstrip() for row in levels]
    inked = [number for number, each in enumerate(lines) if each]
    return lines[inked[0] : inked[-1] + 1] if inked else []


def as_row(held: Held) -> dict[str, Any]:
    """A held upload as JSON values, without its picture."""
    return {name: value for name, value in asdict(held).items() if name != "pixels"}


def _decide(
    decision: Decision,
    reason: str,
    uploads: list[int] | None,
    source: str | None,
    signal: str | None,
    every: bool,
    as_json: bool,
) -> None:
    if every == bool(uploads or source or signal):
        raise typer.BadParameter("expected numbers of uploads, --source or --signal; or --all alone")
    home = open_home()
    by = Attribution(home.actor, reason)
    which = Which(tuple(uploads or ()), source, _signal(signal))
    with home.store.exclusive() as tx:
        ids = quarantines.decide(tx, which, decision, by, utc_now())
    log.info("%s %s %d held uploads: %s", by.actor, decision, len(ids), by.reason, extra={"uploads": ids[:100]})
    unchanged = sorted(set(uploads or ()) - set(ids))
    if as_json:
        emit({"decision": decision, "uploads": ids, "unchanged": unchanged})
        return
    say(f"{decision} {len(ids):,} uploads")
    if unchanged:
        say(f"unchanged, because they do not wait for a decision: {', '.join(map(str, unchanged[:20]))}", "yellow")


def _signals(held: Held) -> str:
    names = dict.fromkeys(str(each["signal"]) for each in held.reasons)
    return ", ".join(name for name in names if name in SIGNALS)


def _signal(name: str | None) -> str | None:
    _check("--signal", name, SIGNALS)
    return name


def _decided(name: str | None) -> Decision | None:
    _check("--decided", name, (ACCEPTED, REJECTED))
    return None if name is None else ACCEPTED if name == ACCEPTED else REJECTED


def _check(option: str, name: str | None, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        raise typer.BadParameter(f"{option}: expected {' or '.join(names)}, got {name[:40]!r}")
