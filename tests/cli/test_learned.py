"""`loop sources show|vouch|unvouch`, `loop taint`, `loop influence`, `loop retrain --without`."""

import pytest

from loop import home as homes
from loop.home import settings
from loop.store import tables
from loop.store.values import Status
from tests.cli.test_cli import Shell, loop, people

__all__ = ["loop"]  # the fixture


def refuse(names: list[str], status: Status) -> None:
    """Give every upload of these sources this status, as a reviewer does."""
    home = homes.at(settings.load())
    with home.store.exclusive() as tx:
        for row in tx.query(tables.Correction).join(tables.Source).where(tables.Source.name.in_(names)):
            row.status = status
    home.store.close()


def teachers(loop: Shell) -> list[str]:
    """The names of the sources that teach."""
    return sorted(row["name"] for row in loop.json("sources") if row["role"] == "train")


def test_vouching_for_a_source(loop: Shell) -> None:
    """`vouch` and `unvouch` are shown with name and reason; an unknown source and an empty reason are refused."""
    loop("init")
    loop("replay", *people(loop.folder, 3, 10), "--confirm-rate", "1")
    loop("sources", "unvouch", "person-1")
    assert loop.json("sources", "show", "person-1")["vouched_at"] is None
    assert "vouched for since" in loop("sources", "vouch", "person-1", "--reason", "our own test team")
    found = loop.json("sources", "show", "person-1")
    assert (found["value"], found["uploads"], found["taught"]) == (1.0, 10, [])
    assert [reason["text"] for reason in found["reasons"]] == ["tester vouches for it: our own test team"]
    assert "tester vouches for it: our own test team" in loop("sources", "show", "person-1")
    assert "vouched" in loop("sources")
    assert "vouches for it now" in loop("sources", "unvouch", "person-1")
    assert "no night has assessed it yet" in loop("sources", "show", "person-1")
    assert "`loop sources` lists them" in loop.refused("sources", "show", "nobody")
    assert "`loop sources` lists them" in loop.refused("sources", "vouch", "nobody", "--reason", "x")
    assert "reason: expected" in loop.refused("sources", "vouch", "person-1", "--reason", " ")


@pytest.mark.slow
def test_what_a_version_learned_from_whom(loop: Shell) -> None:
    """Taint names the sources with counts and shares; `influence` measures one; `--without` teaches without it."""
    loop("init")
    assert "is a base: it was taught no uploads" in loop("taint")
    loop("replay", *people(loop.folder), "--confirm-rate", "0.5")
    done = loop.json("retrain")
    assert done["lesson"]["taught"] == sum(each["taught"] for each in loop.json("taint")["sources"]) > 0
    clean = loop.json("taint")
    assert (clean["version"], clean["tainted"], clean["erased"]) == (2, False, 0)
    assert sum(each["share"] for each in clean["sources"]) == pytest.approx(1)
    assert "not tainted" in loop("taint", "2")
    first, second, *_ = teachers(loop)

    measured = loop.json("influence", first)
    own = next(each for each in clean["sources"] if each["source"] == first)
    assert (measured["version"], measured["taught"], measured["size"]) == (2, own["taught"], clean["size"])
    assert {part["name"] for part in measured["slices"]} == {"digits", "feedback"}
    assert all(sum(part["by_digit"]) == part["changed"] for part in measured["slices"])
    assert sum(part["changed"] for part in measured["slices"]) > 0
    assert measured["verdict_with"] == "passed"
    assert len(loop.json("versions")) == 2  # nothing was registered
    assert "verdict against version 1: passed" in loop("influence", first)
    judge = next(row["name"] for row in loop.json("sources") if row["role"] == "holdout")
    assert "expected one that taught version 2" in loop.refused("influence", judge)
    assert "it taught version 2: use --version" in loop.refused("influence", first, "--version", "1")

    refuse([first], Status.REJECTED)
    tainted = loop.json("taint")
    assert tainted["tainted"]
    found = next(each for each in tainted["sources"] if each["source"] == first)
    assert (found["rejected"], found["stands"]) == (own["taught"], 0)
    assert f"tainted: {own['taught']} rejected of {clean['size']} uploads" in loop("taint")
    again = loop.json("retrain", "--without", second)
    assert again["version"] == 3
    assert not {first, second} & {each["source"] for each in loop.json("taint", "3")["sources"]}
    assert loop.json("sources", "show", first)["taught"] == [2]
    assert "`loop sources` lists them" in loop.refused("retrain", "--without", "nobody")
    loop("retrain", "--slot", "x", "--without", second, status=2)


@pytest.mark.slow
def test_without_the_sources_in_quarantine(loop: Shell) -> None:
    """`--without-quarantined` leaves out every upload of a source that has one in quarantine."""
    loop("init")
    loop("replay", *people(loop.folder), "--confirm-rate", "0.5")
    suspect = teachers(loop)[0]
    home = homes.at(settings.load())
    with home.store.exclusive() as tx:
        row = tx.query(tables.Correction).join(tables.Source).where(tables.Source.name == suspect).first()
        assert row is not None
        row.status = Status.QUARANTINED
    home.store.close()
    with_it, without_it = loop.json("retrain", "--dry-run"), loop.json("retrain", "--dry-run", "--without-quarantined")
    assert without_it["lesson"]["teaching"] == with_it["lesson"]["teaching"] - 1
