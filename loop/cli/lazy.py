"""A command group that imports a command's module only when that command runs.

``loop --help`` needs names and summaries, not SQLAlchemy, NumPy and matplotlib.
"""

import importlib
import inspect
import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from loop.cli.commands import ENTRIES, PANELS, Entry


class LazyGroup(TyperGroup):
    """Lists ``PANELS`` by stubs, and replaces a stub by its command when it is invoked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for panel, entries in PANELS.items():
            for name, entry in entries.items():
                self.commands[name] = TyperCommand(name, help=entry.summary, rich_help_panel=panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that ``args`` name, imported; Typer reports an unknown name."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, stub if name is None else load(name), rest


def load(name: str) -> Any:
    """Import a command or a group of commands. Raises ``KeyError`` for an unknown name."""
    target = _import(ENTRIES[name])
    return typer.main.get_command(target if isinstance(target, typer.Typer) else group("", **{name: target}))


def group(about: str, **commands: Any) -> typer.Typer:
    """Commands under one name; a trailing ``_`` keeps a verb apart from a Python word."""
    made = typer.Typer(
        help=about, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
    )
    for verb, command in commands.items():
        made.command(verb.strip("_"), help=_help(command))(command)
    return made


def _import(entry: Entry) -> Any:
    module, _, name = entry.target.partition(":")
    return getattr(importlib.import_module(f"loop.cli.{module}"), name)


def _help(command: object) -> str:
    """The docstring, with its paragraphs joined: the terminal decides where a line ends."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(command) or "")
