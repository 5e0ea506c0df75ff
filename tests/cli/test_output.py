"""Tables and progress: legible on a narrow terminal, whole rows in a pipe, a line per step in a log."""

import io

import pytest
from rich.console import Console

from loop.cli import output, versions
from loop.clock import utc_now

ROW = {
    "number": 2,
    "family": "cnn",
    "alias": "challenger",
    "verdict": "inconclusive",
    "accuracy": {"mnist": 0.9974, "feedback": 0.9876},
    "live": {"told": {"accuracy": 0.983, "low": 0.97, "high": 0.99, "n": 12_345}},
}


def printed(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, width: int) -> str:
    """The list of versions as a terminal or a pipe gets it."""
    shown = Console(width=width, file=io.StringIO(), force_terminal=terminal, no_color=True, record=True)
    monkeypatch.setattr(output, "console", shown)
    versions.listing([ROW | {"registered_at": utc_now()}])
    return shown.export_text()


def test_versions_fit_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of 80 columns no head is cut and no word is broken, with the longest words there are."""
    text = printed(monkeypatch, terminal=True, width=80)
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        "version",
        "alias",
        "verdict",
        "mnist",
        "feedback",
        "live",
        "registered",
        "challenger",
        "inconclusive",
    ):
        assert word in text, text
    assert len([line for line in text.splitlines() if line.strip()]) == 4  # title, heads, rule, row


def test_a_narrow_terminal_gets_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table does not fit, each row becomes lines of a name and a value; nothing is cut."""
    text = printed(monkeypatch, terminal=True, width=40)
    assert max(map(len, text.splitlines())) <= 40
    for word in ("registered", "challenger", "inconclusive", "99.74 %", "98.3 ±1.0 %"):
        assert word in text, text


def test_a_pipe_gets_a_row_per_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has no width: a long reason stays on its row's line."""
    shown = Console(width=80, file=io.StringIO(), force_terminal=False, record=True)
    monkeypatch.setattr(output, "console", shown)
    made = output.table("Ledger", "when", "reason")
    made.add_row("now", "a long reason " * 20)
    output.print_table(made)
    assert ("a long reason " * 20).strip() in shown.export_text()


def test_progress_is_a_line_per_step_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error that is no terminal gets one line when a step begins, and none while it goes on."""
    with output.progress() as report:
        for done in range(3):
            report("fine-tune", done, 3)
        report("export", 0, 1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["fine-tune", "export"]
    assert all(line.startswith("0:00:0") for line in lines)


def test_quiet_progress_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json nothing but the document is printed."""
    with output.progress(quiet=True) as report:
        report("fine-tune", 0, 3)
    assert capsys.readouterr().err == ""
