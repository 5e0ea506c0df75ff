"""``loop worth`` and ``loop export`` on a terminal."""

import pytest

from tests.cli.test_cli import Shell, loop

__all__ = ["loop"]  # the fixture


@pytest.mark.slow
def test_a_new_deployment_learns_what_is_missing(loop: Shell) -> None:
    """Nothing is measured, and the words say what it would need; the JSON has the same."""
    loop("init")
    assert loop("worth").startswith("too little to measure yet (judging answers (slice users): 0, need 100")
    found = loop.json("worth")
    assert (found["done"], found["curves"], found["reach"], found["plot"]) == (0, {}, None, None)
    assert loop.json("status")["worth"]["text"] == found["text"]


@pytest.mark.slow
def test_export(loop: Shell) -> None:
    """A word of the command line that is unknown is named; the summary says what was written."""
    loop("init")
    target = loop.folder / "uploads.npz"
    found = loop.json("export", target, "--status", "any", "--until", "2026-05-03")
    assert (found["uploads"], found["files"]) == (0, [str(target)])
    assert "kind: expected one of correction, confirmation" in loop.refused("export", target, "--kind", "corection")
    assert "since: expected a date" in loop.refused("export", target, "--since", "yesterday")
    assert "it exists" in loop.refused("export", target)
