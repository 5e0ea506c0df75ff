"""``loop feed`` and ``loop device``: the whole cycle, valid JSON, and errors of one line."""

import json
import re
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loop import cli, registry
from loop.clock import utc_now
from loop.data.digits import to_png
from loop.feed import authority, trust
from loop.feed.asking import AskingPolicy
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.store import Store
from loop.store.asking import policies
from loop.store.asking.policies import SetPolicy
from tests.feed.conftest import WHY, Office
from tests.feed.simulator import CHANNEL
from tests.helpers import stores, stripes
from tests.helpers.paths import ROOT


class Shell:
    """Runs `loop …` in this process, in a home with one champion."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys, self.folder = monkeypatch, capsys, folder
        monkeypatch.chdir(folder)
        for name, value in {"HOME": "home", "ACTOR": "tester"}.items():
            monkeypatch.setenv(f"LOOP_{name}", value)
        settings = Settings(home=folder / "home")
        store = Store(settings.url)
        stores.migrate(store)
        self.office = Office(Home(settings, store, Artifacts(settings.home / "artifacts")), folder / "site")
        self.office.now = utc_now()
        self.office.register()

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """The command's standard output; its exit status must be ``status``."""
        self.monkeypatch.setattr(sys, "argv", ["loop", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, self.err = self.capsys.readouterr()
        assert (caught.value.code or 0) == status, out + self.err
        assert "Traceback" not in out + self.err
        return out

    def json(self, *arguments: object, status: int = 0) -> Any:
        """The command's parsed JSON output."""
        return json.loads(self(*arguments, "--json", status=status))

    def refused(self, *arguments: object) -> str:
        """The one line that a failing command prints on standard error."""
        self(*arguments, status=1)
        line = self.err.strip()
        assert "\n" not in line
        return line


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """A shell."""
    return Shell(monkeypatch, capsys, tmp_path)


@pytest.mark.slow
def test_the_whole_circle(loop: Shell) -> None:
    """Keys, publish, sync, rotate, roll back, publish, sync and verify work from the command line."""
    made = loop.json("feed", "keys", "--create", "--save-root", "root.json")
    assert (made["root"], made["epoch"], made["thresholds"]) == (1, 1, {"roots": 2, "feeds": 1})
    assert len(made["keys"]) == 4
    first = loop.json("feed", "publish", "--to", "site")
    assert first["channels"][CHANNEL]["version"] == 1
    begun = loop.json("device", "sync", "--url", "site", "--state", "phone", "--root", "root.json")
    assert (begun["action"], begun["current"]["version"]) == ("install", 1)
    assert Path(begun["model"]).is_file()
    loop.office.register()
    assert "2" in loop("feed", "publish", "--to", "site", "--urgent")
    assert loop.json("device", "sync", "--url", "site", "--state", "phone")["urgent"] is True
    loop("feed", "rotate", "--reason", "a year has passed")
    registry.rollback(loop.office.home, "cnn", None, WHY, utc_now())
    loop("feed", "withdraw", "2", "--reason", "reads 7 as 1")
    third = loop.json("feed", "publish", "--to", "site")
    assert third["sequence"] > first["sequence"]
    assert len(third["withdrawn"]) == 1
    output = loop("device", "sync", "--url", "site", "--state", "phone")
    assert "version 2 was withdrawn" in output
    assert "\nversion 1\n" in output
    status = loop.json("device", "status", "--state", "phone")
    assert (status["root"], status["sequence"], status["current"]["version"]) == (2, third["sequence"], 1)
    assert "version 1" in loop("device", "status", "--state", "phone")
    assert loop.json("feed", "verify", "site", "--root", "root.json")["root"] == 2
    assert "roots up to 2" in loop("feed", "verify", "site")
    assert "root 2" in loop("feed", "keys")
    assert "move them" in loop.err


def test_a_refusal_names_its_rule(loop: Shell) -> None:
    """A device that refuses names the rule, on one line or as JSON, and exits with status 1."""
    loop("feed", "keys", "--create", "--save-root", "root.json")
    loop("feed", "publish", "--to", "site")
    assert "StateUnreadable" in loop.refused("device", "sync", "--url", "site", "--state", "phone")
    loop("device", "sync", "--url", "site", "--state", "phone", "--root", "root.json")
    feed = loop.folder / "site" / "feed.json"
    feed.write_bytes(feed.read_bytes().replace(b'"confirm_ppm":50000', b'"confirm_ppm":1'))
    assert loop.refused("device", "sync", "--url", "site", "--state", "phone").startswith(
        "TooFewSignatures: feed: expected 1"
    )
    document = loop.json("device", "sync", "--url", "site", "--state", "phone", status=1)
    assert document["refused"] == "TooFewSignatures"
    assert "TooFewSignatures" in loop.refused("feed", "verify", "site")


def test_mistakes_are_one_line(loop: Shell) -> None:
    """Each mistake gives one line that states what was expected and what to do."""
    assert "--create" in loop.refused("feed", "publish", "--to", "site")
    assert "--create" in loop.refused("feed", "verify", "site")
    loop("feed", "keys", "--create")
    assert "rotate" in loop.refused("feed", "keys", "--create")
    assert "rollback" in loop.refused("feed", "withdraw", "1", "--reason", "bad")
    assert "no version 9" in loop.refused("feed", "withdraw", "9", "--reason", "bad")
    assert "first six or more digits" in loop.refused("feed", "rotate", "--reason", "x", "--replace-root", "zz")
    assert "--rollout" in loop.refused("feed", "publish", "--to", "site", "--urgent", "--rollout", "5")
    assert "--ios" in loop.refused("device", "sync", "--url", "site", "--state", "p", "--ios", "twelve")
    assert "app's root document" in loop.refused("device", "sync", "--url", "s", "--state", "p", "--root", "nowhere")
    assert "device's folder" in loop.refused("device", "status", "--state", "nowhere")


def test_mistakes_at_a_drawing_are_one_line(loop: Shell) -> None:
    """No device, no model, no picture, no key, no policy, no server: each says what was expected, and sends nothing."""
    draw = ("device", "draw", "digit.png", "--state", "phone")
    assert "run `loop device sync` first" in loop.refused(*draw)
    loop("feed", "keys", "--create", "--save-root", "root.json")
    loop("feed", "publish", "--to", "site")
    loop("device", "sync", "--url", "site", "--state", "phone", "--root", "root.json")
    assert "digit.png cannot be read" in loop.refused(*draw)
    (loop.folder / "digit.png").write_bytes(to_png(np.zeros((28, 28), np.uint8)))
    assert "blank" in loop.refused(*draw)
    (loop.folder / "digit.png").write_bytes(to_png(stripes.images()[3]))
    assert "no asking policy is valid" in loop(*draw)
    assert loop.json(*draw)["send"] is False
    assert "`loop keys create`" in loop.refused(*draw, "--send", "http://127.0.0.1:9/v1")
    assert "--answer: expected no answer" in loop.refused(*draw, "--answer", "4")
    document = asdict(AskingPolicy(1_000_000, 1_000_000, 1_000_000))
    with loop.office.home.store.write() as tx:
        policies.add(tx, SetPolicy(document, ("a test",), "ops", utc_now()))
    loop("feed", "publish", "--to", "site")
    loop("device", "sync", "--url", "site", "--state", "phone")
    send = ("--send", "http://127.0.0.1:9/v1", "--key", "loop_app_x")
    assert "expected a server, got ConnectError; send it again" in loop.refused(*draw, *send)
    secret = loop.folder / "phone" / "source-secret"
    assert (len(secret.read_text()), secret.stat().st_mode & 0o777) == (43, 0o600)
    again = loop.json(*draw)
    assert (again["send"], again["known"], again["sent"]) == (True, True, None)
    assert "as decided before" in loop(*draw)


def test_passphrase_from_the_environment(loop: Shell) -> None:
    """A passphrase in the environment encrypts and opens keys, and `loop settings` does not print it."""
    loop.monkeypatch.setenv("LOOP_KEY_PASSPHRASE", "geheim")
    loop("feed", "keys", "--create")
    folder = loop.folder / "home" / "keys"
    assert all(b"ENCRYPTED" in path.read_bytes() for path in folder.iterdir())
    loop("feed", "publish", "--to", "site")
    assert "geheim" not in loop("settings", "--json")
    loop.monkeypatch.setenv("LOOP_KEY_PASSPHRASE", "falsch")
    assert "falsch" not in loop.refused("feed", "publish", "--to", "site")


def test_root_keys_from_elsewhere(loop: Shell) -> None:
    """Root keys are found in the folders given with --keys; without root keys a rotation is refused."""
    loop("feed", "keys", "--create")
    for number, path in enumerate(sorted((loop.folder / "home" / "keys").glob("r*.pem"))):
        (loop.folder / f"stick-{number}").mkdir()
        path.rename(loop.folder / f"stick-{number}" / path.name)
    assert "--keys" in loop.refused("feed", "rotate", "--reason", "stolen", "--recover")
    loop("feed", "rotate", "--reason", "stolen", "--recover", "--keys", "stick-0", "--keys", "stick-2")
    trusted: trust.Trusted = authority.trusted(loop.office.home)
    assert (trusted.root.version, trusted.root.epoch) == (2, 2)
    assert all(key.expires > utc_now() + timedelta(days=300) for key in trusted.root.feed_keys.values())


@pytest.mark.slow
def test_adopt_after_a_lost_store(loop: Shell) -> None:
    """`loop feed keys --adopt` copies a published folder's roots into a store without roots, and only then."""
    loop("feed", "keys", "--create")
    loop("feed", "publish", "--to", "site")
    assert "already" in loop.refused("feed", "keys", "--adopt", "site")
    for path in (loop.folder / "home").glob("loop.db*"):
        path.unlink()
    loop("migrate")
    assert "no such file" in loop.refused("feed", "keys", "--adopt", "nowhere")
    assert loop.json("feed", "keys", "--adopt", "site")["root"] == 1


def test_the_commands_in_the_documentation_exist(loop: Shell) -> None:
    """Every command and option in docs/feed.md appears in `--help`."""
    text = (ROOT / "docs/feed.md").read_text(encoding="utf-8")
    lines = re.findall(r"^loop (feed|device) (\w+)([^#\n]*)", text, re.M)
    assert len(lines) >= 7
    for group, verb, rest in lines:
        known = loop(group, verb, "--help")
        assert all(option in known for option in re.findall(r"--[a-z-]+", rest)), (verb, rest)
