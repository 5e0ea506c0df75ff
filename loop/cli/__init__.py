"""``loop …``: the door for operators, engineers and newcomers.

Commands only compose and print. What is said for a person goes to standard output, progress and errors to standard
error; ``--json`` prints one document and nothing else. Exit status: 0 done, 1 refused or failed with one line that
says what to do, 2 a wrong command line.
"""

import sys

import typer

from loop.cli import demo, feedback, nights, score, setup, versions
from loop.cli.output import errors
from loop.errors import LoopError

app = typer.Typer(
    name="loop",
    help="Corrections from phones in, a judged and versioned Core ML model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _add(panel: str, **commands: object) -> None:
    for name, command in commands.items():
        app.command(name.replace("_", "-"), rich_help_panel=panel)(command)  # type: ignore[type-var]  # plain functions


_add("Begin", demo=demo.demo, init=setup.init, migrate=setup.migrate, settings=setup.settings)
_add("Feed it", **{"import": feedback.import_, "replay": feedback.replay})
_add("The night", retrain=nights.retrain, runs=nights.runs)
_add(
    "Versions",
    versions=versions.versions,
    show=versions.show,
    verdict=versions.verdict,
    history=versions.history,
    promote=versions.promote,
    rollback=versions.rollback,
)
_add("Any Core ML digit model", score=score.score, inspect=score.inspect)
_add("For the engineer", base=setup.base, gate_power=nights.gate_power)


def main() -> None:
    """The console script: every ``LoopError`` becomes one line and exit status 1."""
    try:
        app(prog_name="loop")
    except LoopError as error:
        errors.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(130)
