"""Commands are imported when they run: `loop --help` stays light, and its lines agree with the commands."""

import importlib.metadata
import subprocess
import sys

import pytest
import typer

from loop.cli import lazy
from loop.cli.commands import ENTRIES
from tests.cli.test_cli import Shell, loop

__all__ = ["loop"]  # the fixture

HEAVY = {
    "alembic",
    "apscheduler",
    "coremltools",
    "fastapi",
    "httpx",
    "keras",
    "matplotlib",
    "numpy",
    "PIL",
    "pydantic",
    "sklearn",
    "sqlalchemy",
    "tensorflow",
    "uvicorn",
}


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a process has imported after `loop ARGUMENTS`."""
    script = (
        "import contextlib, io, sys\n"
        f"sys.argv = ['loop', *{list(arguments)!r}]\n"
        "from loop.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:\n"
        "    main()\n"
        "assert said.getvalue(), 'nothing was printed'\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_no_heavy_library(option: str) -> None:
    """`loop --help` and `loop --version` need names only."""
    assert modules_after(option) & HEAVY == set()


@pytest.mark.slow
def test_control_a_command_imports_its_libraries() -> None:
    """A command's own help imports the command, so the test above can fail."""
    assert {"sqlalchemy", "pydantic"} <= modules_after("status", "--help")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "versions"])
def test_daily_commands_import_no_arrays(command: str) -> None:
    """`loop status` and `loop versions` look at rows: NumPy would cost each start a tenth of a second."""
    assert modules_after(command, "--help") & {"numpy", "PIL"} == set()


@pytest.mark.parametrize("name", ENTRIES)
def test_the_line_of_help_is_the_command_s_own(name: str) -> None:
    """`loop --help` prints the first line of the command's docstring, without importing it."""
    command = lazy.load(name)
    assert command.help.split("\n")[0] == ENTRIES[name].summary


def test_an_unknown_command_is_a_wrong_command_line(loop: Shell) -> None:
    """Typer reports it; exit status 2."""
    loop("retrian", status=2)
    assert "retrian" in loop.err


def test_the_release_is_printed(loop: Shell) -> None:
    """`loop --version` prints the release of the installed package."""
    assert loop("--version") == f"loop {importlib.metadata.version('digit-loop')}\n"


def test_a_command_s_options_reach_it(loop: Shell) -> None:
    """The stub is replaced before the command line is parsed: an option that only the real command has is known."""
    assert isinstance(loop.json("settings"), dict)
    assert isinstance(lazy.load("feed").commands["publish"], typer.core.TyperCommand)
