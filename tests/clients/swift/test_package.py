"""The Swift package builds without a warning and passes its tests, on the vectors that the Python side made.

It runs where Swift 6 is on the PATH or where ``make swift`` installed it; elsewhere it skips with the reason.
"""

import re
import subprocess
from pathlib import Path

import pytest

from loop.feed import asking, document, refusals
from loop.feed.client import syncing
from tests.clients.swift.toolchain import SWIFT, toolchain

CORE = SWIFT / "Sources/DigitLoopCore"


@pytest.mark.slow
@pytest.mark.usefixtures("swift")
def test_the_package_passes_its_tests() -> None:
    """Pixels, tiles, source names, PNG files, every scenario of the feed, sync and outbox, in Swift 6 mode."""
    done = toolchain("clients/swift/check.sh", "tests")
    assert done.returncode == 0, done.stdout[-6000:]
    ran = re.findall(r"Test Case '([\w.]+)' (?:passed|skipped)", done.stdout)
    assert len(set(ran)) >= len(declared_tests()) > 30


@pytest.mark.slow
@pytest.mark.usefixtures("swift")
def test_the_sources_for_apple_type_check() -> None:
    """The part that needs CryptoKit, Core ML, Keychain and ImageIO type-checks against declarations of them."""
    done = toolchain("clients/swift/check.sh", "apple")
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"type-checked: {len(list((SWIFT / 'Sources/DigitLoop').glob('*.swift')))} files" in done.stdout


def declared_tests() -> list[str]:
    """The names of the package's tests."""
    files = sorted((SWIFT / "Tests/DigitLoopCoreTests").glob("*.swift"))
    return [name for file in files for name in re.findall(r"func (test\w+)\(\)", file.read_text(encoding="utf-8"))]


def test_every_refusal_has_its_rule() -> None:
    """``LoopError.Rule`` has each name of ``loop.feed.refusals``; the names of other rules are not among those."""
    rules = re.findall(r'case \w+ = "(\w+)"', source("LoopError.swift"))
    every = {name for name, kind in vars(refusals).items() if isinstance(kind, type) and name != "FeedRefused"}
    assert set(rules) - every == {"DiskFull", "Busy", "NoSecret", "BadImage", "BadField"}
    assert every <= set(rules)
    assert len(rules) == len(set(rules))


def test_limits_are_the_same() -> None:
    """Both sides have the same limits of documents and files."""
    found = dict(re.findall(r"static let (\w+) = ([\d_ <]+)\n", source("Documents.swift").split("enum Limits")[1]))
    expected = {
        "format": document.FORMAT,
        "document": document.MAX_BYTES,
        "model": document.MAX_MODEL_BYTES,
        "golden": document.MAX_GOLDEN_BYTES,
        "channels": document.MAX_CHANNELS,
        "withdrawn": document.MAX_WITHDRAWN,
        "keys": document.MAX_KEYS,
        "roots": syncing.MAX_ROOTS,
        "askedADay": asking.MAX_ASKED_A_DAY,
        "critical": asking.MAX_CRITICAL,
        "million": document.MILLION,
    }
    assert {name: shifted(found[name]) for name in expected} == expected


def test_public_names_collide_with_nothing() -> None:
    """Every public type of the core begins with Loop, so none shadows one of SwiftUI or of an app."""
    named = [
        name for file in CORE.glob("*.swift") for name in re.findall(PUBLIC, file.read_text(encoding="utf-8"), re.M)
    ]
    assert len(named) > 15
    assert [name for name in named if not name.startswith("Loop")] == []


@pytest.mark.slow
def test_a_missing_toolchain_says_what_to_do(tmp_path: Path) -> None:
    """Without Swift the script fails with the command that installs it, which the skip then shows."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "id"):
        (tools / name).symlink_to(
            Path("/usr/bin") / name if (Path("/usr/bin") / name).exists() else Path("/bin") / name
        )
    done = subprocess.run(
        [str(SWIFT / "toolchain.sh"), "--where"],
        env={"PATH": str(tools), "SWIFT_ROOT": str(tmp_path / "none")},
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 1
    assert "make swift installs it" in done.stderr


PUBLIC = r"^public (?:final class|struct|enum|actor|protocol|class) (\w+)"


def source(name: str) -> str:
    """A source file of the core."""
    return (CORE / name).read_text(encoding="utf-8")


def shifted(text: str) -> int:
    """``256 << 20`` as a number."""
    number, _, shift = text.partition("<<")
    return int(number) << int(shift or 0)
