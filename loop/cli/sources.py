"""``loop erase``: a person's digits, and all that hangs on them, are gone."""

from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.output import Json, emit, errors, open_home, say
from loop.clock import utc_now
from loop.intake import erasure


def erase(
    source: Annotated[str, typer.Argument(help="Whose: the pseudonymous id.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase every upload of a source, for good; says which versions had learned from them."""
    home = open_home()
    if not yes:
        typer.confirm(f"Erase every upload of {source!r}? Nobody can bring them back", abort=True, err=True)
    gone = erasure.erase(home, source, home.actor, utc_now())
    if as_json:
        emit(asdict(gone))
        return
    say(f"{gone.uploads:,} uploads are erased" if gone.uploads else "no uploads of this source; nothing to erase")
    if gone.taught:
        named = ", ".join(map(str, gone.taught))
        say(f"had learned from them: version {named}; the next night's has not")
        say("`loop retrain` makes it now; `loop feed withdraw` stops phones from running an earlier one")
    if not gone.scrubbed:
        errors.print("Somebody is reading the database: its log still holds the bytes; run this again to empty it.")
