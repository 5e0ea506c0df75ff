"""The JavaScript client: on the vectors in Node and in Chromium, type-checked strictly, and at the real API.

Node 20 runs it; where there is none, or no registry for the type checker, the tests skip with the reason.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from loop.feed import asking, document, refusals
from loop.feed.client import syncing
from tests.helpers.paths import ROOT

CLIENT = ROOT / "clients/js"
OWN_RULES = {"DiskFull", "Busy", "NoSecret", "BadImage", "BadField", "Unsupported"}
MINIMUM_NODE = 20


def node(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run Node in the client's folder; skip the test where Node is missing or too old for Ed25519 in WebCrypto."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node here; Node 20 or later runs the JavaScript client's tests")
    version = subprocess.run([found, "--version"], check=True, text=True, capture_output=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < MINIMUM_NODE:
        pytest.skip(f"expected Node {MINIMUM_NODE} or later, got {version}")
    env = {"PATH": str(Path(found).parent), "NO_COLOR": "1"} | environ
    return subprocess.run(
        [found, *arguments], cwd=CLIENT, env=env, check=False, text=True, capture_output=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in (CLIENT / "test").glob("*.test.js")))
def test_in_node(file: str) -> None:
    """Every test of the file passes: the vectors, all attacks on the feed, syncs and uploads that break off."""
    done = node("--test", "--test-reporter=tap", f"test/{file}")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"^# fail 0$", done.stdout, re.M)
    assert "Warning" not in done.stderr


def test_every_refusal_has_its_rule() -> None:
    """``Rule`` has each name of ``loop.feed.refusals``, and the client's own."""
    every = {name for name, kind in vars(refusals).items() if isinstance(kind, type) and name != "FeedRefused"}
    declared = source("errors.js").partition("} Rule")[0]
    assert set(re.findall(r'"(\w+)"', declared)) == every | OWN_RULES


def test_limits_are_the_same() -> None:
    """Both sides have the same limits of documents and files."""
    found = dict(re.findall(r"^  (\w+): ([\d <]+),", source("documents.js"), re.M))
    expected = {
        "document": document.MAX_BYTES,
        "model": document.MAX_MODEL_BYTES,
        "golden": document.MAX_GOLDEN_BYTES,
        "channels": document.MAX_CHANNELS,
        "withdrawn": document.MAX_WITHDRAWN,
        "keys": document.MAX_KEYS,
        "roots": syncing.MAX_ROOTS,
        "askedADay": asking.MAX_ASKED_A_DAY,
        "critical": asking.MAX_CRITICAL,
    }
    assert {name: shifted(found[name]) for name in expected} == expected


def test_it_depends_on_nothing() -> None:
    """No module imports anything but the client's own files."""
    named = [
        name for path in (CLIENT / "src").glob("*.js") for name in re.findall(r' from "([^"]+)"', path.read_text())
    ]
    assert len(named) > 50
    assert [name for name in named if not re.fullmatch(r"\./\w+\.js", name)] == []


def source(name: str) -> str:
    """A module of the client."""
    return (CLIENT / "src" / name).read_text(encoding="utf-8")


def shifted(text: str) -> int:
    """``256 << 20`` as a number."""
    number, _, shift = text.partition("<<")
    return int(number) << int(shift or 0)
