"""``loop verify``: silent about a sound home, and about nothing that was changed behind the loop."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from loop.home import Home
from loop.operations import verify
from loop.operations.finding import Severity, worst
from loop.store.backup import replacement
from loop.store.nights import versions
from tests.operations.conftest import Site


def wrong(site: Site) -> list[str]:
    """One line for each broken finding."""
    findings = verify.verify(site.home, site.now).findings
    return [f"{each.check}: {each.actual}" for each in findings if each.severity is Severity.BROKEN]


def behind(home: Home, *statements: str) -> None:
    """Change the database without triggers, as its owner could."""
    with home.store.exclusive() as tx, replacement.unlocked(tx):
        for statement in statements:
            tx.execute(text(statement))


def test_an_intact_home(site: Site) -> None:
    """An intact home has no findings, and everything is checked."""
    verified = verify.verify(site.home, site.now)
    assert worst(verified.findings) is Severity.OK, verified.findings
    assert verified.counts == {
        "versions": 2,
        "artifacts": 9,  # both versions share their base
        "orphans": 0,
        "unfinished": 0,
        "ledger lines": 4,
        "roots": 1,
        "signed feeds": 1,
    }


def artifact(home: Home, number: int, suffix: str = ".mlmodel") -> Path:
    """The path of a version's file."""
    with home.store.read() as tx:
        version = versions.get(tx, number)
    digest = version.artifact_digest if suffix == ".mlmodel" else version.weights_digest
    return home.artifacts.path(digest, suffix)


def flip(path: Path) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


LEDGER: dict[str, tuple[tuple[str, ...], str]] = {
    "a changed reason": (("UPDATE moves SET reason = 'another' WHERE id = 2",), "line 2 does not follow"),
    "a changed actor in the last line": (("UPDATE moves SET actor = 'nobody' WHERE id = 4",), "line 4 does not follow"),
    "a changed time": (("UPDATE moves SET moved_at = '2020-01-01 00:00:00+00:00' WHERE id = 1",), "line 1 does not"),
    "a removed line": (("DELETE FROM moves WHERE id = 2",), "line 3 does not follow"),
    "the registration removed from the end": (("DELETE FROM moves WHERE id >= 3",), "version 2 was never registered"),
    "the promotion removed from the end": (("DELETE FROM moves WHERE id = 4",), "the feed names"),
    "another champion, links and all": (("UPDATE moves SET after = 1 WHERE id = 4",), "line 4 does not follow"),
    "a changed verdict": (("UPDATE verdicts SET outcome = 'failed' WHERE version = 2",), "of version 2, got passed"),
    "other bytes under a number": (
        ("UPDATE versions SET artifact_digest = base_digest WHERE number = 1",),
        "line 1 does not follow",
    ),
    "a smaller snapshot": (("DELETE FROM snapshot_items WHERE snapshot_id = 1",), "snapshot 1 has 0"),
    "a renumbered signed feed": (
        ("UPDATE feed_entries SET sequence = sequence + 5",),
        "the signed document has epoch 1, sequence",
    ),
    "the last signed feed removed": (("DELETE FROM feed_entries",), "feed.json has"),
}


@pytest.mark.parametrize("name", LEDGER)
def test_rows_changed_behind_the_loop(site: Site, name: str) -> None:
    """Each change by the database's owner is found and named."""
    statements, expected = LEDGER[name]
    behind(site.home, *statements)
    assert any(expected in line for line in wrong(site)), wrong(site)


FILES: dict[str, tuple[Callable[[Site], Any], str]] = {
    "a missing model": (lambda site: artifact(site.home, 1).unlink(), "missing"),
    "a changed bit in weights": (lambda site: flip(artifact(site.home, 2, ".npz")), "its bytes have digest"),
    "a missing feed": (lambda site: (site.home.settings.published / "feed.json").unlink(), "feed.json: missing"),
    "a missing root": (lambda site: (site.home.settings.published / "root/1.json").unlink(), "1.json: missing"),
    "a changed bit in the feed": (lambda site: flip(site.home.settings.published / "feed.json"), "feed"),
    "a truncated published model": (
        lambda site: next((site.home.settings.published / "models").iterdir()).write_bytes(b""),
        "other bytes",
    ),
    "an expired feed": (
        lambda site: setattr(site, "now", site.now + timedelta(days=30)),
        "expected a time before its expiry",
    ),
    "a champion that the feed does not name": (lambda site: site.register(), "the feed names"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_changed(small: Site, name: str) -> None:
    """Each missing, damaged or expired file is found and named."""
    damage, expected = FILES[name]
    damage(small)
    assert any(expected in line for line in wrong(small)), wrong(small)


def test_every_finding_not_only_the_first(small: Site) -> None:
    """Four defects give four findings."""
    artifact(small.home, 1).unlink()
    flip(artifact(small.home, 2, ".npz"))
    behind(small.home, LEDGER["a changed reason"][0][0], LEDGER["a smaller snapshot"][0][0])
    assert len(wrong(small)) == 4, wrong(small)


def test_orphans_are_counted(small: Site) -> None:
    """Files that a killed night left are counted in a note that names `loop gc`."""
    small.home.artifacts.put(b"unnamed", ".npz")
    (small.home.artifacts.root / ".new-abc").write_bytes(b"")
    verified = verify.verify(small.home, small.now)
    assert (verified.counts["orphans"], verified.counts["unfinished"]) == (1, 1)
    assert [each.fix for each in verified.findings] == ["loop gc"]
    assert worst(verified.findings) is Severity.NOTE
