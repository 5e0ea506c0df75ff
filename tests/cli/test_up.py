"""`loop up` on a machine without MNIST and without a network: the first start of a newcomer."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from loop.home import settings
from tests.helpers.paths import ROOT

NO_NETWORK = "http://127.0.0.1:1"  # a proxy at a port where nothing listens


@pytest.mark.slow
def test_it_starts_anywhere_and_says_how(tmp_path: Path) -> None:
    """It tries the download, says what it uses instead, shows its steps in a log, serves, and ends on SIGTERM."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOP_")}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NO_NETWORK)
    environ = kept | proxies | {"KERAS_HOME": str(tmp_path / "keras"), "PYTHONPATH": str(ROOT), "LOOP_ACTOR": "tester"}
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "loop", "up", "--port", "0"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        address = next((line.split()[-1] for line in process.stdout if line.startswith("listening on")), None)
        assert address is not None, log.read_text()
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{address}/readyz") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    said = log.read_text(encoding="utf-8")
    for words in ("downloading", "the download failed", "bundled digits instead", "0:00:0", "judge"):
        assert words in said, said
    assert settings.load({"LOOP_HOME": str(tmp_path / "var")}).corpus == "digits"
