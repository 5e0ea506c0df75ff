"""Clients that generators make from the OpenAPI document, compiled strictly and used against the real server."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loop.feed import upkeep
from tests.api.conftest import Server, picture, serving
from tests.feed.conftest import WHY, Office, small
from tests.helpers.paths import ROOT

__all__ = ["small"]  # pytest finds the fixture by its name

CLIENTS = ROOT / "tests" / "api" / "clients"
SECONDS = 600
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

pytestmark = pytest.mark.slow


@pytest.fixture
def site(small: Office) -> Iterator[Server]:
    """A server with two versions and a published feed."""
    small.create()
    small.register()
    small.folder = small.home.settings.published
    upkeep.follow(small.home, WHY, small.now)
    with serving(small.home) as server:
        yield server


def run(folder: Path, *command: str, path: Path | None = None) -> str:
    """What a command prints; it must succeed, and warn of nothing."""
    environ = os.environ | ({"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {})
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "warn" not in printed.lower(), printed
    return done.stdout


def install(folder: Path, *command: str) -> None:
    """Install what a lock file names; skip the test where the registry cannot be reached."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode and re.search(r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|Failed to establish", done.stderr):
        pytest.skip(f"{command[0]} cannot reach its registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def arguments(site: Server) -> list[str]:
    """What both clients are started with."""
    phone = site.phone()
    return [site.url, phone.key, site.keys["reviewer"], phone.secret, base64.b64encode(picture(1)).decode()]


def check(found: dict[str, Any]) -> None:
    """Stored once and replayed; refusals have types to branch on; feed, files, versions and predictions are typed."""
    assert TIMESTAMP.fullmatch(found.pop("received_at"))
    assert found.pop("first") == found.pop("again") == 1
    assert found.pop("model") == found.pop("length") > 0
    assert found == {
        "replayed": "true",
        "wrong": "refused: urn:digit-loop:bad-label",
        "batch": [[201, "drop: it is on disk"], [422, "refused: urn:digit-loop:bad-label"]],
        "empty": "split",
        "version": 2,
        "golden": True,
        "root": 1,
        "versions": [[2, "champion"], [1, None]],
        "read": 10,
    }


@pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="node and npm are not installed"
)
def test_a_typescript_client(site: Server, tmp_path: Path) -> None:
    """openapi-typescript's types pass ``tsc --strict``, and openapi-fetch works with them, without a warning."""
    for name in ("package.json", "package-lock.json", "tsconfig.json", "client.ts"):
        shutil.copy(CLIENTS / name, tmp_path)
    install(tmp_path, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    run(tmp_path, "npx", "--no-install", "openapi-typescript", f"{site.url}/openapi.json", "-o", "api.ts")
    run(tmp_path, "npx", "--no-install", "tsc", "--strict", "-p", ".")
    check(json.loads(run(tmp_path, "node", "client.js", *arguments(site))))


def test_a_python_client(site: Server, tmp_path: Path) -> None:
    """openapi-python-client leaves out no operation, and what it makes works, without a warning."""
    shutil.copy(CLIENTS / "requirements.txt", tmp_path)
    shutil.copy(CLIENTS / "client.py", tmp_path)
    environment = tmp_path / "environment"
    install(tmp_path, sys.executable, "-m", "venv", str(environment))
    programs = environment / "bin"
    install(tmp_path, str(programs / "pip"), "install", "--quiet", "--require-hashes", "-r", "requirements.txt")
    generate = ["generate", "--url", f"{site.url}/openapi.json", "--meta", "none", "--output-path", "digit_loop_client"]
    run(tmp_path, str(programs / "openapi-python-client"), *generate, "--fail-on-warning", path=programs)
    made = {file.stem for file in (tmp_path / "digit_loop_client" / "api").glob("*/*.py")} - {"__init__"}
    assert made >= {"send_correction", "send_batch", "get_feed", "get_model", "predict", "list_versions", "metrics"}
    check(json.loads(run(tmp_path, str(programs / "python"), "client.py", *arguments(site))))
