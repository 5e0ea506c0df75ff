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
    """What is broken, a line each."""
    found = verify.verify(site.home, site.now).findings
    return [f"{each.check}: {each.came}" for each in found if each.severity is Severity.BROKEN]


def behind(home: Home, *statements: str) -> None:
    """Change the database as whoever holds it could, triggers or not."""
    with home.store.exclusive() as tx, replacement.unlocked(tx):
        for statement in statements:
            tx.execute(text(statement))


def test_a_sound_home(site: Site) -> None:
    """Nothing is found where nothing is wrong, and everything was looked at."""
    found = verify.verify(site.home, site.now)
    assert worst(found.findings) is Severity.OK, found.findings
    assert found.counts == {
        "versions": 2,
        "artifacts": 9,  # both versions share their base
        "orphans": 0,
        "unfinished": 0,
        "ledger lines": 4,
        "roots": 1,
        "signed feeds": 1,
    }


def artifact(home: Home, number: int, suffix: str = ".mlmodel") -> Path:
    """Where a version's file lies."""
    with home.store.read() as tx:
        version = versions.get(tx, number)
    digest = version.artifact_digest if suffix == ".mlmodel" else version.weights_digest
    return home.artifacts.path(digest, suffix)


def flip(path: Path) -> None:
    """One bit, as a disk would."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


LEDGER: dict[str, tuple[tuple[str, ...], str]] = {
    "a changed reason": (("UPDATE moves SET reason = 'another' WHERE id = 2",), "line 2 does not follow"),
    "a changed actor in the last line": (("UPDATE moves SET actor = 'nobody' WHERE id = 4",), "line 4 does not follow"),
    "a changed time": (("UPDATE moves SET moved_at = '2020-01-01 00:00:00+00:00' WHERE id = 1",), "line 1 does not"),
    "a line taken out": (("DELETE FROM moves WHERE id = 2",), "line 3 does not follow"),
    "the registration taken off the end": (("DELETE FROM moves WHERE id >= 3",), "version 2 was never registered"),
    "the promotion taken off the end": (("DELETE FROM moves WHERE id = 4",), "the feed names"),
    "another champion, links and all": (("UPDATE moves SET after = 1 WHERE id = 4",), "line 4 does not follow"),
    "a verdict turned": (("UPDATE verdicts SET outcome = 'failed' WHERE version = 2",), "verdict passed, the verdicts"),
    "other bytes under a number": (
        ("UPDATE versions SET artifact_digest = base_digest WHERE number = 1",),
        "line 1 does not follow",
    ),
    "a snapshot robbed": (("DELETE FROM snapshot_items WHERE snapshot_id = 1",), "snapshot 1 has 0"),
    "a signed feed renumbered": (("UPDATE feed_entries SET sequence = sequence + 5",), "it says epoch 1, sequence"),
    "the last signed feed forgotten": (("DELETE FROM feed_entries",), "feed.json has"),
}


@pytest.mark.parametrize("name", LEDGER)
def test_rows_changed_behind_the_loop(site: Site, name: str) -> None:
    """Each change by whoever holds the database is found, and named."""
    statements, expected = LEDGER[name]
    behind(site.home, *statements)
    assert any(expected in line for line in wrong(site)), wrong(site)


FILES: dict[str, tuple[Callable[[Site], Any], str]] = {
    "a model missing": (lambda site: artifact(site.home, 1).unlink(), "missing"),
    "a bit turned in weights": (lambda site: flip(artifact(site.home, 2, ".npz")), "its bytes have digest"),
    "the feed missing": (lambda site: (site.home.settings.published / "feed.json").unlink(), "feed.json: missing"),
    "a root missing": (lambda site: (site.home.settings.published / "root/1.json").unlink(), "1.json: missing"),
    "a bit turned in the feed": (lambda site: flip(site.home.settings.published / "feed.json"), "feed"),
    "a published model cut": (
        lambda site: next((site.home.settings.published / "models").iterdir()).write_bytes(b""),
        "other bytes",
    ),
    "the feed expired": (
        lambda site: setattr(site, "now", site.now + timedelta(days=30)),
        "expected to be read before",
    ),
    "the champion moved, the feed did not follow": (lambda site: site.register(), "the feed names"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_changed(small: Site, name: str) -> None:
    """Each file that is missing, rotten or old is found, and named."""
    damage, expected = FILES[name]
    damage(small)
    assert any(expected in line for line in wrong(small)), wrong(small)


def test_every_finding_not_only_the_first(small: Site) -> None:
    """Four things are wrong: four are said."""
    artifact(small.home, 1).unlink()
    flip(artifact(small.home, 2, ".npz"))
    behind(small.home, LEDGER["a changed reason"][0][0], LEDGER["a snapshot robbed"][0][0])
    assert len(wrong(small)) == 4, wrong(small)


def test_orphans_are_counted(small: Site) -> None:
    """What a killed night leaves is no fault: it is counted, and `loop gc` is named."""
    small.home.artifacts.put(b"nobody's", ".npz")
    (small.home.artifacts.root / ".new-abc").write_bytes(b"")
    found = verify.verify(small.home, small.now)
    assert (found.counts["orphans"], found.counts["unfinished"]) == (1, 1)
    assert [each.fix for each in found.findings] == ["loop gc"]
    assert worst(found.findings) is Severity.NOTE
