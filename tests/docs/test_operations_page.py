"""Every metric, event, command and setting on the operators' page and in the alert rules exists."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from loop import webhooks
from loop.cli import lazy
from loop.clock import utc_now
from loop.feed import publish, upkeep
from loop.home import Home
from loop.home.artifacts import Artifacts
from loop.home.settings import Settings
from loop.operations.metrics import Metrics
from loop.store import Store, values
from loop.store.feedback import live_accuracy
from loop.store.nights import runs
from loop.store.service import heartbeats, messages
from loop.store.service.messages import Kind
from loop.store.values import RunStatus
from loop.webhooks import hooks
from tests.api.conftest import opened, serving
from tests.conftest import NOW
from tests.helpers import stores
from tests.helpers.paths import ROOT
from tests.store.conftest import add_version, version
from tests.webhooks.conftest import happen
from tests.webhooks.receiver import listening

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
RULES = yaml.safe_load((ROOT / "docs/alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
OWN = ("operations.md", "deployment.md")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home on SQLite that may send webhooks to this machine."""
    settings = Settings(home=tmp_path / "home", webhooks_private=True)
    store = Store(settings.url)
    stores.migrate(store)
    yield Home(settings, store, Artifacts(settings.home / "artifacts"))
    store.close()


@pytest.fixture
def metrics(home: Home, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """The metrics of a home in which every kind of event has happened."""
    feed = publish.Feed(1, 7, 1, NOW, NOW + timedelta(hours=168), 0, {})
    monkeypatch.setattr(upkeep, "published", lambda home: feed)
    hooks.add(home, "http://127.0.0.1:9/", [], "ops", NOW)
    add_version(home.store)
    with home.store.exclusive() as tx:
        heartbeats.beat(tx, "me", "scheduler", NOW)
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, NOW)
        runs.finish(tx, run.id, RunStatus.FAILED, "a reason", {}, NOW)
    metrics = Metrics(home)
    metrics.observe("POST /v1/corrections", 201, 0.01)
    metrics.acknowledged("correction")
    metrics.refused(ValueError())
    monkeypatch.setattr(
        live_accuracy, "live", lambda tx, least_rate: [live_accuracy.Live(1, "said", 9, 3, 0.9, 0.8, 0.95, 9.0)]
    )
    return metrics


def exposed_labels(metrics: Metrics) -> dict[str, set[str]]:
    """Metric → its exposed labels; histograms and counters have the names of the table."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition(NOW).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    return labels


def test_the_table_of_metrics(metrics: Metrics) -> None:
    """The table has exactly the existing metrics, and each row names the metric's labels."""
    rows = dict(re.findall(r"^\| `(loop_\w+)` \|(.*)$", PAGE, re.MULTILINE))
    exposed = exposed_labels(metrics)
    assert set(rows) == set(exposed)
    plain = {"family", "version"}  # need no explanation
    missing = {name: labels - plain for name, labels in exposed.items() if labels}
    unnamed = {name: [each for each in labels if f"`{each}`" not in rows[name]] for name, labels in missing.items()}
    assert not {name for name, labels in unnamed.items() if labels}


def bodies() -> dict[Kind, dict[str, Any]]:
    """One body of each kind, made by the loop's own code."""
    run = values.Run(1, "cnn", "night", RunStatus.FAILED, "x", None, "me", NOW, NOW, {})
    line = dict.fromkeys(("family", "before", "after", "actor", "reason", "verdict", "override"), 1)
    withdrawal = values.Withdrawal(1, "d", "me", "x", NOW)
    verdict = values.Verdict(1, "good enough", "failed", {}, NOW)
    refused = messages.refused(
        version(values.Run(1, "cnn", "night", RunStatus.FAILED, "x", 1, "me", NOW, NOW, {})), [verdict]
    )
    assert refused is not None
    return {
        Kind.NIGHT_FINISHED: messages.night(run),
        **dict.fromkeys(messages.EVENT_OF_MOVE.values(), messages.moved(line)),
        Kind.WITHDRAWN: messages.withdrawn("cnn", withdrawal),
        Kind.GATE_REFUSED: refused,
        Kind.NEAR_EXPIRY: messages.near_expiry(1, 1, NOW),
        Kind.TEST: messages.test("me"),
    }


def test_the_table_of_events() -> None:
    """The table has exactly the existing kinds, with the fields of their bodies."""
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|(.*)\|$", PAGE, re.MULTILINE))
    made = bodies()
    assert set(rows) == set(made) == set(Kind)
    for kind, body in made.items():
        if "the same" not in rows[kind]:
            assert set(re.findall(r"`(\w+)`", rows[kind])) == set(body), kind


def test_the_receiver_s_code_on_the_page(home: Home) -> None:
    """The page's receiver accepts a real message, and refuses another body, another secret and an old message."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (our own page)
    genuine = names["genuine"]
    with listening() as receiver:
        hook = hooks.add(home, receiver.url, [], "ops", utc_now())
        happen(home)
        assert webhooks.deliver_due(home) == 1
    got = receiver.got[0]
    assert genuine(hook.secret, got.headers, got.body)
    assert not genuine(hook.secret, got.headers, got.body + b" ")
    assert not genuine(hook.secret[:-4] + "AAAA", got.headers, got.body)
    old = str(int(got.headers["webhook-timestamp"]) - 600)
    assert not genuine(hook.secret, got.headers | {"webhook-timestamp": old}, got.body)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_rule(rule: dict[str, Any], metrics: Metrics) -> None:
    """An alert rule uses existing metrics and labels, and has a severity and a summary."""
    exposed = exposed_labels(metrics)
    histograms = {f"{name}{end}": name for name in exposed for end in ("_bucket", "_count", "_sum")}
    expression = rule["expr"]
    for name, selector in re.findall(r"\b(loop_\w+)(?:\{([^}]*)\})?", expression):
        base = name if name in exposed else histograms.get(name)
        assert base is not None, f"{name} is not exposed"
        assert set(re.findall(r"(\w+)\s*=~?\s*\"", selector)) <= exposed[base] | {"le"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_operations_in_rules_are_what_the_service_counts(tmp_path: Path) -> None:
    """The operations in rules match the labels of counted requests."""
    home = opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)
    with serving(home) as server, server.client() as stranger, server.client("reviewer") as prometheus:
        for path in ("/v1/corrections", "/v1/corrections:batch"):
            assert stranger.post(path).status_code == 401
        scraped = prometheus.get("/metrics")
    assert scraped.status_code == 200
    counted = re.findall(r'loop_http_requests_total{operation="([^"]*)"', scraped.text)
    asked = {op for rule in RULES for op in re.findall(r'operation=~?"([^"]*)"', rule["expr"])}
    assert len(counted) == 2
    assert asked
    assert all(any(re.fullmatch(op, each) for each in counted) for op in asked)


def test_each_alert_has_a_runbook_and_a_test() -> None:
    """Each alert has a section on the page, and is tested on a healthy day."""
    names = [rule["alert"] for rule in RULES]
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == names
    quiet = yaml.safe_load((ROOT / "tests/alerts.yml").read_text(encoding="utf-8"))["tests"][0]["alert_rule_test"]
    assert [each["alertname"] for each in quiet] == names


def test_the_rules_fire_when_they_should() -> None:
    """Prometheus's own tool accepts the rules, and they fire only on the bad day of the tests."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool here; it is part of Prometheus")
    for command in (["check", "rules", "docs/alerts.yml"], ["test", "rules", "tests/alerts.yml"]):
        done = subprocess.run([tool, *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_exposition_passes_the_linter(metrics: Metrics) -> None:
    """Prometheus's own tool accepts the metrics."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool here; it is part of Prometheus")
    text = metrics.exposition(NOW)
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name in OWN if name in PAGES])
def test_commands_on_the_pages_exist(page: str) -> None:
    """Every `loop …` in the pages' code is an existing command with existing options."""
    code = re.findall(r"`([^`\n]+)`", PAGES[page]) + re.findall(r"^(?:\$ )?(loop .*)$", PAGES[page], re.MULTILINE)
    lines = [words for words in (each.split("#")[0].split() for each in code) if words and words[0] == "loop"]
    assert lines
    for words in lines:
        if words[1].startswith("--"):
            continue
        command, rest = lazy.load(words[1]), words[2:]
        if hasattr(command, "commands") and not (command.invoke_without_command and not rest):
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words


@pytest.mark.parametrize("page", [name for name in OWN if name in PAGES])
def test_settings_on_the_pages_exist(page: str) -> None:
    """Every `LOOP_…` on the pages is a setting, or ``LOOP_CONFIG``."""
    known = {f"LOOP_{name.upper()}" for name in Settings.model_fields} | {"LOOP_CONFIG"}
    named = set(re.findall(r"\bLOOP_[A-Z_]+[A-Z]\b", PAGES[page]))
    assert {name.split("__")[0] for name in named} <= known
    grouped = set(re.findall(r"`(schedule|serve|gate|trial)\.(\w+)`", PAGES[page])) - {("gate", "refused")}
    settings = Settings()
    assert all(hasattr(getattr(settings, group), field) for group, field in grouped)
