"""The rules that keep the way through the rooms short, enforced by reading imports."""

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

FILES = sorted(path for room in ("loop", "models") for path in (ROOT / room).rglob("*.py"))
HEAVY = {"tensorflow", "keras", "coremltools", "sklearn", "matplotlib", "scipy"}
PURE = {"data", "evaluation"}  # values in, values out
LONGEST = 320  # lines: past that, split a room by noun
MOST_ENTRIES = 20
ORDER = [
    "errors",
    "clock",
    "durable",
    "evaluation",
    "data",
    "store",
    "home",
    "access",
    "registry",
    "webhooks",
    "feed",
    "intake",
    "asking",
    "night",
    "schedule",
    "operations",
    "api",
    "cli",
    "__main__",
]
"""From the ground up: a room imports rooms that stand before it, never one that stands after it."""


def imports(path: Path, *, anywhere: bool = True) -> set[str]:
    """Modules a file imports; with ``anywhere`` False, only those imported when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if anywhere else _at_import(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _at_import(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        found += [child, *_at_import(child)]
    return found


def tops(modules: set[str]) -> set[str]:
    """Top-level packages."""
    return {module.partition(".")[0] for module in modules}


def test_there_are_rooms() -> None:
    """The rules below look at something."""
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rules_of_the_rooms(path: Path) -> None:
    """Heavy frameworks lazily and only inside models; models never import loop; SQL only in the store; short files."""
    room = path.relative_to(ROOT).parts
    everywhere, eager = imports(path), imports(path, anywhere=False)
    assert not tops(eager) & HEAVY, "heavy frameworks are imported inside functions"
    if room[0] == "models":
        assert "loop" not in tops(everywhere)
    else:
        allowed = {"matplotlib"} if room == ("loop", "evaluation", "plots.py") else set()
        assert tops(everywhere) & HEAVY <= allowed
    if room[:2] != ("loop", "store"):
        assert not {m for m in everywhere if m in {"sqlalchemy.select", "sqlalchemy.insert", "sqlalchemy.text"}}
    if room[0] == "loop" and room[1] in PURE:
        assert not {m for m in everywhere if m.startswith(("loop.store", "loop.home", "sqlalchemy"))}
    if room[:2] == ("models", "coreml"):
        assert tops(everywhere) - {"numpy", "google", "models"} <= set(__import__("sys").stdlib_module_names)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_only_the_settings_read_the_environment() -> None:
    """``os.environ`` is read in one room; models read only what their frameworks define."""
    readers = {p.relative_to(ROOT).as_posix() for p in FILES if "os.environ" in p.read_text(encoding="utf-8")}
    assert readers <= {"loop/home/settings.py", "models/cnn/backend.py", "models/downloads.py"}


def test_few_entries_under_loop() -> None:
    """A visitor sees the rooms at one glance, and each one has its place in the order."""
    entries = {path.name.removesuffix(".py") for path in (ROOT / "loop").iterdir() if path.name != "__pycache__"}
    assert len(entries) <= MOST_ENTRIES
    assert entries == {*ORDER, "__init__"}


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_down(room: str) -> None:
    """No room imports a higher one, so no two rooms import each other."""
    files = [
        path for path in FILES if path.relative_to(ROOT).parts[1].removesuffix(".py") == room and "loop" in path.parts
    ]
    used = {
        parts[1]
        for path in files
        for module in imports(path)
        if (parts := module.split("."))[0] == "loop" and parts[1:]
    }
    higher = {name for name in used & set(ORDER) if ORDER.index(name) > ORDER.index(room)}
    assert not higher


def test_the_feed_does_not_know_its_client() -> None:
    """The device's half reads documents, trust and checks; they do not read it."""
    feed = list((ROOT / "loop/feed").glob("*.py"))
    assert not {path.name for path in feed if any(m.startswith("loop.feed.client") for m in imports(path))}
