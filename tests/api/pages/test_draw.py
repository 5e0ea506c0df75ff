"""The whole circle of a drawing in a real browser: read, said, stored, kept through an outage, erased."""

import base64
import time

import numpy as np
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from loop import access
from loop.data.digits import to_png
from loop.store import tables
from tests.api.pages.conftest import Site, Visitor


def stored(site: Site) -> list[tuple[str, tables.Correction]]:
    """Every upload of a browser with its source's name, oldest first; the people of the home have other names."""
    with site.home.store.read() as tx:
        pairs = tx.query(tables.Source.name, tables.Correction).filter(
            tables.Correction.source_id == tables.Source.id, tables.Source.name.not_like("person-%")
        )
        found = [(name, row) for name, row in pairs.order_by(tables.Correction.id)]
        tx.expunge_all()
        return found


def reads(visitor: Visitor) -> int:
    """Draw a seven and wait for what the champion says of all of it."""
    visitor.draw()
    visitor.until(lambda: visitor.find("right").is_enabled())
    return int(visitor.text("reading"))


def test_a_drawing_is_read_and_corrected(visitor: Visitor, site: Site) -> None:
    """The champion's ten shares appear; another digit is a correction in the store, with what the model had said."""
    visitor.visit("/", "app")
    said = reads(visitor)
    assert visitor.text("version") == "version 2"
    meant = (said + 1) % 10
    visitor.click(f"was-{meant}")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    [(source, row)] = stored(site)
    assert (row.label, row.predicted, row.kind, row.version, row.normalised) == (meant, said, "correction", 2, False)
    secret = visitor.driver.execute_script("return localStorage.getItem('loop.source')")
    assert source == access.source_name(secret)
    assert not visitor.find("right").is_enabled(), "the pad is empty again"


def test_right_is_a_confirmation(visitor: Visitor, site: Site) -> None:
    """ "Right" sends the model's own answer, as one."""
    visitor.visit("/", "app")
    said = reads(visitor)
    visitor.click("right")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    [(_, row)] = stored(site)
    assert (row.label, row.predicted, row.kind) == (said, said, "confirmation")


def test_what_waits_survives_an_outage_and_a_reload(visitor: Visitor, site: Site) -> None:
    """Drawn while the server is away: it waits, the page says so, and once the server is back it is stored once."""
    visitor.visit("/", "app")
    reads(visitor)
    site.stop()
    for digit in (3, 5):
        visitor.click(f"was-{digit}")
        visitor.draw()
    visitor.until(lambda: visitor.text("outbox") == "2 waiting")
    assert "the server does not answer" in visitor.text("trouble")
    site.start()
    visitor.driver.refresh()
    visitor.until(lambda: visitor.text("outbox") == "2 on disk")
    visitor.driver.refresh()
    time.sleep(0.5)
    assert [row.label for _, row in stored(site)] == [3, 5]
    assert visitor.text("outbox") == "2 on disk"


def test_an_answer_that_was_lost_is_asked_for_again(visitor: Visitor, site: Site) -> None:
    """The server stored it but the page never got the answer: sending it again under its key stores nothing twice."""
    visitor.visit("/", "app")
    reads(visitor)
    keep = "const [k, v] = Object.entries(localStorage).find(([k]) => k.startsWith('loop.out.waiting/'))"
    site.stop()
    visitor.click("was-2")
    visitor.until(lambda: visitor.text("outbox") == "1 waiting")
    visitor.driver.execute_script(f"{keep}; sessionStorage.setItem('k', k); sessionStorage.setItem('v', v)")
    site.start()
    visitor.driver.refresh()
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    visitor.driver.execute_script("localStorage.setItem(sessionStorage.getItem('k'), sessionStorage.getItem('v'))")
    visitor.driver.refresh()
    visitor.until(lambda: visitor.text("outbox") == "2 on disk")
    [(_, row)] = stored(site)
    assert row.key
    assert visitor.driver.execute_script("return sessionStorage.getItem('k')").endswith(row.key.encode().hex())


def test_one_that_is_refused_holds_up_no_other(visitor: Visitor, site: Site) -> None:
    """What the server refuses for good is dropped, said, and what came after it is sent."""
    visitor.visit("/")
    visitor.driver.execute_script("localStorage.setItem('loop.outbox.0', JSON.stringify({ image: 'AAAA', label: 3 }));")
    visitor.visit("/", "app")
    visitor.until(lambda: "refused" in visitor.text("trouble"))
    reads(visitor)
    visitor.click("was-3")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    assert len(stored(site)) == 1


def test_a_batch_that_is_refused_is_split_and_nothing_is_lost(visitor: Visitor, site: Site) -> None:
    """60 photos are too many pixels for one batch, and a broken item makes it no JSON: the outbox splits it.

    Every photo is stored, and only the broken item is dropped, by the answer to it alone.
    """
    pixels = np.zeros((1200, 1200), np.uint8)
    pixels[200:1000, 560:640] = 255
    image = base64.b64encode(to_png(pixels)).decode()
    visitor.visit("/")
    visitor.driver.execute_script(
        """for (let i = 0; i < 60; i++) {
          localStorage.setItem(`loop.outbox.${100 + i}`, JSON.stringify({ image: arguments[0], label: i % 10 }));
        }
        localStorage.setItem("loop.outbox.150x", "{broken");""",
        image,
    )
    visitor.visit("/", "app")
    visitor.until(lambda: visitor.text("outbox") == "60 on disk", 60)
    found = stored(site)
    assert sorted(row.key for _, row in found) == sorted(str(100 + i) for i in range(60))


def test_what_an_earlier_page_kept_is_sent_once_by_the_same_source(visitor: Visitor, site: Site) -> None:
    """Entries and secret of the page before this outbox: each is stored under its key, even if the storage is full."""
    image, secret = base64.b64encode(to_png(np.eye(28, dtype=np.uint8) * 255)).decode(), "s" * 43
    visitor.visit("/")
    visitor.driver.execute_script(
        """localStorage.setItem("loop.source", arguments[1]);
        for (const [key, label] of [["01700000000000-aa", 3], ["01700000000001-bb", 4]]) {
          localStorage.setItem(`loop.outbox.${key}`, JSON.stringify({ image: arguments[0], label }));
        }
        for (let size = 4e6; size >= 1; size /= 2) {
          for (;;) {
            const had = localStorage.getItem("ballast") ?? "";
            try { localStorage.setItem("ballast", had + "x".repeat(size)); } catch { break; }
          }
        }""",
        image,
        secret,
    )
    visitor.visit("/", "app")
    visitor.until(lambda: visitor.text("outbox") == "2 on disk", 60)
    found = stored(site)
    assert {name for name, _ in found} == {access.source_name(secret)}
    assert {row.key for _, row in found} == {"01700000000000-aa", "01700000000001-bb"}
    visitor.driver.execute_script("localStorage.removeItem('ballast')")


def test_erased_while_the_server_is_away(visitor: Visitor, site: Site) -> None:
    """The page says that it is not erased there yet; once the server is back it is, before anything else is sent."""
    visitor.visit("/", "app")
    reads(visitor)
    visitor.click("was-3")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk", 30)
    [(before, _)] = stored(site)
    reads(visitor)
    site.stop()
    visitor.click("erase")
    visitor.click("erase-yes")
    visitor.until(lambda: "Not erased on the server yet" in visitor.text("problem"), 30)
    visitor.click("was-4")
    site.start()
    visitor.driver.refresh()
    visitor.until(lambda: visitor.text("outbox") == "1 on disk", 60)
    [(after, row)] = stored(site)
    assert after != before
    assert row.label == 4


def test_erased_means_gone(visitor: Visitor, site: Site) -> None:
    """Nothing of this browser is left in the store, and its next drawing has another source."""
    visitor.visit("/", "app")
    reads(visitor)
    visitor.click("was-3")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    [(before, _)] = stored(site)
    visitor.click("erase")
    visitor.click("erase-yes")
    visitor.until(lambda: "Erased: 1 digit." in visitor.text("kept"))
    assert stored(site) == []
    assert visitor.text("outbox") == "Nothing sent yet"
    reads(visitor)
    visitor.click("was-4")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    assert [name for name, _ in stored(site)] != [before]


def test_a_digit_by_keyboard(visitor: Visitor, site: Site) -> None:
    """Arrows and Space draw, Tab reaches the digits, Enter says which it was."""
    visitor.visit("/", "app")
    visitor.driver.execute_script("document.getElementById('pad').focus()")
    ActionChains(visitor.driver).send_keys(" ", *[Keys.ARROW_DOWN] * 15, " ").perform()
    visitor.until(lambda: visitor.find("right").is_enabled())
    ActionChains(visitor.driver).send_keys(*[Keys.TAB] * 4, Keys.ENTER).perform()
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    assert [row.label for _, row in stored(site)] == [1]


def test_a_key_stays_in_its_tab(visitor: Visitor, site: Site) -> None:
    """In sessionStorage alone; a form that is no key is refused here; forgotten, the page asks for one again."""
    visitor.visit("/", "app")
    assert site.keys["app"] not in visitor.driver.execute_script(
        "return JSON.stringify(localStorage) + location + document.cookie"
    )
    visitor.click("key-button")
    visitor.find("key").send_keys("loop_app_short" + Keys.ENTER)
    assert "43 characters" in visitor.text("key-said")
    visitor.press("Remove")
    visitor.press("Close")
    assert visitor.text("key-button") == "Enter a key"
    visitor.draw()
    visitor.until(lambda: "Enter a key" in visitor.text("problem"))
    assert "loop.keys" not in visitor.driver.execute_script("return JSON.stringify(localStorage)")


def test_a_key_that_may_not_send_says_so(visitor: Visitor, site: Site) -> None:
    """Operators' keys read digits but speak for no source: what they draw waits for an app's key, and is then sent."""
    visitor.visit("/", "ops")
    reads(visitor)
    visitor.click("was-3")
    visitor.until(lambda: "needs a key of role app" in visitor.text("trouble"))
    assert visitor.text("outbox") == "1 waiting"
    visitor.visit("/", "app")
    visitor.until(lambda: visitor.text("outbox") == "1 on disk")
    assert len(stored(site)) == 1
