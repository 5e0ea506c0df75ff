"""The pages in a real browser against a real server: headless Chromium, driven through ChromeDriver."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

import models
from loop import api, registry
from loop import home as homes
from loop.api import protocol
from loop.clock import utc_now
from loop.home import Home
from loop.night import retrain
from loop.store import values
from loop.store.feedback import split
from loop.store.nights import runs, versions
from loop.store.values import Attribution
from tests.api.conftest import Server, keyed, opened, serving
from tests.helpers import linear
from tests.night.test_retrain import LENIENT, LENIENT_CANARY, write

SEVEN = ((0.3, 0.2), (0.7, 0.22), (0.45, 0.85))
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Site:
    """A server that can go away and come back at the same address."""

    def __init__(self, home: Home) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home, self.keys, self.url = home, keyed(home), f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; returns once it does."""
        config = uvicorn.Config(api.create(self.home), host="127.0.0.1", port=self.port, **protocol.options())
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish what was begun, and go."""
        self._server.should_exit = True
        self._thread.join(30)


class Visitor:
    """Somebody at the browser: looks, draws, clicks."""

    def __init__(self, driver: webdriver.Chrome, site: Site) -> None:
        self.driver, self.site = driver, site

    def visit(self, path: str = "/", *keys: str) -> None:
        """Open a page, and enter the keys of some roles."""
        self.driver.get(self.site.url + path)
        for role in keys:
            self.click("key-button")
            self.find("key").send_keys(self.site.keys[role] + Keys.ENTER)
            self.until(lambda role=role: role in self.text("key-button"))

    def find(self, name: str) -> WebElement:
        """The element with this id."""
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        """What an element shows."""
        return self.find(name).text

    def click(self, name: str) -> None:
        """Click the element with this id."""
        self.find(name).click()

    def press(self, text: str) -> None:
        """Click the button of the open dialog that says this."""
        buttons = self.driver.find_elements(By.CSS_SELECTOR, "dialog[open] button")
        next(each for each in buttons if each.text == text).click()

    def dialog(self, text: str) -> None:
        """Wait until the open dialog says this."""
        opened = "dialog[open]"
        self.until(lambda: any(text in each.text for each in self.driver.find_elements(By.CSS_SELECTOR, opened)))

    def draw(self, *points: tuple[float, float]) -> None:
        """A stroke through points from 0 to 1; a seven without any."""
        pad = self.find("pad")
        side = pad.size["width"]
        first, *rest = [(round((x - 0.5) * side), round((y - 0.5) * side)) for x, y in points or SEVEN]
        moves = ActionChains(self.driver, duration=50).move_to_element_with_offset(pad, *first).click_and_hold()
        for x, y in rest:
            moves = moves.move_to_element_with_offset(pad, x, y)
        moves.release().perform()

    def until(self, holds: Any, seconds: float = 10) -> Any:
        """Wait until something holds."""
        until = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > until:
                page = self.driver.find_element(By.TAG_NAME, "body").text
                raise AssertionError(f"still not after {seconds} s; the page says:\n{page}\n{self.complaints()}")
            time.sleep(0.05)
        return found

    def ask(self, script: str, *arguments: Any) -> Any:
        """The value of a promise, in the page."""
        return self.driver.execute_async_script(
            f"const done = arguments[arguments.length - 1]; (async (...given) => {{ {script} }})"
            "(...Array.from(arguments).slice(0, -1)).then(done, (error) => done(`failed: ${error}`));",
            *arguments,
        )

    def complaints(self) -> list[str]:
        """What the browser wrote in its console: breaches of the policy, errors of scripts."""
        return [f"{each['source']}: {each['message']}" for each in self.driver.get_log("browser")]


@contextmanager
def browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with this profile. Raises ``LookupError`` if it or ChromeDriver is not installed."""
    chromium, chromedriver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        raise LookupError("no chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium's sandbox refuses root
    where = f"--user-data-dir={profile}"
    for flag in ("--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", where, *QUIET, *sandbox):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        made.set_window_size(1280, 1000)
        made.set_script_timeout(60)
        yield made
    finally:
        made.quit()


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    try:
        with browser(tmp_path_factory.mktemp("browser")) as made:
            yield made
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Path:
    """A home where a night has made version 2 champion and version 3 came out unproven; each test gets a copy."""
    folder = tmp_path_factory.mktemp("lived in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get", models.get)  # so that both are put back
        patch.setattr(homes, "corpus", homes.corpus)
        linear.install(small_corpus)
        home = at(folder)
        with home.store.write() as tx:
            split.set_salt(tx, "salt")  # which of the tests' people are held out
        retrain.create_base(home)
        write(home)
        retrain.run(home)
        unproven(home, "an inconclusive night", "too few confirmations")
    home.store.close()
    return folder


def at(folder: Path) -> Home:
    """The home in a folder."""
    url = f"sqlite:///{folder / 'loop.db'}"
    return opened(url, folder, corpus="digits", gate=LENIENT, canary=LENIENT_CANARY, holdout_share=0.4)


def unproven(home: Home, reason: str, text: str) -> int:
    """One more version, whose verdict is inconclusive; its number."""
    now = utc_now()
    with home.store.exclusive() as tx:
        run = runs.claim(tx, "cnn", "night", runs.me(), 60, now)
        number = runs.reserve(tx, run.id)
        runs.finish(tx, run.id, values.RunStatus.FINISHED, reason, {}, now)
        made = replace(versions.get(tx, 2), number=number, run_id=run.id)
        reasons = [{"name": "feedback", "outcome": "inconclusive", "text": text}]
        verdict = values.Verdict(number, "good enough", "inconclusive", {"reasons": reasons}, now)
        registry.register(tx, made, [verdict], Attribution("the night", reason), now)
    return number


@pytest.fixture
def site(lived_in: Path, tmp_path: Path) -> Iterator[Site]:
    """A running server on a home of its own."""
    made = Site(at(shutil.copytree(lived_in, tmp_path / "lived in")))
    made.start()
    yield made
    made.stop()
    made.home.store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server on an empty store: for what needs no browser."""
    with serving(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path)) as found:
        yield found


@pytest.fixture
def visitor(driver: webdriver.Chrome, site: Site) -> Iterator[Visitor]:
    """A visitor in a tab of its own. Afterwards: nothing broke the policy, and no script failed."""
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    found = Visitor(driver, site)
    found.complaints()  # forget what was before
    yield found
    said = found.complaints()
    driver.close()
    driver.switch_to.window(first)
    assert not [line for line in said if not line.startswith("network:")]
