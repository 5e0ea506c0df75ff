"""``loop taint``, ``influence``: what a version learned from whom, and what one source has changed in it."""

from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.output import FamilyName, Json, emit, open_home, percent, print_table, progress, say, table
from loop.cli.setup import known_family
from loop.errors import NoChampion
from loop.home import Home
from loop.night import influence as influences
from loop.store import values
from loop.store.feedback import taint as taints
from loop.store.feedback.taint import Taint
from loop.store.nights import versions

REFUSED = ("superseded", "withdrawn", "quarantined", "rejected")


def taint(
    number: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Default: the champion.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Number of sources that are listed.")] = 50,
    family: FamilyName = "cnn",
    as_json: Json = False,
) -> None:
    """Show what a version learned from whom, and what of it was refused since.

    A version is tainted if an upload of its lesson was erased, withdrawn, quarantined or rejected later. A tainted
    champion is replaced by the next challenger that is not worse. Superseded uploads do not taint.
    """
    home = open_home()
    version = _version(home, number, family)
    with home.store.read() as tx:
        found = taints.of(tx, version.number, version.snapshot_id)
    if as_json:
        emit(asdict(found) | {"tainted": found.tainted})
        return
    say(_head(found), "bold")
    if not found.size:
        return
    shown = table("What it learned from whom", "source", ">taught", ">share", *(f">{name}" for name in REFUSED))
    rows = sorted(found.sources, key=lambda each: not each.tainted)  # objections first, then by contribution
    for each in rows[:limit]:
        refused = (str(getattr(each, name) or "") for name in REFUSED)
        shown.add_row(each.source, f"{each.taught:,}", percent(each.share), *refused)
    print_table(shown)
    if len(rows) > limit:
        say(f"and {len(rows) - limit:,} further sources; --limit shows more")
    if found.tainted:
        say("`loop retrain --without SOURCE` or `--without-quarantined` teaches a version without them now")


def influence(
    source: Annotated[str, typer.Argument(help="Pseudonymous id of the source.", show_default=False)],
    number: Annotated[int | None, typer.Option("--version", help="The version; default: the champion.")] = None,
    family: FamilyName = "cnn",
    as_json: Json = False,
) -> None:
    """Teach a version's lesson again without one source, and compare.

    A dry run of about half a night: it registers nothing. Shows the accuracy by slice, the answers that differ, and
    whether the gate's verdict on the version changes.
    """
    known_family(family)
    home = open_home()
    version = _version(home, number, family)
    with progress(quiet=as_json) as report:
        found = influences.of(home, source, version, progress=report)
    if as_json:
        emit(asdict(found) | {"decides": found.decides})
        return
    gone = f"; {found.erased:,} uploads of the lesson were erased since" if found.erased else ""
    say(f"version {found.version} learned {found.taught:,} of {found.size:,} uploads from {source}{gone}", "bold")
    columns = (">n", ">with it", ">without it", ">answers differ", ">right only with", ">right only without")
    shown = table(f"Version {found.version} with and without {source}", "slice", *columns)
    for each in found.slices:
        counts = (each.changed, each.only_right_with, each.only_right_without)
        accuracies = (percent(each.with_source), percent(each.without_source))
        shown.add_row(each.name, f"{each.n:,}", *accuracies, *map(str, counts))
    print_table(shown)
    digits = [sum(each.by_digit[digit] for each in found.slices) for digit in range(10)]
    say("answers that differ, by digit: " + (_listed(digits) or "none"))
    against = "without a champion before it" if found.against is None else f"against version {found.against}"
    change = f"changes from {found.verdict_with} to {found.verdict_without}" if found.decides else found.verdict_with
    say(f"verdict {against}: {change}{'' if found.decides else ', with and without it'}")


def _version(home: Home, number: int | None, family: str) -> values.Version:
    with home.store.read() as tx:
        if number is not None:
            return versions.get(tx, number)
        champion = versions.champion(tx, family)
    if champion is None:
        raise NoChampion(f"{family} has no champion yet; run `loop init --family {family}` first, or name a version")
    return champion


def _head(found: Taint) -> str:
    if not found.size:
        return f"version {found.version} is a base: it was taught no uploads"
    refused = {name: sum(getattr(each, name) for each in found.sources) for name in REFUSED[1:]} | {
        "erased": found.erased
    }
    counts = ", ".join(f"{count:,} {name}" for name, count in refused.items() if count)
    state = f"tainted: {counts} of {found.size:,} uploads" if found.tainted else f"{found.size:,} uploads, not tainted"
    return f"version {found.version}: {state}, from {len(found.sources):,} sources that are still stored"


def _listed(digits: list[int]) -> str:
    return ", ".join(f"{digit}: {count}" for digit, count in enumerate(digits) if count)
