"""What is logged: one line a record, no secrets, and which run it belongs to."""

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.home import logs
from loop.home.settings import Settings
from tests.helpers.paths import ROOT

KEY = "loop_ops_" + "k" * 43
SECRETS = {
    KEY: KEY,
    "loop_app_" + "a-_" * 14 + "x": "loop_app_" + "a-_" * 14 + "x",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "postgresql+psycopg://loop:geheim@db/loop does not answer": "geheim",
    "https://geheim@example.org/hook": "geheim",
    "https://u:ge@heim@example.org/hook": "heim",
    "Authorization: Bearer geheim.geheim": "geheim",
    "{'authorization': 'Basic Z2VoZWlt'}": "Z2VoZWlt",
    "authorization=geheim": "geheim",
    "Loop-Source: geheimgeheimgeheim": "geheim",
    "password=geheim host=db": "geheim",
    '{"password": "ge heim"}': "heim",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----": "MC4CAQAw",
    "-----BEGIN EC PRIVATE KEY-----\nMC4CAQAw and then it was cut off": "MC4CAQAw",
}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is one for the process; put it back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def stream(form: str = "json") -> io.StringIO:
    """Where everything goes from now on."""
    made = io.StringIO()
    logs.begin(Settings(log_format=form), made)
    return made


def lines(made: io.StringIO) -> list[dict[str, Any]]:
    """The records as machines read them."""
    return [json.loads(line) for line in made.getvalue().splitlines()]


def test_a_record_in_json() -> None:
    """Time in UTC, level, logger, message, and the fields that the caller gave."""
    out = stream()
    logging.getLogger("loop.night.retrain").warning(
        "step %s", "teach", extra={"seconds": 1.5, "picture": b"\x00" * 784}
    )
    (line,) = lines(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "loop.night.retrain",
        "message": "step teach",
        "seconds": 1.5,
        "picture": "784 bytes",
    }


def test_a_record_in_text() -> None:
    """The same for people."""
    out = stream("text")
    logging.getLogger("loop.night.retrain").info("done", extra={"version": 3})
    assert re.fullmatch(r"\d\d:\d\d:\d\d info loop\.night\.retrain: done · version=3\n", out.getvalue())


def test_what_a_record_is_about() -> None:
    """Fields of the surroundings are on every record below them, not beyond, and not in another thread."""
    out = stream()
    log = logging.getLogger("loop")
    with logs.about(slot="clock/cnn"), logs.about(run=7):
        log.info("inside")
        thread = threading.Thread(target=log.info, args=("elsewhere",))
        thread.start()
        thread.join()
    log.info("outside")
    inside, elsewhere, outside = lines(out)
    assert (inside["slot"], inside["run"]) == ("clock/cnn", 7)
    assert "run" not in elsewhere
    assert "run" not in outside


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(("said", "secret"), SECRETS.items())
def test_secrets_are_masked_wherever_they_stand(form: str, said: str, secret: str) -> None:
    """In a message, an argument, a field, a field of the surroundings, and an exception with its cause."""
    out = stream(form)
    log = logging.getLogger("loop")
    log.info(said.replace("%", "%%"))
    log.info("%s", said, extra={"field": said, "nested": {"deep": [said]}})
    with logs.about(request=said):
        try:
            try:
                raise ValueError(said)
            except ValueError as error:
                raise RuntimeError("outer") from error
        except RuntimeError:
            log.exception("failed")
    assert secret not in out.getvalue()
    assert secret not in out.getvalue().replace("\\n", "\n")
    assert out.getvalue().count("***") >= 6


def test_ordinary_words_are_not_masked() -> None:
    """The control: what looks a little like a secret and is none."""
    for said in ("https://example.org/a@b", "loop_nights_total", "run 7: no key", "mail me@example.org", "a//b:c@d"):
        assert logs.masked(said) == said


@pytest.mark.slow
@given(st.text(), st.text(min_size=1, max_size=20), st.text())
def test_one_record_is_one_line(message: str, name: str, value: str) -> None:
    """Whatever a stranger writes into a message, a field or its name: no second line, no control character."""
    for form in ("json", "text"):
        out = stream(form)
        with logs.about(**{name: value}):
            logging.getLogger("loop").info("%s", message)
        text = out.getvalue()
        assert text.endswith("\n")
        assert len(text.splitlines()) == 1
        assert text[:-1].isprintable()
        if form == "json":
            assert json.loads(text)["level"] == "info"  # no field of a stranger's takes the place of ours


def test_a_traceback_cannot_pass_for_records() -> None:
    """On a terminal its lines are marked; for machines it is one field."""
    fake = '\n{"level": "info", "message": "all is well"}\n03:00:00 info loop: all is well'
    for form in ("json", "text"):
        out = stream(form)
        try:
            raise ValueError(fake)
        except ValueError:
            logging.getLogger("loop").exception("failed")
        if form == "json":
            (line,) = lines(out)
            assert "all is well" in line["exception"]
        else:
            first, *rest = out.getvalue().splitlines()
            assert first.endswith("error loop: failed")
            assert all(line.startswith("    | ") for line in rest)


def test_a_very_long_field_is_cut() -> None:
    """And masking it takes no time worth mentioning, whatever it is made of."""
    for unit in ("a", "a.", "://", ":", "a://a:", "password=", "loop_ops_", "authorization: "):
        out, begun = stream(), time.perf_counter()
        logging.getLogger("loop").info("long", extra={"field": unit * 1_000_000})
        assert len(out.getvalue()) < 2 * logs.MAX_CHARACTERS
        assert time.perf_counter() - begun < 2


def test_libraries_speak_through_us() -> None:
    """uvicorn's and APScheduler's own handlers go, what they have to say comes; not every beat, nor whole URLs."""
    theirs = io.StringIO()
    for name in ("uvicorn", "uvicorn.error", "apscheduler"):
        logging.getLogger(name).addHandler(logging.StreamHandler(theirs))
        logging.getLogger(name).propagate = False
    out = stream()
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "\x1b[1m7"})
    logging.getLogger("apscheduler.scheduler").info("Scheduler started")
    logging.getLogger("apscheduler.scheduler").error("Error getting due jobs")
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.example/geheim")
    said = [(line["logger"], line["level"]) for line in lines(out)]
    assert said == [("uvicorn.error", "info"), ("apscheduler.scheduler", "error")]
    assert "color_message" not in out.getvalue()
    assert theirs.getvalue() == ""


def test_beginning_twice_says_things_once() -> None:
    """The last call holds."""
    first, second = stream(), stream("text")
    logging.getLogger("loop").info("once")
    assert (first.getvalue(), len(second.getvalue().splitlines())) == ("", 1)


CODE = "import logging; from loop.home import logs, settings; logs.begin(settings.load()); logging.warning('hello')"


@pytest.mark.slow
def test_auto_is_json_for_machines() -> None:
    """Standard error that is a pipe."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr)["message"] == "hello"


@pytest.mark.slow
def test_auto_is_text_on_a_terminal() -> None:
    """Standard error that is one."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", CODE], cwd=ROOT, stderr=theirs):
        os.close(theirs)
        said = os.read(ours, 1000).decode()
    os.close(ours)
    assert said.strip().endswith("warning root: hello")
