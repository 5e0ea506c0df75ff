"""The page /review in a real browser: by keyboard, by touch, as a grid, undone, and given back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import func, select

from loop import access
from loop.access import Role
from loop.clock import utc_now
from loop.data import corpus
from loop.data.digits import digit
from loop.home.sections import Review
from loop.store import tables
from loop.store.asking.values import QuestionStatus
from loop.store.feedback import erasures
from tests.api.conftest import opened
from tests.api.pages.conftest import Site, Visitor
from tests.asking.conftest import ask, drawing, send

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
DRAWN = corpus.digits()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server on a store of its own: no model is needed to answer questions."""
    home = opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path, review=Review(hold_seconds=60))
    made = Site(home)
    made.start()
    yield made
    made.stop()
    home.store.close()


def asked(site: Site, count: int, quorum: int = 1) -> None:
    """Questions 1 to ``count`` about drawings of real digits."""
    uploads = [replace(drawing("a phone", row), image=digit(DRAWN.train_images[row])) for row in range(count)]
    receipts = send(site.home.store, *uploads, at=utc_now())
    ask(site.home.store, [receipt.id for receipt in receipts], quorum)


def answers(site: Site, standing: bool = True) -> dict[int, tuple[int | None, str | None]]:
    """The last answer to each question."""
    answer = tables.Answer
    with site.home.store.read() as tx:
        rows = tx.execute(
            select(answer.question_id, answer.label, answer.flag)
            .where(answer.undone_at.is_(None) == standing)
            .order_by(answer.id)
        )
        return {number: (label, flag) for number, label, flag in rows}


def held(site: Site) -> int:
    """How many questions somebody holds."""
    with site.home.store.read() as tx:
        return tx.scalar(select(func.count()).select_from(tables.Hold)) or 0


def shown(visitor: Visitor) -> int:
    """The question that the next answer is for; 0 if none is shown."""
    return int(visitor.find("digits-shown").get_attribute("data-question") or 0)


def type_(visitor: Visitor, keys: str) -> None:
    """Press keys, one after the other."""
    ActionChains(visitor.driver, duration=0).send_keys(*keys).perform()


def begun(visitor: Visitor, role: str = "reviewer") -> None:
    """Open the page with a key, and wait for the first digit."""
    visitor.visit("/review", role)
    visitor.until(lambda: shown(visitor))


@contextmanager
def screen(driver: WebDriver, size: dict[str, Any]) -> Iterator[None]:
    """Another size of the screen."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_answered_by_keyboard(visitor: Visitor, site: Site) -> None:
    """A digit, skip and the three flags; the guess is shown after the answer; at the end there is nothing to do."""
    asked(site, 6)
    begun(visitor)
    assert "model" not in visitor.text("last")
    type_(visitor, "7")
    visitor.until(lambda: "the model read 1, then 7" in visitor.text("said"))
    assert "agreed" in visitor.text("said")
    type_(visitor, "sunT")
    visitor.until(lambda: len(answers(site)) == 5)
    flags = [(None, None), (None, "unreadable"), (None, "not-a-digit"), (None, "two-digits")]
    assert list(answers(site).values()) == [(7, None), *flags]
    assert shown(visitor) == 6
    type_(visitor, "3")
    visitor.until(lambda: "Nothing" in visitor.text("empty"))
    visitor.until(lambda: answers(site).get(6) == (3, None))
    with site.home.store.read() as tx:
        seconds = tx.scalars(select(tables.Answer.seconds)).all()
    assert all(each is not None and 0 <= each < 60 for each in seconds)


def test_undo_takes_back_the_last_answers(visitor: Visitor, site: Site) -> None:
    """Twice Z: both digits come again, the last first; answers before the visit can be undone, too."""
    asked(site, 5)
    begun(visitor)
    type_(visitor, "12")
    visitor.until(lambda: answers(site) == {1: (1, None), 2: (2, None)})
    type_(visitor, "z")
    assert shown(visitor) == 2
    type_(visitor, "z")
    assert shown(visitor) == 1
    type_(visitor, "89")
    visitor.until(lambda: answers(site) == {1: (8, None), 2: (9, None)})
    assert shown(visitor) == 3
    visitor.driver.refresh()
    visitor.until(lambda: shown(visitor) == 3)
    type_(visitor, "z")
    visitor.until(lambda: answers(site) == {1: (8, None)})
    visitor.until(lambda: "asked again" in visitor.text("said"))


def test_a_grid(visitor: Visitor, site: Site) -> None:
    """Twelve at once: a key answers the marked one and marks the next, a click marks another; the next page follows."""
    asked(site, 20)
    begun(visitor)
    visitor.click("grid")
    tiles = visitor.driver.find_elements(By.CSS_SELECTOR, "#digits-shown button")
    assert len(tiles) == 12
    type_(visitor, "5")
    assert shown(visitor) == 2
    visitor.driver.find_elements(By.CSS_SELECTOR, "#digits-shown button")[6].click()
    assert shown(visitor) == 7
    type_(visitor, "6")
    assert shown(visitor) == 8
    type_(visitor, "z")
    assert shown(visitor) == 7
    type_(visitor, "7" * 6 + "22222")
    visitor.until(lambda: len(answers(site)) == 12)
    assert answers(site)[7] == (7, None)
    assert answers(site)[2] == (2, None)
    assert shown(visitor) == 13
    assert len(visitor.driver.find_elements(By.CSS_SELECTOR, "#digits-shown button")) == 8


def test_by_touch_on_a_phone(visitor: Visitor, site: Site) -> None:
    """390 × 844: digit, all answers and what was said fit on one screen; nothing is wider; buttons are large enough."""
    asked(site, 12)
    with screen(visitor.driver, PHONE):
        begun(visitor)
        for mode in ("one", "grid"):
            visitor.click(mode)
            names = [
                f"do-{name}" for name in (*"0123456789", "skip", "unreadable", "not-a-digit", "two-digits", "undo")
            ]
            for name in ["digits-shown", *names, "said"]:
                box = visitor.driver.execute_script(
                    "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
                    "return [box.left, box.top, innerWidth - box.right, innerHeight - box.bottom,"
                    "box.width, box.height]",
                    name,
                )
                assert min(box[:4]) >= 0, (mode, name, box)
                assert name == "said" or min(box[4:]) >= 44, (mode, name, box)
            cut = visitor.driver.execute_script(
                "return [document.documentElement, ...document.querySelectorAll('main button')]"
                ".filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.id)"
            )
            assert cut == []
            visitor.click("do-4")
            visitor.click("do-unreadable")
        visitor.until(lambda: len(answers(site)) == 4)
    assert list(answers(site).values()) == [(4, None), (None, "unreadable")] * 2


def test_two_reviewers_see_different_questions(visitor: Visitor, site: Site) -> None:
    """What one has fetched the other does not get; leaving the page gives it back unseen."""
    asked(site, 16)
    begun(visitor)
    first = visitor.driver.current_window_handle
    visitor.driver.switch_to.new_window("tab")
    other = Visitor(visitor.driver, site)
    begun(other, "ops")
    assert shown(other) > 12
    type_(other, "1111")
    visitor.until(lambda: len(answers(site)) == 4)
    visitor.until(lambda: "with other reviewers" in other.text("empty"))
    visitor.driver.close()
    visitor.driver.switch_to.window(first)
    assert shown(visitor) == 1
    type_(visitor, "2")
    visitor.until(lambda: len(answers(site)) == 5)
    visitor.driver.get(site.url + "/production")
    visitor.until(lambda: held(site) == 0)
    assert len(answers(site)) == 5


def test_answers_outlive_the_server(visitor: Visitor, site: Site) -> None:
    """While the server is away, answers go on and are kept; they arrive when it is back."""
    asked(site, 8)
    begun(visitor)
    visitor.until(lambda: visitor.text("progress"))
    site.stop()
    type_(visitor, "123")
    visitor.until(lambda: "not sent yet" in visitor.text("problem"))
    assert shown(visitor) == 4
    site.start()
    visitor.until(lambda: len(answers(site)) == 3, 30)
    visitor.until(lambda: visitor.text("problem") == "")
    assert answers(site) == {1: (1, None), 2: (2, None), 3: (3, None)}


def test_answers_outlive_a_reload(visitor: Visitor, site: Site) -> None:
    """What could not be sent is sent while the page is left, and kept in the tab: sent again, it changes nothing."""
    asked(site, 8)
    begun(visitor)
    visitor.driver.execute_cdp_cmd("Network.enable", {})
    visitor.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/review/answers"]})
    type_(visitor, "12z3")
    visitor.until(lambda: "not sent yet" in visitor.text("problem"))
    visitor.driver.refresh()
    visitor.until(lambda: shown(visitor) == 3)
    visitor.until(lambda: "not sent yet" in visitor.text("problem"))
    visitor.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    visitor.until(lambda: visitor.text("problem") == "", 30)
    assert answers(site) == {1: (1, None), 2: (3, None)}
    assert answers(site, standing=False) == {}
    assert shown(visitor) == 3


def test_a_refused_answer_is_shown(visitor: Visitor, site: Site) -> None:
    """Its source was erased meanwhile: the digit, the answer and the reason stay until they are dismissed."""
    asked(site, 3)
    begun(visitor)
    with site.home.store.exclusive() as tx:
        erasures.erase(tx, "a phone", "ops", utc_now())
    type_(visitor, "7")
    visitor.until(lambda: "erased" in visitor.text("failed"))
    assert "7" in visitor.text("failed")
    visitor.driver.find_element(By.CSS_SELECTOR, "#failed button").click()
    assert not visitor.find("failed").is_displayed()


def test_keys_can_be_changed(visitor: Visitor, site: Site) -> None:
    """And are kept in this browser; the key's former action gets the other's."""
    asked(site, 5)
    begun(visitor)
    visitor.click("shortcuts")
    visitor.driver.find_element(By.CSS_SELECTOR, "[data-name=unreadable]").click()
    type_(visitor, "s")
    visitor.press("Done")
    type_(visitor, "s")
    visitor.until(lambda: answers(site) == {1: (None, "unreadable")})
    visitor.driver.refresh()
    visitor.until(lambda: shown(visitor) == 2)
    type_(visitor, "u")
    visitor.until(lambda: answers(site).get(2) == (None, None))
    visitor.click("shortcuts")
    visitor.press("First keys again")
    visitor.press("Done")
    type_(visitor, "u")
    visitor.until(lambda: answers(site).get(3) == (None, "unreadable"))


def test_a_key_without_the_role(visitor: Visitor, site: Site) -> None:
    """The page says which key it needs, and who makes it."""
    asked(site, 1)
    visitor.visit("/review")
    assert "Enter a key" in visitor.text("problem")
    assert not visitor.find("work").is_displayed()
    visitor.click("key-button")
    visitor.find("key").send_keys(site.keys["app"] + Keys.ENTER)
    visitor.until(lambda: "loop keys create NAME --role reviewer" in visitor.text("problem"))
    revoked, row = access.create(site.home, "gone", Role.REVIEWER, actor="tests", now=utc_now())
    access.revoke(site.home, row.id, utc_now())
    visitor.click("key-button")
    visitor.find("key").send_keys(revoked + Keys.ENTER)
    visitor.until(lambda: "revoked" in visitor.text("problem") or "unknown one" in visitor.text("problem"))


def test_a_hold_that_expired(visitor: Visitor, site: Site) -> None:
    """Somebody else has the digit meanwhile: the page says so, shows the next one, and nothing is answered blindly."""
    asked(site, 2)
    begun(visitor)
    visitor.driver.execute_script("Date.now = () => performance.timeOrigin + performance.now() + 3_600_000")
    with site.home.store.exclusive() as tx:
        tx.get_one(tables.Question, 1).status = QuestionStatus.DROPPED
    type_(visitor, "7")
    visitor.until(lambda: shown(visitor) == 2)
    assert "away for too long" in visitor.text("said")
    assert answers(site) == {}


def test_screens(visitor: Visitor, site: Site, record_property: Callable[[str, object], None], tmp_path: Path) -> None:
    """The page in both sizes and modes, as pictures for a person to look at; none of them is empty."""
    asked(site, 30)
    begun(visitor)
    for width, height in ((1280, 900), (390, 844)):
        with screen(visitor.driver, PHONE | {"width": width, "height": height}):
            for mode in ("one", "grid"):
                visitor.click(mode)
                type_(visitor, "7s1")
                time.sleep(0.4)
                file = tmp_path / f"review-{mode}-{width}.png"
                assert visitor.driver.save_screenshot(str(file))
                assert file.stat().st_size > 10_000
                record_property("screen", str(file))
