"""docs/app.md from top to bottom: its shell at a real server, its JavaScript in Node, and how much code an app needs.

Its Swift is type-checked by ``clients/swift/check.sh apple``, which ``tests/clients/swift`` runs.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from loop.clock import utc_now
from loop.feed import upkeep
from loop.store.asking import policies
from tests.api.conftest import opened, serving
from tests.api.process import BOUNDLESS
from tests.clients.test_js import node
from tests.feed.conftest import WHY, Office
from tests.helpers.paths import ROOT

MOST_LINES = 25
PAGE = (ROOT / "docs/app.md").read_text(encoding="utf-8")
CLIENT = (ROOT / "clients/js").as_uri()
PRELUDE = f"""
import {{ readFileSync }} from "node:fs";
import {{ fromBase64 }} from "{CLIENT}/src/bytes.js";
import {{ MemoryStore }} from "{CLIENT}/src/index.js";
import {{ recorded }} from "{CLIENT}/test/checks.js";
const given = JSON.parse(readFileSync(process.argv[2], "utf8"));
const {{ url: server, key, root: text, models, digit: said, answer: answered }} = given;
const root = fromBase64(text);
const some = [0.02, 0.5, 0, 0, 0, 0, 0, 0.48, 0, 0]; // of a picture without a recorded answer
const loadModel = async (bytes) => {{
  const model = await recorded(models)(bytes);
  return {{ metadata: model.metadata, probabilities: async (pixels) => (await model.probabilities(pixels)) ?? some }};
}};
const strokes = [[[20, 10], [80, 12], [45, 90]]];
const stores = {{ phone: new MemoryStore(), outbox: new MemoryStore() }};
const user = {{ says: async () => said, answers: async () => answered }};
"""
AFTERWARDS = """
const { corrections } = await outbox.history();
const { kind, label } = corrections[0];
console.log(JSON.stringify([done.accepted.length, done.waiting, corrections.length, kind, label]));
"""


def snippets(language: str) -> list[str]:
    """The page's snippets in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("language", ["swift", "js"])
def test_the_whole_circle_takes_few_lines(language: str) -> None:
    """Sync, install, predict, ask, correct and outbox; comments, blank lines and what takes back are not counted."""
    [circle] = snippets(language)
    needed = circle.partition("\n// Take it back")[0]
    lines = [line for line in needed.splitlines() if line.strip() and not line.lstrip().startswith("//")]
    assert 10 < len(lines) <= MOST_LINES
    for word in ("sync()", "upload()", "consider(", "add(", "asked" if language == "js" else "left("):
        assert word in needed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("digit", "answer", "kind", "label"),
    [(4, None, "correction", 4), (1, None, "confirmation", 1), (None, 7, "asked", 7), (None, None, "drawing", None)],
)
def test_its_javascript_runs(
    tmp_path: Path, digit: int | None, answer: int | None, kind: str, label: int | None
) -> None:
    """In Node, at a server that asks for every confirmation and every unsure drawing: each way of the circle."""
    [circle] = snippets("js")
    code = PRELUDE + circle.replace('"digit-loop"', f'"{CLIENT}/src/index.js"') + AFTERWARDS
    (tmp_path / "page.mjs").write_text(code, encoding="utf-8")
    with published(tmp_path) as given:
        (tmp_path / "given.json").write_text(json.dumps(given | {"digit": digit, "answer": answer}))
        done = node(str(tmp_path / "page.mjs"), str(tmp_path / "given.json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 0, 1, kind, label]


@pytest.mark.slow
def test_its_shell_runs(tmp_path: Path) -> None:
    """Both terminals, on a machine without MNIST and without a network but the loopback."""
    first, second = snippets("sh")
    activate, home, start = first.splitlines()
    assert home.startswith("export LOOP_HOME=$PWD/first ")
    assert activate == ". .venv/bin/activate"
    assert start.startswith("loop up ")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    with up(tmp_path) as address:
        said = shell(tmp_path, second.replace("http://127.0.0.1:8000", address))
    assert "version 1 reads" in said
    [listed] = json.loads(said.splitlines()[-1].partition('}{"corrections"')[2].join(['{"corrections"', ""]))[
        "corrections"
    ]
    assert (listed["label"], listed["predicted"], listed["status"]) == (1, 7, "accepted")


def environment(folder: Path) -> dict[str, str]:
    """That of a newcomer: no setting of ours, no network."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOP_")}
    more = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "KERAS_HOME": str(folder / "keras"), "LOOP_ACTOR": "a"}
    return kept | nowhere | more | {"PYTHONPATH": str(ROOT)}


def shell(folder: Path, script: str) -> str:
    """What a script prints; it ends at the first command that fails."""
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(folder),
        check=False,
        text=True,
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def up(folder: Path) -> Iterator[str]:
    """``loop up`` in the first terminal, on a free port; its address."""
    environ = environment(folder) | {"LOOP_HOME": str(folder / "first")}
    with (
        (folder / "log").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "loop", "up", "--port", "0"],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            address = next((line.split()[-1] for line in process.stdout if line.startswith("listening on")), None)
            assert address is not None, (folder / "log").read_text()
            until = time.monotonic() + 60
            while httpx.get(f"{address}/readyz", trust_env=False).status_code != 200:
                assert time.monotonic() < until
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextmanager
def published(folder: Path) -> Iterator[dict[str, Any]]:
    """A server with one version, a feed that asks for every confirmation, and a policy that asks the user."""
    home = opened(f"sqlite:///{folder / 'loop.db'}", folder, serve=replace(BOUNDLESS), confirm_rate=1.0)
    office = Office(home, home.settings.published)
    office.now = utc_now().replace(microsecond=0)
    office.register()
    root = office.create()
    document = {"ask_user": True, "asked_a_day": 1, "margin_ppm": 300_000, "other_ppm": 0, "unsure_ppm": 1_000_000}
    with home.store.write() as tx:
        policies.add(tx, policies.SetPolicy(document, (), "tests", office.now))
    upkeep.follow(home, WHY, office.now)
    vectors = json.loads((ROOT / "clients/vectors/feed.json").read_text())
    with serving(home) as server:
        text = base64.b64encode(root).decode()
        yield {"url": server.url, "key": server.keys["app"], "root": text, "models": vectors["models"]}
