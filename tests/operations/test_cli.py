"""The operators' commands: one screen, one line per finding, valid JSON, exit statuses."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from loop.cli import output, status_screen
from loop.clock import utc_now
from loop.home import Home
from loop.operations import status
from loop.schedule import slots
from loop.store.nights import runs
from loop.store.values import Attribution, RunStatus
from tests.feed.test_cli import Shell
from tests.operations.conftest import Site
from tests.operations.test_verify import artifact, flip


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """`loop …` in a home with one champion and a published feed."""
    made = Shell(monkeypatch, capsys, tmp_path)
    monkeypatch.setenv("LOOP_CORPUS", "digits")
    made.office.create()
    made("feed", "publish", "--to", "home/feed")
    return made


def test_verify(shell: Shell) -> None:
    """`loop verify` prints counts if all is well, and every finding with exit status 1 otherwise."""
    home: Home = shell.office.home
    new = Site(home.settings.url, shell.folder, utc_now())
    new.register()
    new.publish()
    assert shell("verify", status=1).count("artifacts") >= 3  # version 1 of this home has made-up digests
    for suffix in (".mlmodel", ".npz"):
        flip(artifact(home, 2, suffix))
    document = shell.json("verify", status=1)
    assert document["counts"]["versions"] == 2
    assert len([each for each in document["findings"] if "digest" in each["came"]]) >= 2


def sound(shell: Shell) -> Site:
    """A home with real files only, in the shell's place."""
    shutil.rmtree(shell.folder / "home")
    made = Site(f"sqlite:///{shell.folder / 'real.db'}", shell.folder, utc_now())
    made.live()
    shell.monkeypatch.setenv("LOOP_DATABASE_URL", made.url)
    return made


@pytest.mark.slow
def test_doctor(shell: Shell) -> None:
    """`loop doctor` prints one line per finding, the worst last, and exits with 1 if something is broken."""
    sound(shell)
    assert {each["severity"] for each in shell.json("doctor")} <= {"ok", "note"}
    for path in (shell.folder / "home" / "keys").glob("feed-*"):
        path.chmod(0o644)
    assert "fix" in shell("doctor", status=1).splitlines()[-1]
    [found] = [each for each in shell.json("doctor", status=1) if each["severity"] == "broken"]
    assert (found["check"], "chmod 600" in found["fix"]) == ("keys", True)
    shell.monkeypatch.setenv("LOOP_SEED", "many")
    assert shell.json("doctor", status=1)[0]["check"] == "settings"


@pytest.mark.slow
def test_backup_and_restore(shell: Shell) -> None:
    """Backup and restore work from the command line with keys, and a second restore needs --replace."""
    site = sound(shell)
    shell.monkeypatch.setenv("LOOP_KEY_PASSPHRASE", "twelve characters")
    made = shell.json("backup", "b.tar.gz", "--keys")
    assert made["bytes"] == (shell.folder / "b.tar.gz").stat().st_size
    assert "a backup is never overwritten" in (shell("backup", "b.tar.gz", status=1) + shell.err)
    site.home.store.close()
    shell.monkeypatch.setenv("LOOP_HOME", "another")
    shell.monkeypatch.setenv("LOOP_DATABASE_URL", f"sqlite:///{shell.folder / 'another.db'}")
    done = shell.json("restore", "b.tar.gz", "--keys")
    assert (done["restored"]["keys"], done["findings"]) == (5, [])  # root 3, feed 1, sealing 1
    assert "--replace" in (shell("restore", "b.tar.gz", status=1) + shell.err)
    assert "restored" in shell("restore", "b.tar.gz", "--replace")
    shell("feed", "publish", "--to", "another/feed")
    assert shell("verify").startswith("✓ checked 2 versions")


def test_gc(shell: Shell) -> None:
    """A dry run of `loop gc` lists what it would delete, and deletes nothing."""
    home: Home = shell.office.home
    home.artifacts.put(b"unnamed", ".npz")
    assert "would delete" in shell("gc", "--dry-run", "--grace-hours", "0")
    for expected in (1, 0):
        swept = shell.json("gc", "--grace-hours", "0")["swept"]
        assert [each["count"] for each in swept if "no version" in each["what"]] == [expected]


@pytest.mark.slow
def test_status(shell: Shell) -> None:
    """`loop status` shows champion, nights, queues, feed, disk and warnings on one screen, and as JSON."""
    screen = shell("status")
    for word in (
        "champion    cnn version 1 passed",
        "last night",
        "next night  in",
        "feed        sequence",
        "GiB free",
    ):
        assert word in screen, screen
    assert len(screen.splitlines()) < 24
    document = shell.json("status")
    champion = document["champions"][0]
    assert (champion["version"], document["paused"], document["last"]["status"]) == (1, None, "finished")


def shown(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The screen's lines, on a terminal of eighty columns."""
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_width", 80)
    monkeypatch.setattr(output.console, "no_color", True)
    status_screen.show(status.look(site.home, site.now))
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def test_every_state_on_one_screen(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running night, a failed one, a pause and an expired feed are shown, never wider than the terminal."""
    site.now += timedelta(days=9)
    reason = "the artifacts' disk had no space for 526,112 bytes; free some and run again, " * 2
    with site.home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, site.now)
        runs.finish(tx, run.id, RunStatus.FAILED, reason, {}, site.now)
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, site.now)
        runs.renew(tx, run.id, 60, site.now, ("teach", 3, 9))
    slots.pause(site.home, Attribution("ops", "the disk is being replaced"), site.now)
    lines = shown(site, monkeypatch, capsys)
    text = "\n".join(lines)
    for words in ("running", "teach 3 of 9", "failed", "paused by ops", "expired 2 days ago", "loop feed publish"):
        assert words in text, text
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30


def test_an_empty_home(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The screen of an empty home states that nothing has happened yet."""
    text = "\n".join(shown(Site(url, tmp_path, utc_now()), monkeypatch, capsys))
    for words in ("none; `loop init`", "none yet", "not published", "0 to be scored"):
        assert words in text, text
