"""``loop …``: the door for operators, engineers and newcomers.

Commands only compose and print. What is said for a person goes to standard output, progress and errors to standard
error; ``--json`` prints one document and nothing else. Exit status: 0 done, 1 refused or failed with one line that
says what to do, 2 a wrong command line.
"""

import inspect
import io
import re
import signal
import sys

import typer
from rich.text import Text

from loop.cli import (
    demo,
    device,
    feed,
    feedback,
    keys,
    nights,
    operations,
    runs,
    schedule,
    score,
    serve,
    setup,
    sources,
    versions,
    webhooks,
)
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
        add = app.command(name.replace("_", "-"), help=_help(command), rich_help_panel=panel)
        add(command)  # type: ignore[type-var]  # plain functions


def _group(panel: str, name: str, about: str, **commands: object) -> None:
    group = typer.Typer(name=name, help=about, no_args_is_help=True)
    for verb, command in commands.items():
        group.command(verb.strip("_"), help=_help(command))(command)  # type: ignore[type-var]  # plain functions
    app.add_typer(group, rich_help_panel=panel)


def _help(command: object) -> str:
    """What the docstring says, to be broken where the terminal ends and not where the source does."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(command) or "")


_add("Begin", demo=demo.demo, init=setup.init, migrate=setup.migrate, settings=setup.settings)
_add("Feed it", **{"import": feedback.import_, "replay": feedback.replay, "erase": sources.erase})
_add("The night", retrain=nights.retrain, runs=runs.runs, logs=runs.logs)
_add("The night", schedule=schedule.schedule, pause=schedule.pause, resume=schedule.resume)
_add(
    "Versions",
    versions=versions.versions,
    show=versions.show,
    verdict=versions.verdict,
    history=versions.history,
    promote=versions.promote,
    rollback=versions.rollback,
)
_add("The service", up=serve.up, serve=serve.serve)
_group(
    "To the phones",
    "feed",
    "The signed feed: who may sign, what devices are told.",
    keys=feed.keys,
    rotate=feed.rotate,
    withdraw=feed.withdraw,
    publish=feed.publish_,
    verify=feed.verify_,
)
_group("To the phones", "device", "A device that follows a feed.", sync=device.sync, status=device.status)
_group(
    "To the phones",
    "keys",
    "Who may call the API; a secret is shown once, and only its hash is stored.",
    create=keys.create,
    list_=keys.list_,
    revoke=keys.revoke,
)
_group(
    "The night",
    "webhooks",
    "Who is told what happened: signed messages to an address.",
    add=webhooks.add,
    list_=webhooks.list_,
    remove=webhooks.remove,
    test=webhooks.ping,
    deliveries=webhooks.deliveries,
    retry=webhooks.retry,
    deliver=webhooks.deliver,
)
_add(
    "Operate",
    status=operations.status,
    doctor=operations.doctor,
    verify=operations.verify,
    gc=operations.gc,
    backup=operations.backup,
    restore=operations.restore,
)
_add("Any Core ML digit model", score=score.score, inspect=score.inspect)
_add("For the engineer", base=setup.base, gate_power=nights.gate_power)


def main() -> None:
    """The console script: every ``LoopError`` becomes one line and exit status 1."""
    signal.signal(signal.SIGTERM, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows less, but does not fail
    try:
        app(prog_name="loop")
    except LoopError as error:
        errors.print(Text(f"{type(error).__name__}: ", "bold red") + Text(str(error), ""), soft_wrap=True)
        sys.exit(1)


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 (the signal module's signature)
    """SIGTERM ends a command as Ctrl-C does: what holds a lease writes down that it stopped. A second one must not
    interrupt that.
    """
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
