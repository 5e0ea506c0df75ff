"""The option ``--as`` of the commands that read handwriting, and what they print of what was done to it."""

from collections.abc import Mapping
from typing import Annotated

import typer

from loop.cli.output import say
from loop.data import digits, ways

Way = Annotated[
    str,
    typer.Option(
        "--as",
        help=f"How the digits are stored, where the pictures do not show it: {', '.join(ways.STEPS)}, joined by +; "
        f"or {ways.GIVEN}, to take them as they are.",
        show_default=False,
    ),
]


def tell_treatments(treatments: Mapping[str, int]) -> None:
    """Say how many pictures were changed, and how; nothing where all were kept."""
    if set(treatments) - {digits.KEPT}:
        say("How the pictures were read", "bold")
    for treatment, count in treatments.items() if set(treatments) - {digits.KEPT} else ():
        say(f"  {count:,} {treatment}")
