"""Markdown that reads well as plain text: lines of at most 130 characters, in every document of the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "docs", "loop", "migrations", "models", "tests")
MAX_CHARACTERS = 130
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))})


def too_long(text: str) -> list[int]:
    """Numbers of the lines that should be wrapped; a table's row cannot be, nor a line that is one word."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > MAX_CHARACTERS and not line.lstrip().startswith("|") and len(line.split()) > 1
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_wrapped(path: Path) -> None:
    """No line outside a table is longer than 130 characters."""
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_documents_are_found() -> None:
    """The README, the decisions and the model cards are among the documents that are checked."""
    found = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert {"README.md", "docs/api.md", "models/cnn/README.md"} <= found
    assert any(name.startswith("docs/adr/") for name in found)


@pytest.mark.parametrize(
    ("line", "found"),
    [("a " * 65, []), ("é " * 64 + "ab", []), ("a " * 65 + "b", [1]), ("| " + "a " * 70 + "|", []), ("a" * 200, [])],
    ids=["130", "130, not ASCII", "131", "a table's row", "one word"],
)
def test_what_counts_as_too_long(line: str, found: list[int]) -> None:
    """Characters are counted, not bytes; only what can be wrapped counts."""
    assert too_long(line) == found
