"""The option ``--as`` of the commands that read handwriting, and the list of what they did to the pictures."""

from collections.abc import Mapping
from typing import Annotated

import typer

from loop.cli.output import say
from loop.data import digits, reading_options

ReadAs = Annotated[
    str,
    typer.Option(
        "--as",
        help="How the digits are stored, if the pictures do not show it: "
        f"{', '.join(reading_options.STEPS)}, joined by +; or {reading_options.GIVEN}, to read them unchanged.",
        show_default=False,
    ),
]


def print_preparations(preparations: Mapping[str, int]) -> None:
    """Print the number of pictures for each preparation; nothing if all were kept."""
    if set(preparations) - {digits.KEPT}:
        say("How the pictures were read", "bold")
    for preparation, count in preparations.items() if set(preparations) - {digits.KEPT} else ():
        say(f"  {count:,} {preparation}")
