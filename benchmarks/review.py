"""Review by keyboard in a real browser: answers a minute, and how soon the next digit is there after a key.

python benchmarks/review.py [--answers 300] [--per-second 4] [--delay 0]

A server on SQLite in a process of its own, headless Chromium, real key events. *There* is the first frame after the one
in which the next picture was put into the page, measured in the page with ``performance.now()`` from the browser's
timestamp of the key event. ``--delay`` adds milliseconds to each request, as a network would.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from sqlalchemy import func, select

from loop.clock import utc_now
from loop.data import corpus
from loop.data.digits import digit
from loop.store import tables
from tests.api.pages.conftest import browser
from tests.api.process import Process, apart
from tests.asking.conftest import ask, drawing, send

WATCH = """
window.measured = [];
const list = document.getElementById("digits-shown");
let pressed = null;
addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
new MutationObserver(() => {
  const begun = pressed;
  pressed = null;
  const there = () => measured.push(performance.now() - begun);
  if (begun !== null) requestAnimationFrame(() => requestAnimationFrame(there));
}).observe(list, { childList: true });
"""


def questions(served: Process, count: int) -> None:
    """Questions about real digits."""
    images = corpus.digits().train_images
    for begin in range(0, count, 500):
        rows = range(begin, min(begin + 500, count))
        pictures = [digit(np.roll(images[row % len(images)], row // len(images), axis=1)) for row in rows]
        uploads = [
            replace(drawing(f"phone {row % 50}", row), image=picture)
            for row, picture in zip(rows, pictures, strict=True)
        ]
        ask(served.home.store, [each.id for each in send(served.home.store, *uploads, at=utc_now())])


def stored(served: Process) -> int:
    """Answers on disk."""
    with served.home.store.read() as tx:
        return tx.scalar(select(func.count()).select_from(tables.Answer)) or 0


def answer(driver: webdriver.Chrome, served: Process, count: int, per_second: float) -> tuple[list[float], float]:
    """Press ``count`` keys at this pace; the page's milliseconds, and the seconds until all answers were stored."""
    driver.get(f"{served.url}/review")
    driver.find_element("id", "key-button").click()
    driver.find_element("id", "key").send_keys(served.keys["reviewer"] + Keys.ENTER)
    while not driver.find_element("id", "digits-shown").get_attribute("data-question"):
        time.sleep(0.05)
    driver.execute_script(WATCH)
    random, began = np.random.default_rng(1), time.monotonic()
    for number in range(count):
        ActionChains(driver, duration=0).send_keys(str(random.integers(10))).perform()
        time.sleep(max(0.0, began + (number + 1) / per_second - time.monotonic()))
    while stored(served) < count:
        time.sleep(0.01)
    seconds = time.monotonic() - began
    measured: list[float] = driver.execute_script("return measured")
    return measured, seconds


def slow_down(driver: webdriver.Chrome, milliseconds: float) -> None:
    """Delay each of the page's requests."""
    conditions: dict[str, Any] = {"offline": False, "latency": milliseconds, "downloadThroughput": -1}
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions | {"uploadThroughput": -1})


def main() -> None:
    """Print answers a minute, and the quantiles of the delay."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--answers", type=int, default=300)
    options.add_argument("--per-second", type=float, default=4.0)
    options.add_argument("--delay", type=float, default=0.0, help="milliseconds added to each request")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/loop.db"
        with apart(url, Path(folder)) as served, browser(Path(folder) / "profile") as driver:
            questions(served, given.answers + 50)
            slow_down(driver, given.delay)
            measured, seconds = answer(driver, served, given.answers, given.per_second)
    middle, high = np.quantile(measured, (0.5, 0.95))
    print(f"{given.answers} answers in {seconds:.1f} s: {60 * given.answers / seconds:.0f} a minute, all stored")
    print(f"next digit after a key: median {middle:.1f} ms, p95 {high:.1f} ms, worst {max(measured):.1f} ms, "
          f"n={len(measured)}")  # fmt: skip


if __name__ == "__main__":
    main()
