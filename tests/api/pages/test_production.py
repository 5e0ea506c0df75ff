"""What is in production, in a real browser: shown, moved by operators, and never run as markup."""

from dataclasses import replace

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from loop import access, registry
from loop.access import Role
from loop.clock import utc_now
from loop.night import lease
from loop.store import tables, values
from loop.store.nights import runs, versions
from loop.store.values import Attribution
from tests.api.pages.conftest import Site, Visitor, unproven

EVIL = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"  # as if the tab had been away


def champion(site: Site) -> int:
    """Which version is in production."""
    found = registry.champion(site.home, "cnn")
    assert found is not None
    return found.number


def last_move(site: Site) -> values.Move:
    """The newest line of the ledger."""
    with site.home.store.read() as tx:
        return versions.ledger(tx)[0]


def test_it_shows_champion_versions_runs_and_ledger(visitor: Visitor) -> None:
    """To a reviewer: everything to read, nothing to press."""
    visitor.visit("/production", "reviewer")
    visitor.until(lambda: "Version 2" in visitor.text("champions"))
    shown = visitor.text("versions")
    assert all(word in shown for word in ("champion", "challenger", "passed", "inconclusive", "%"))
    assert "night, cnn" in visitor.text("runs")
    assert "an inconclusive night" in visitor.text("moves")
    assert not visitor.driver.find_elements(By.CSS_SELECTOR, "#promote-1, #back-cnn, #night-cnn")
    visitor.click("about-3")
    visitor.dialog("too few confirmations")


def test_rolled_back_and_promoted_again(visitor: Visitor, site: Site) -> None:
    """Each with a reason that the ledger keeps; without one, the dialog asks for it."""
    visitor.visit("/production", "ops")
    visitor.until(lambda: "Version 2" in visitor.text("champions"))
    visitor.click("back-cnn")
    visitor.press("Roll back")
    visitor.dialog("Expected a reason")
    visitor.find("reason").send_keys("sevens read as ones")
    visitor.press("Roll back")
    visitor.until(lambda: "2 → 1" in visitor.text("outcome"))
    visitor.until(lambda: "Version 1" in visitor.text("champions"))
    assert (champion(site), last_move(site).reason) == (1, "sevens read as ones")
    visitor.click("promote-2")
    visitor.find("reason").send_keys("it was the scanner")
    visitor.press("Promote")
    visitor.until(lambda: "1 → 2" in visitor.text("outcome"))
    assert (champion(site), last_move(site).actor) == (2, "key the ops's")


def test_an_unproven_version_needs_the_override(visitor: Visitor, site: Site) -> None:
    """The server's refusal is read in the dialog, which stays; with the box ticked it is promoted, on the record."""
    visitor.visit("/production", "ops")
    visitor.until(lambda: visitor.driver.find_elements(By.ID, "promote-3"))
    visitor.click("promote-3")
    visitor.find("reason").send_keys("a fair")
    visitor.press("Promote")
    visitor.dialog("expected the verdict passed, got inconclusive")
    assert champion(site) == 2
    visitor.click("override")
    visitor.press("Promote")
    visitor.until(lambda: "2 → 3" in visitor.text("outcome"))
    assert (champion(site), last_move(site).override) == (3, True)
    visitor.until(lambda: "(overridden)" in visitor.text("moves"))


def test_a_night_is_asked_for(visitor: Visitor, site: Site) -> None:
    """The slot is in the store, for a scheduler."""
    visitor.visit("/production", "ops")
    visitor.until(lambda: visitor.driver.find_elements(By.ID, "night-cnn"))
    visitor.click("night-cnn")
    visitor.until(lambda: "A night of cnn is due" in visitor.text("outcome"))
    with site.home.store.read() as tx:
        assert [slot.name.startswith("asked/") for slot in tx.query(tables.Slot).all()] == [True]


def test_a_run_that_goes_on_shows_how_far(visitor: Visitor, site: Site) -> None:
    """Its step and a bar, while it holds its lease; afterwards how it ended, without a reload."""
    with lease.hold(site.home, "cnn", "night", utc_now) as shift:
        shift.report("teach", 3, 10)
        visitor.visit("/production", "reviewer")
        bar = visitor.until(lambda: visitor.driver.find_elements(By.CSS_SELECTOR, "#runs progress"))[0]
        assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("3", "10")
        assert "teach" in visitor.text("runs")
        shift.finish(values.RunStatus.SKIPPED, "nothing new to teach")
    visitor.until(lambda: "nothing new to teach" in visitor.text("runs"))
    assert not visitor.driver.find_elements(By.CSS_SELECTOR, "#runs progress")


def test_what_others_wrote_is_text(visitor: Visitor, site: Site) -> None:
    """Reasons, a judge's words, a key's name, a family, the refusal of it: shown as they are, run never."""
    unproven(site.home, EVIL, EVIL)
    now = utc_now()
    site.keys["ops"], _ = access.create(site.home, EVIL, Role.OPS, actor=EVIL, now=now)
    with site.home.store.exclusive() as tx:
        run = runs.claim(tx, "<img src=//x>", "night", runs.me(), 60, now)
        number = runs.reserve(tx, run.id)
        runs.finish(tx, run.id, values.RunStatus.FAILED, EVIL, {}, now)
        strange = replace(versions.get(tx, 2), number=number, run_id=run.id, family="<img src=//x>")
        registry.register(tx, strange, [], Attribution(EVIL, EVIL), now)
    visitor.visit("/production", "ops")
    visitor.until(lambda: EVIL in visitor.text("runs"), 15)
    assert EVIL in visitor.text("moves")
    visitor.click("about-4")
    visitor.dialog(EVIL)
    visitor.press("Close")
    visitor.find("night-<img src=//x>").send_keys(Keys.ENTER)
    visitor.until(lambda: "family" in visitor.text("outcome"))
    visitor.click("promote-1")
    visitor.find("reason").send_keys(EVIL)
    visitor.press("Promote")
    visitor.until(lambda: f"key {EVIL}" in visitor.text("moves"))
    assert visitor.driver.title == "In production · Digit Loop"
    assert {each.get_attribute("src") for each in visitor.driver.find_elements(By.TAG_NAME, "img")} == {
        f"{site.url}/web/icon.svg"
    }


def test_control_the_policy_is_in_force(visitor: Visitor) -> None:
    """Markup made of text, a script of one's own, another host: the browser refuses each and says so."""
    visitor.visit("/production")
    assert "failed" in visitor.ask("document.body.innerHTML = '<b>x</b>'")
    visitor.driver.execute_script(
        "const made = document.createElement('style'); made.textContent = 'body { display: none }';"
        "document.head.append(made)"
    )
    assert "failed" in visitor.ask("return (await fetch('http://127.0.0.1:9/')).status")
    assert visitor.find("key-button").is_displayed(), "the style was not applied"
    said = visitor.complaints()
    assert sum("Content Security Policy" in line or "TrustedHTML" in line for line in said) >= 3, said


def test_a_key_without_the_role(visitor: Visitor) -> None:
    """An app's key shows nothing here, and the page says which would."""
    visitor.visit("/production", "app")
    visitor.until(lambda: "role ops or reviewer" in visitor.text("problem"))
    assert not visitor.find("versions").is_displayed()


def test_the_server_goes_and_comes(visitor: Visitor, site: Site) -> None:
    """What was known stays on the page, which says that it is old; then it is not."""
    visitor.visit("/production", "reviewer")
    visitor.until(lambda: "Version 2" in visitor.text("champions"))
    site.stop()
    visitor.driver.execute_script(LOOK)
    visitor.until(lambda: "does not answer" in visitor.text("problem"))
    assert "Version 2" in visitor.text("champions")
    site.start()
    visitor.driver.execute_script(LOOK)
    visitor.until(lambda: visitor.text("problem") == "")
