"""``loop worth`` and ``loop export`` on a terminal."""

import pytest

from tests.cli.test_cli import Shell, loop

__all__ = ["loop"]  # the fixture


@pytest.mark.slow
def test_a_new_deployment_learns_what_is_missing(loop: Shell) -> None:
    """Nothing is measured, and the words say what it would need; the JSON has the same."""
    loop("init")
    assert loop("worth").startswith("too little to measure yet (judging answers drawn by lot: 0, need 100")
    found = loop.json("worth")
    assert (found["done"], found["curves"], found["reach"], found["plot"]) == (0, {}, None, None)
    assert loop.json("status")["worth"]["text"] == found["text"]
