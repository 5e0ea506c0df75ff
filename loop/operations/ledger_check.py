"""Check the alias ledger: its lines are unchanged, and they are consistent.

The hash chain detects a line that was changed, removed or inserted, but not one removed from the end. Two other checks
detect that: every version must have its line, and the signed feed must name the champions.
"""

from collections.abc import Mapping

from loop.operations.finding import Finding, broken
from loop.store.nights import versions
from loop.store.nights.ledger_chain import Line
from loop.store.values import Version

ADVICE = "keep a copy of the database for an investigation, then loop restore an intact backup"


def chained(lines: list[Line]) -> list[Finding]:
    """Every line with a link that does not match the previous link and the line's own content."""
    findings, last = [], ""
    for line in lines:
        if line.link != versions.link(last, dict(line.says), str(line.artifact)):
            actual = f"line {line.id} does not follow: it, or a line before it, was changed outside the loop"
            findings.append(broken("ledger", "an unbroken chain", actual, ADVICE))
        last = line.link  # so that one break gives one finding
    return findings


def champions(lines: list[Line]) -> dict[str, int]:
    """Family → the version that is champion according to the ledger."""
    return {line.says["family"]: line.says["after"] for line in lines if line.says["alias"] == "champion"}


def consistent(
    lines: list[Line], every: list[Version], outcomes: Mapping[int, str], withdrawn: set[int]
) -> list[Finding]:
    """Every line that the registry would never write, and every version without a line."""
    wrong = [
        (line.id, why) for line, before in _with_before(lines) for why in _conflicts(line, before, lines, outcomes)
    ]
    registered = {line.says["after"] for line in lines if line.says["verb"] == "register"}
    missing = sorted({version.number for version in every} - registered)
    findings = [broken("ledger", "consistent lines", f"line {id_}: {why}", ADVICE) for id_, why in wrong]
    findings += [
        broken("ledger", "a line for each version", f"version {n} was never registered", ADVICE) for n in missing
    ]
    known = {version.number for version in every}
    for family, number in champions(lines).items():
        if number not in known:
            findings.append(
                broken("ledger", f"a champion of {family} that exists", f"version {number} does not exist", ADVICE)
            )
        elif number in withdrawn:
            fix = f"loop rollback --family {family} --reason …"
            findings.append(broken("ledger", "a champion that may run", f"version {number} was withdrawn", fix))
    return findings


def _with_before(lines: list[Line]) -> list[tuple[Line, int | None]]:
    """Each line with the version that its alias named before it."""
    holders: dict[tuple[str, str], int] = {}
    pairs = []
    for line in lines:
        alias = (line.says["family"], line.says["alias"])
        pairs.append((line, holders.get(alias)))
        holders[alias] = line.says["after"]
    return pairs


def _conflicts(line: Line, before: int | None, lines: list[Line], outcomes: Mapping[int, str]) -> list[str]:
    move, conflicts = line.says, []
    if move["before"] != before:
        conflicts.append(f"expected the previous {move['alias']} {before or 'none'}, got {move['before'] or 'none'}")
    if line.family != move["family"]:
        conflicts.append(f"version {move['after']} is not of {move['family']}")
    if (move["verb"] == "register") != (move["alias"] == "challenger"):
        conflicts.append(f"{move['verb']} does not move the {move['alias']}")
    if move["verb"] == "promote" and move["verdict"] != "passed" and not move["override"]:
        conflicts.append(f"promotes version {move['after']}, which is {move['verdict']}, without an override")
    if move["verb"] == "rollback" and move["after"] not in _earlier_champions(line, lines):
        conflicts.append(f"rolls back to version {move['after']}, which was never champion")
    if move["verdict"] != (outcome := outcomes.get(move["after"], "none")):
        conflicts.append(f"expected the verdict {outcome} of version {move['after']}, got {move['verdict']}")
    return conflicts


def _earlier_champions(line: Line, lines: list[Line]) -> set[int]:
    champion_alias = ("champion", line.says["family"])
    earlier = [each.says for each in lines if each.id < line.id]
    return {move["after"] for move in earlier if (move["alias"], move["family"]) == champion_alias}
