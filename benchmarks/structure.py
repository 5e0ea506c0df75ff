"""How the code is divided: entries under ``loop/``, and import arrows between rooms.

A room is a file or folder directly under ``loop/``, or ``models``, ``migrations`` or ``benchmarks``. An arrow runs from
one room to another if some file of the first imports a file of the second. Prints the counts, and what would be wrong.
"""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHERS = ("models", "migrations", "benchmarks")


def room_of(module: str) -> str | None:
    """The room of a dotted module; None for modules of others, and for ``loop`` itself."""
    first, _, rest = module.partition(".")
    if first in OTHERS:
        return first
    return rest.partition(".")[0] or None if first == "loop" else None


def modules(path: Path) -> set[str]:
    """Every module that a file imports, as far as ``import`` statements show it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(path for top in ("loop", *OTHERS) for path in (ROOT / top).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        here = room_of(".".join(parts))
        if here is None or here == "__init__":
            continue
        found[here] |= {room for module in modules(path) if (room := room_of(module)) is not None} - {here}
    return found


def main() -> None:
    """Print the counts."""
    entries = sorted(path.name for path in (ROOT / "loop").iterdir() if path.name != "__pycache__")
    found = arrows()
    both = {tuple(sorted((a, b))) for a, rooms in found.items() for b in rooms if a in found.get(b, ())}
    print(f"{len(entries)} entries under loop/, {len(found)} rooms")
    print(f"{sum(map(len, found.values()))} import arrows between rooms, {len(both)} pairs that import each other")


if __name__ == "__main__":
    main()
