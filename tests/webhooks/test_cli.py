"""``loop webhooks`` prints a secret once, masks addresses, and refuses in one line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from loop import cli
from loop import home as homes
from loop.home.settings import Settings
from loop.store.service import hooks
from loop.store.service.hooks import Status
from tests.conftest import NOW
from tests.helpers import stores
from tests.webhooks.conftest import happen
from tests.webhooks.receiver import Receiver, genuine


class Shell:
    """Runs ``loop webhooks …`` in this process, in a new home."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        for name, value in {"HOME": str(folder / "home"), "ACTOR": "tester", "WEBHOOKS_PRIVATE": "true"}.items():
            monkeypatch.setenv(f"LOOP_{name}", value)
        settings = Settings(home=folder / "home")
        self.home = homes.opened(settings, create=True)
        stores.migrate(self.home.store)

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """The command's standard output; its exit status must be ``status``."""
        self.monkeypatch.setattr(sys, "argv", ["loop", "webhooks", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, self.err = self.capsys.readouterr()
        assert (caught.value.code or 0) == status, out + self.err
        assert "Traceback" not in out + self.err
        return out

    def json(self, *arguments: object) -> Any:
        """The command's parsed JSON output."""
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments: object) -> str:
        """The one line that a failing command prints on standard error."""
        self(*arguments, status=1)
        line = self.err.strip()
        assert "\n" not in line
        return line


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """The command line."""
    return Shell(monkeypatch, capsys, tmp_path)


def test_the_circle(loop: Shell, receiver: Receiver) -> None:
    """Adding, testing, delivering, listing and removing a webhook work from the command line."""
    made = loop.json("add", f"{receiver.url}/geheim?token=geheim", "--kind", "version.promoted")
    assert made["kinds"] == ["version.promoted"]
    assert made["url"] == f"{receiver.url}/…"
    tested = loop.json("test", 1)
    assert [(each["status"], each["answer"]) for each in tested] == [("delivered", "204")]
    happen(loop.home)
    assert "1 messages" in loop("deliver")
    assert [got.message["type"] for got in receiver.got] == ["webhook.test", "version.promoted"]
    assert all(genuine(made["secret"], got) for got in receiver.got)
    shown = loop("deliveries") + loop("list") + loop("deliveries", "--json") + loop("list", "--json")
    assert "delivered" in shown
    assert "version.promoted" in shown
    assert "geheim" not in shown
    assert made["secret"] not in shown
    assert "secret deleted" in loop("remove", 1)
    assert loop.json("list") == []


def test_the_secret_is_shown_when_it_is_made(loop: Shell, receiver: Receiver) -> None:
    """For people: with the warning that it is printed only once, and the next command."""
    said = loop("add", receiver.url)
    assert "whsec_" in said
    assert "printed only now" in said
    assert "loop webhooks test 1" in said


def test_given_up_deliveries_are_retried(loop: Shell, receiver: Receiver) -> None:
    """`loop webhooks retry` sends given-up deliveries again."""
    loop("add", f"{receiver.url}/status/500")
    happen(loop.home)
    with loop.home.store.write() as tx:
        taken = hooks.take(tx, NOW, lambda _: NOW)
        assert taken is not None
        hooks.settle(tx, taken, Status.GIVEN_UP, "500", NOW)
    assert [each["status"] for each in loop.json("deliveries", "--status", "given-up", "--hook", 1)] == ["given-up"]
    assert "1 messages are queued again" in loop("retry", 1)
    assert [each["status"] for each in loop.json("deliveries", "--status", "waiting")] == ["waiting"]


def test_refusals(loop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused command prints one line with what to do, and stores nothing."""
    assert "expected an http or https URL" in loop.refused("add", "ftp://example.org/")
    assert "expected kinds among night.finished" in loop.refused("add", "http://127.0.0.1/", "--kind", "webhook.test")
    assert "no webhook 7" in loop.refused("test", 7)
    assert "no webhook 7" in loop.refused("remove", 7)
    assert "no webhook" in loop.refused("retry", 2**63)
    monkeypatch.setenv("LOOP_WEBHOOKS_PRIVATE", "false")
    line = loop.refused("add", "http://127.0.0.1:8000/geheim")
    assert "expected a public address" in line
    assert "webhooks_private" in line
    assert "geheim" not in line
    assert loop.json("list") == []
