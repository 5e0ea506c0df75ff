"""The JavaScript client at the real API, in Node and in Chromium; all vectors in Chromium too.

The page in Chromium is of another origin than the API, as a web app's is.
"""

import base64
import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from loop.clock import utc_now
from loop.feed import upkeep
from loop.store.asking import policies
from tests.api.conftest import Server, opened, serving
from tests.api.pages.conftest import driver
from tests.api.process import BOUNDLESS
from tests.clients.test_js import node
from tests.feed.conftest import WHY, Office
from tests.helpers.paths import ROOT

__all__ = ["driver"]  # a fixture

pytestmark = pytest.mark.slow

EXPECTED = {
    "synced": [True, False, 1, 0.05, "the policy is valid"],
    "alone": 1,
    "batch": 4,
    "decisions": [True, True, False],
    "more": 2,
    "refused": [],
    "undone": ["key-3"],
    "became": [
        "asked 7 accepted",
        "confirmation 4 accepted",
        "correction 2 superseded",
        "correction 3 withdrawn",
        "correction 5 accepted",
        "correction 7 accepted",
        "drawing null accepted",
    ],
    "unknown": [0, 1],
    "erased": 7,
    "left": 0,
    "newSource": True,
}
IN_A_PAGE = """
const done = arguments[arguments.length - 1];
(async (given) => {
  const [{ life }, client, vectors] = await Promise.all(
    [import("/js/test/live.js"), import("/js/src/index.js"), fetch("/vectors/feed.json").then((file) => file.json())]);
  const root = Uint8Array.from(atob(given.root), (letter) => letter.charCodeAt(0));
  const { IndexedStore, LocalStore } = client;
  const stores = [new IndexedStore("phone"), new IndexedStore("outbox"), new LocalStore("stranger.")];
  return life({ ...given, root, models: vectors.models, stores });
})(arguments[0]).then(done, (error) => done(`failed: ${error} ${error.stack}`));
"""
VECTORS = """
const done = arguments[arguments.length - 1];
(async () => {
  const checks = await import("/js/test/checks.js");
  const found = {};
  for (const [name, check] of Object.entries(checks.every)) {
    const answer = await fetch(`/vectors/${name === "feeds" ? "feed" : name}.json`);
    if (answer.ok) found[name] = await check(await answer.json());
  }
  return found;
})().then(done, (error) => done(`failed: ${error} ${error.stack}`));
"""
PRESSED = """
const done = arguments[arguments.length - 1];
(async (given) => {
  const [{ pressed }, { IndexedStore }] = await Promise.all([import("/js/test/live.js"), import("/js/src/index.js")]);
  return pressed({ ...given, store: new IndexedStore("pressed") });
})(arguments[0]).then(done, (error) => done(`failed: ${error} ${error.stack}`));
"""
KEEP = """
const done = arguments[arguments.length - 1];
(async () => {
  const { IndexedStore, LocalStore } = await import("/js/src/index.js");
  const found = [];
  for (const store of [new IndexedStore("kept"), new LocalStore("kept.")]) {
    const before = await store.get("a/1");
    await store.set("a/1", new Uint8Array([0, 255, 7]));
    await store.set("b/1", new Uint8Array());
    const names = await store.names("a/");
    const [one, two] = await Promise.all([
      store.alone("work", () => new Promise((resolve) => setTimeout(() => resolve("one"), 50))),
      store.alone("work", async () => "two").catch((error) => error.rule)]);
    await store.remove("b/1");
    found.push([before && [...before], names, [one, two].sort(), await store.get("b/1")]);
  }
  return found;
})().then(done, (error) => done(`failed: ${error} ${error.stack}`));
"""


PRELUDE = """
import { recorded } from "ORIGIN/js/test/checks.js";
const { models } = await (await fetch("ORIGIN/vectors/feed.json")).json();
const runtime = { load: async (bytes) => {
  const model = await recorded(models)(bytes);
  const some = [0.02, 0.5, 0, 0, 0, 0, 0, 0.48, 0, 0]; // of a picture without a recorded answer
  return { metadata: model.metadata, predict: async (pixels) => (await model.probabilities(pixels)) ?? some };
} };
const myVerify = (signature, message, key) => signature.length === 64 && key.length === 32 && message.length > 0;
"""
AFTERWARDS = """
export const found = {
  version: held.version, accepted: done.accepted.length, waiting: done.waiting, corrections: corrections.length,
  asks: askNow, waits: await outbox.waiting(), read, served: version,
};
"""
RUN = """
const done = arguments[arguments.length - 1];
import(URL.createObjectURL(new Blob([arguments[0]], { type: "text/javascript" })))
  .then(({ found }) => done(found), (error) => done(`failed: ${error} ${error.stack}`));
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of a web app's server: the client and the vectors."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in ("js", "vectors"):
        (folder / name).symlink_to(ROOT / "clients" / name)
    return folder


@pytest.fixture
def origin(site: Path) -> Iterator[str]:
    """The origin of the web app; a new one in each test, so that its stores are empty."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def served(tmp_path: Path, origin: str, site: Path) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A server with one version and a published feed that admits ``origin``, and what a client is given."""
    home = opened(
        f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, serve=replace(BOUNDLESS, cors_origins=origin, max_batch_items=3)
    )
    office = Office(home, home.settings.published)
    office.now = utc_now().replace(microsecond=0)
    office.register()
    root = office.create()
    (site / "app-root.json").write_bytes(root)
    document = {"ask_user": True, "asked_a_day": 1, "margin_ppm": 300_000, "other_ppm": 0, "unsure_ppm": 1_000_000}
    with home.store.write() as tx:
        policies.add(tx, policies.SetPolicy(document, (), "tests", office.now))
    upkeep.follow(home, WHY, office.now)
    with serving(home) as server:
        given = {"root": base64.b64encode(root).decode(), "url": server.url}
        yield server, given | {"key": server.keys["app"]}


def test_a_life_in_node(served: tuple[Server, dict[str, Any]], tmp_path: Path) -> None:
    """It syncs, uploads, splits a batch (the server takes three), changes its mind, is asked, takes back and erases."""
    (tmp_path / "given.json").write_text(json.dumps(served[1]))
    done = node("test/live-node.js", str(tmp_path / "given.json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


def test_a_life_in_chromium(driver: webdriver.Chrome, origin: str, served: tuple[Server, dict[str, Any]]) -> None:
    """The same in a browser, from another origin, with IndexedDB and localStorage."""
    driver.get(f"{origin}/vectors/small.json")
    assert driver.execute_async_script(IN_A_PAGE, served[1]) == EXPECTED


def test_a_quota_is_waited_for_in_chromium(driver: webdriver.Chrome, origin: str, tmp_path: Path) -> None:
    """A page of another origin reads Retry-After, keeps what was refused, and asks no second time before."""
    strict = replace(BOUNDLESS, cors_origins=origin, source_per_minute=1)
    driver.get(f"{origin}/vectors/small.json")
    with serving(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, serve=strict)) as server:
        found = driver.execute_async_script(PRESSED, {"url": server.url, "key": server.keys["app"]})
    assert found == {"accepted": [1, 0], "waiting": 1, "requests": 2, "inAMinute": True, "said": True}


def test_every_vector_in_chromium(driver: webdriver.Chrome, origin: str) -> None:
    """Pixels, tiles, sources, buckets and feeds are Python's in a real browser too."""
    driver.get(f"{origin}/vectors/small.json")
    found = driver.execute_async_script(VECTORS)
    assert not isinstance(found, str), found
    assert set(found) == {"pictures", "strokes", "small", "feeds", "asking", "golden"}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_stores_keep_through_a_reload(driver: webdriver.Chrome, origin: str) -> None:
    """IndexedDB and localStorage have what was set before a reload, and let one tab work at a time."""
    driver.get(f"{origin}/vectors/strokes.json")
    worked = [["a/1"], ["Busy", "one"], None]
    assert driver.execute_async_script(KEEP) == [[None, *worked]] * 2
    driver.refresh()
    assert driver.execute_async_script(KEEP) == [[[0, 255, 7], *worked]] * 2


def test_every_snippet_of_the_page(
    driver: webdriver.Chrome, origin: str, served: tuple[Server, dict[str, Any]]
) -> None:
    """The JavaScript of docs/javascript.md, from top to bottom, in a browser against the server."""
    text = (ROOT / "docs/javascript.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```js\n(.*?)^```", text, re.M | re.S)
    assert len(snippets) >= 6
    code = PRELUDE + "".join(snippets) + AFTERWARDS
    for name, value in {
        '"digit-loop"': '"ORIGIN/js/src/index.js"',
        "ORIGIN": origin,
        "https://api.example": served[1]["url"],
        "loop_app_…": served[1]["key"],
    }.items():
        assert name in code
        code = code.replace(name, value)
    driver.get(f"{origin}/vectors/pictures.json")
    found = driver.execute_async_script(RUN, code)
    assert not isinstance(found, str), found
    assert found.pop("read") in range(10)
    assert found.pop("corrections") in {2, 3}  # a confirmation is drawn by lot
    assert found == {"version": 1, "accepted": 1, "waiting": 0, "asks": True, "waits": 0, "served": 1}
