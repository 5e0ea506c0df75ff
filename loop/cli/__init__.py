"""``loop …``: the command line for operators, engineers and newcomers.

Commands only compose and print. Results go to standard output, progress and errors to standard error; ``--json`` prints
one document and nothing else. Exit status: 0 done, 1 refused or failed (one line on standard error names the fix), 2 a
wrong command line.
"""

import io
import signal
import sys
from typing import Annotated

import typer

from loop.cli.lazy import LazyGroup
from loop.errors import LoopError

app = typer.Typer(
    cls=LazyGroup,
    name="loop",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version  # here, because no other command needs it

    typer.echo(f"loop {version('digit-loop')}")
    raise typer.Exit


@app.callback()
def _loop(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the release and exit.")
    ] = False,
) -> None:
    """Corrections from phones in, a judged and versioned Core ML model out."""


def main() -> None:
    """The console script: every ``LoopError`` becomes one line and exit status 1."""
    signal.signal(signal.SIGTERM, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows less, but does not fail
    try:
        app(prog_name="loop")
    except LoopError as error:
        _report(error)
        sys.exit(1)


def _report(error: LoopError) -> None:
    from rich.text import Text  # here, so that a command that succeeds does not wait for it

    from loop.cli.output import errors

    errors.print(Text(f"{type(error).__name__}: ", "bold red") + Text(str(error), ""), soft_wrap=True)


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 (the signal module's signature)
    """SIGTERM ends a command as Ctrl-C does: a command that holds a lease records that it stopped. A second SIGTERM
    must not interrupt that.
    """
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
