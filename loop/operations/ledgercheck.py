"""The alias ledger: is it as it was written, and does it make sense?

The chain finds a line that was changed, taken out or put in, but not one taken off the end; that is found by what must
agree with the ledger: every version has its line, and the signed feed names the champions.
"""

from collections.abc import Mapping

from loop.operations.finding import Finding, broken
from loop.store.nights import versions
from loop.store.nights.ledger_chain import Line
from loop.store.values import Version

ADVICE = "keep a copy of the database for whoever looks into it, then loop restore a backup that is sound"


def chained(lines: list[Line]) -> list[Finding]:
    """Every line whose link is not what the line before and its own words make."""
    found, last = [], ""
    for line in lines:
        if line.link != versions.link(last, dict(line.says), str(line.artifact)):
            came = f"line {line.id} does not follow: it, or what stood before it, was changed behind the loop"
            found.append(broken("ledger", "a chain without a break", came, ADVICE))
        last = line.link  # so that one break is one finding
    return found


def champions(lines: list[Line]) -> dict[str, int]:
    """Family → the version that the ledger calls champion."""
    return {line.says["family"]: line.says["after"] for line in lines if line.says["alias"] == "champion"}


def sensible(
    lines: list[Line], every: list[Version], outcomes: Mapping[int, str], withdrawn: set[int]
) -> list[Finding]:
    """Every line that the registry would never have written, and versions without a line."""
    wrong = [(line.id, why) for line, before in _with_before(lines) for why in _nonsense(line, before, lines, outcomes)]
    registered = {line.says["after"] for line in lines if line.says["verb"] == "register"}
    missing = sorted({version.number for version in every} - registered)
    found = [broken("ledger", "lines that make sense", f"line {id_}: {why}", ADVICE) for id_, why in wrong]
    found += [broken("ledger", "a line for each version", f"version {n} was never registered", ADVICE) for n in missing]
    known = {version.number for version in every}
    for family, number in champions(lines).items():
        if number not in known:
            found.append(
                broken("ledger", f"a champion of {family} that exists", f"there is no version {number}", ADVICE)
            )
        elif number in withdrawn:
            fix = f"loop rollback --family {family} --reason …"
            found.append(broken("ledger", "a champion that may run", f"version {number} was withdrawn", fix))
    return found


def _with_before(lines: list[Line]) -> list[tuple[Line, int | None]]:
    """Each line with what its alias named before it."""
    held: dict[tuple[str, str], int] = {}
    found = []
    for line in lines:
        alias = (line.says["family"], line.says["alias"])
        found.append((line, held.get(alias)))
        held[alias] = line.says["after"]
    return found


def _nonsense(line: Line, before: int | None, lines: list[Line], outcomes: Mapping[int, str]) -> list[str]:
    says, found = line.says, []
    if says["before"] != before:
        found.append(f"says that the {says['alias']} was {says['before'] or 'none'}, the line before says {before}")
    if line.family != says["family"]:
        found.append(f"version {says['after']} is not of {says['family']}")
    if (says["verb"] == "register") != (says["alias"] == "challenger"):
        found.append(f"{says['verb']} moves no {says['alias']}")
    if says["verb"] == "promote" and says["verdict"] != "passed" and not says["override"]:
        found.append(f"promotes version {says['after']}, which is {says['verdict']}, without an override")
    if says["verb"] == "rollback" and says["after"] not in _reigned(line, lines):
        found.append(f"rolls back to version {says['after']}, which was never champion")
    if says["verdict"] != outcomes.get(says["after"], "none"):
        found.append(f"verdict {says['verdict']}, the verdicts of version {says['after']} say otherwise")
    return found


def _reigned(line: Line, lines: list[Line]) -> set[int]:
    mine = ("champion", line.says["family"])
    earlier = [each.says for each in lines if each.id < line.id]
    return {says["after"] for says in earlier if (says["alias"], says["family"]) == mine}
