"""``loop sources``, ``erase``: list sources, and erase one with everything derived from it."""

from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.output import Json, emit, errors, open_home, print_table, say, table
from loop.clock import utc_now
from loop.intake import erasure
from loop.store.feedback import source_counts as stored
from loop.store.values import Role

ROLES = {Role.TRAIN: "teach", Role.HOLDOUT: "judge"}


def sources(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of sources.")] = 100,
    as_json: Json = False,
) -> None:
    """List sources with their role and the number of their uploads.

    The source with the newest upload comes first. Digits of a source either teach or judge, never both.
    """
    with open_home().store.read() as tx:
        rows = stored.listing(tx, limit)
    if as_json:
        emit(rows)
        return
    shown = table("Sources", "source", "role", ">uploads", ">corrected", ">confirmed")
    for row in rows:
        counts = (row.uploads, row.corrections, row.confirmations)
        shown.add_row(row.name, ROLES[row.role], *(f"{count:,}" for count in counts))
    print_table(shown)


def erase(
    source: Annotated[str, typer.Argument(help="Pseudonymous id of the source.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Erase every upload of a source, and name the versions that learned from it."""
    home = open_home()
    if not yes:
        typer.confirm(f"Erase every upload of {source!r}? This cannot be undone", abort=True, err=True)
    gone = erasure.erase(home, source, home.actor, utc_now())
    if as_json:
        emit(asdict(gone))
        return
    say(f"erased {gone.uploads:,} uploads" if gone.uploads else "this source has no uploads; nothing was erased")
    if gone.taught:
        say(f"versions that learned from them: {', '.join(map(str, gone.taught))}; the next night's will not")
        say("`loop retrain` trains it now; `loop feed withdraw` stops phones from running an earlier version")
    if not gone.scrubbed:
        errors.print("SQLite's log still holds the bytes, because the database is being read: run this command again.")
