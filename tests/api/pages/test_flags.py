"""The choice of a flag on the page /review, in a real browser."""

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from loop.store import tables
from loop.store.asking.values import QuestionStatus
from tests.api.pages.conftest import Site, Visitor
from tests.api.pages.test_review import answers, asked, begun, shown, site, type_

__all__ = ["site"]  # the fixture


def test_a_flag_is_chosen(visitor: Visitor, site: Site) -> None:
    """F, then the flag's key or a click; Escape and F again choose none, and digits do nothing meanwhile."""
    asked(site, 5)
    begun(visitor)
    assert "F chooses a flag" in visitor.text("work")
    type_(visitor, "f")
    assert visitor.find("flags-dialog").is_displayed()
    type_(visitor, "7" + Keys.ESCAPE)
    visitor.until(lambda: not visitor.find("flags-dialog").is_displayed())
    type_(visitor, "ff")
    assert not visitor.find("flags-dialog").is_displayed()
    assert shown(visitor) == 1
    type_(visitor, "fufnFT")
    visitor.until(lambda: len(answers(site)) == 3)
    type_(visitor, "f")
    visitor.driver.find_element(By.CSS_SELECTOR, "#flags-dialog [data-name=two-digits]").click()
    visitor.until(lambda: len(answers(site)) == 4)
    flags = ["unreadable", "not-a-digit", "two-digits", "two-digits"]
    assert list(answers(site).values()) == [(None, flag) for flag in flags]
    type_(visitor, "z")
    visitor.until(lambda: len(answers(site)) == 3)


def test_a_flag_is_only_for_the_digit_it_was_chosen_for(visitor: Visitor, site: Site) -> None:
    """Its question closed while the choice was open: the next digit does not get the flag."""
    asked(site, 3)
    begun(visitor)
    type_(visitor, "f")
    with site.home.store.exclusive() as tx:
        tx.get_one(tables.Question, 1).status = QuestionStatus.DROPPED
    visitor.driver.execute_script(
        "const now = Date.now; Date.now = () => now() + 3_600_000; window.wake = () => (Date.now = now);"
        "document.dispatchEvent(new Event('visibilitychange'))"  # back after an hour: the page asks again what it holds
    )
    visitor.until(lambda: shown(visitor) == 2)
    visitor.driver.execute_script("wake()")
    type_(visitor, "n")
    visitor.until(lambda: "Another digit is shown now" in visitor.text("said"))
    type_(visitor, "7")
    visitor.until(lambda: answers(site) == {2: (7, None)})


def test_the_key_of_a_flag_can_be_changed(visitor: Visitor, site: Site) -> None:
    """The line below the answers shows it; keys of before the choice of a flag existed stay as they were."""
    asked(site, 5)
    begun(visitor)
    visitor.click("shortcuts")
    visitor.driver.find_element(By.CSS_SELECTOR, "[data-name=flag]").click()
    type_(visitor, "x")
    visitor.press("Done")
    assert "X chooses a flag" in visitor.text("work")
    type_(visitor, "xn")
    visitor.until(lambda: answers(site) == {1: (None, "not-a-digit")})
    visitor.driver.execute_script("localStorage.setItem('loop.review.keys', JSON.stringify({ skip: 'f', undo: 's' }))")
    visitor.driver.refresh()
    visitor.until(lambda: shown(visitor) == 2)
    assert "Z chooses a flag" in visitor.text("work")
    type_(visitor, "fzu")
    visitor.until(lambda: answers(site) == {1: (None, "not-a-digit"), 2: (None, None), 3: (None, "unreadable")})
