"""The rules that keep the way through the rooms short, enforced by reading imports."""

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

FILES = sorted(path for room in ("loop", "models") for path in (ROOT / room).rglob("*.py"))
HEAVY = {"tensorflow", "keras", "coremltools", "sklearn", "matplotlib", "scipy"}
PURE = {"data", "evaluation"}  # values in, values out
LONGEST = 320  # lines: past that, split a room by noun


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
