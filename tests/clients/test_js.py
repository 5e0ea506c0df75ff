"""The JavaScript client: on the vectors in Node and in Chromium, type-checked strictly, and at the real API.

Node 20 runs it; where there is none, or no registry for the type checker, the tests skip with the reason.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from loop.feed import asking, document, refusals
from loop.feed.client import syncing
from tests.api.test_clients import install, run
from tests.helpers.paths import ROOT

CLIENT = ROOT / "clients/js"
OWN_RULES = {"DiskFull", "Busy", "NoSecret", "BadImage", "BadField", "Unsupported"}
MINIMUM_NODE = 20
USER = """
import { LoopError, LoopOutbox, LoopPhone, MemoryStore, correction, normalise } from "digit-loop";
import type { LoadModel, Rule } from "digit-loop";

const metadata = { "loop.version": "1" };
const loadModel: LoadModel = (bytes) => ({ metadata, probabilities: (pixels) => [bytes.length, pixels.length] });
const phone = await LoopPhone.open({ site: "", root: new Uint8Array(), store: new MemoryStore(), loadModel });
const rate: number | null = phone.confirmRate;
const outbox = new LoopOutbox({ api: "", key: () => "", store: new MemoryStore() });
const pixels = normalise({ width: 1, height: 1, grey: new Uint8Array(1) });
const version = (await phone.model())!.held.version;
await outbox.add(correction(pixels, { label: 7, predicted: 1, confidence: 0.5, version }));
const rule = (error: unknown): Rule | null => (error instanceof LoopError ? error.rule : null);
const expires: Date = (await phone.sync()).expires;
console.log(rate, rule(null), expires.getTime(), (await outbox.upload()).accepted[0]?.id);
"""


def node(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run Node in the client's folder; skip the test where Node is missing or too old for Ed25519 in WebCrypto."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node here; Node 20 or later runs the JavaScript client's tests")
    version = subprocess.run([found, "--version"], check=True, text=True, capture_output=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < MINIMUM_NODE:
        pytest.skip(f"expected Node {MINIMUM_NODE} or later, got {version}")
    env = {"PATH": str(Path(found).parent), "NO_COLOR": "1"} | environ
    return subprocess.run(
        [found, *arguments], cwd=CLIENT, env=env, check=False, text=True, capture_output=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in (CLIENT / "test").glob("*.test.js")))
def test_in_node(file: str) -> None:
    """Every test of the file passes: the vectors, all attacks on the feed, syncs and uploads that break off."""
    done = node("--test", "--test-reporter=tap", f"test/{file}")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"^# fail 0$", done.stdout, re.M)
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_types_are_strict_and_published(tmp_path: Path) -> None:
    """``tsc --strict`` accepts the client and a user of its package, and refuses a wrong use of either."""
    node("--version")
    client = shutil.copytree(CLIENT, tmp_path / "client", ignore=shutil.ignore_patterns("node_modules", "types"))
    install(client, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    tsc = [str(client / "node_modules/.bin/tsc"), "--pretty", "false"]
    run(client, *tsc, "-p", ".")
    run(client, "npm", "pack", "--silent")
    user = tmp_path / "user"
    package = user / "node_modules/digit-loop"
    package.mkdir(parents=True)
    run(package, "tar", "xf", str(next(client.glob("*.tgz"))), "--strip-components=1")
    assert not list(package.rglob("*.test.js"))
    strict = [
        "--strict",
        "--noEmit",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2023,dom",
    ]
    (user / "user.mts").write_text(USER)
    run(user, *tsc, *strict, "user.mts")
    (user / "user.mts").write_text(USER.replace("label: 7", 'label: "7"'))
    wrong = subprocess.run([*tsc, *strict, "user.mts"], cwd=user, check=False, text=True, capture_output=True)
    assert "not assignable to type 'number'" in wrong.stdout
    broken = client / "src/png.js"
    broken.write_text(
        broken.read_text().replace(
            "export function png(pixels, side) {", 'export function png(pixels, side) {\n  side = "";'
        )
    )
    wrong = subprocess.run([*tsc, "-p", "."], cwd=client, check=False, text=True, capture_output=True)
    assert "src/png.js" in wrong.stdout


def test_every_refusal_has_its_rule() -> None:
    """``Rule`` has each name of ``loop.feed.refusals``, and the client's own."""
    every = {name for name, kind in vars(refusals).items() if isinstance(kind, type) and name != "FeedRefused"}
    declared = source("errors.js").partition("} Rule")[0]
    assert set(re.findall(r'"(\w+)"', declared)) == every | OWN_RULES


def test_limits_are_the_same() -> None:
    """Both sides have the same limits of documents and files."""
    found = dict(re.findall(r"^  (\w+): ([\d <]+),", source("documents.js"), re.M))
    expected = {
        "document": document.MAX_BYTES,
        "model": document.MAX_MODEL_BYTES,
        "golden": document.MAX_GOLDEN_BYTES,
        "channels": document.MAX_CHANNELS,
        "withdrawn": document.MAX_WITHDRAWN,
        "keys": document.MAX_KEYS,
        "roots": syncing.MAX_ROOTS,
        "askedADay": asking.MAX_ASKED_A_DAY,
        "critical": asking.MAX_CRITICAL,
    }
    assert {name: shifted(found[name]) for name in expected} == expected


def test_it_depends_on_nothing() -> None:
    """No module imports anything but the client's own files."""
    named = [
        name for path in (CLIENT / "src").glob("*.js") for name in re.findall(r' from "([^"]+)"', path.read_text())
    ]
    assert len(named) > 50
    assert [name for name in named if not re.fullmatch(r"\./\w+\.js", name)] == []


def source(name: str) -> str:
    """A module of the client."""
    return (CLIENT / "src" / name).read_text(encoding="utf-8")


def shifted(text: str) -> int:
    """``256 << 20`` as a number."""
    number, _, shift = text.partition("<<")
    return int(number) << int(shift or 0)
