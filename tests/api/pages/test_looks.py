"""That the pages fit and can be read: on a phone and on a wide screen, in light and in dark."""

import re
from collections.abc import Iterator
from itertools import product

import pytest

from tests.api.pages.conftest import Visitor
from tests.helpers.paths import ROOT

STYLE = (ROOT / "loop/api/static/style.css").read_text(encoding="utf-8")
TEXT = ("ink", "soft", "accent", "good", "bad", "unsure")
GROUND = ("paper", "card")
PAGES = {
    "/": "Draw a digit",
    "/review": "Nothing to do",
    "/production": "an inconclusive night",
    "/api": "/v1/rollbacks",
}
LEGIBLE = 4.5  # WCAG 2.2, AA


def colours(scheme: str) -> dict[str, str]:
    """The custom properties of a scheme: the first block is light, the second dark."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.S)
    return dict(re.findall(r"--([\w-]+): #(\w{6})", blocks[scheme == "dark"]))


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_of_its_ground(scheme: str) -> None:
    """Every colour of text on every ground, and what stands on the accent, by WCAG's contrast."""
    found = colours(scheme)
    for text, ground in [*product(TEXT, GROUND), ("on-accent", "accent")]:
        light, dark = sorted((luminance(found[text]), luminance(found[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= LEGIBLE, (scheme, text, ground)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_screen(visitor: Visitor, path: str) -> None:
    """From a small phone to a wide screen; wide tables scroll by themselves."""
    visitor.visit(path, "ops")
    visitor.until(lambda: PAGES[path] in visitor.driver.find_element("tag name", "main").text)
    for width in (360, 640, 820, 1400):
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        visitor.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        assert visitor.driver.execute_script("return document.documentElement.scrollWidth") <= width, width
    visitor.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_pressed_has_a_name(visitor: Visitor) -> None:
    """Buttons, fields and pictures say what they are to who cannot see them."""
    for path in PAGES:
        visitor.visit(path, "ops")
        nameless = visitor.driver.execute_script(
            "return [...document.querySelectorAll('button, input, a, canvas, [role=region]')].filter((each) =>"
            "!(each.textContent.trim() || each.ariaLabel || each.labels?.length)).map((each) => each.outerHTML)"
        )
        assert nameless == []


@pytest.fixture
def phone(visitor: Visitor) -> Iterator[Visitor]:
    """A phone held upright: 390 × 844."""
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    visitor.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    yield visitor
    visitor.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def on_screen(phone: Visitor, name: str) -> bool:
    """Whether all of an element is inside the visible part of the page."""
    return phone.driver.execute_script(
        "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight",
        name,
    )


def test_a_phone_shows_answers_and_thanks_without_scrolling(phone: Visitor) -> None:
    """Pad, answer, all ten buttons and the thank-you fit on one screen."""
    phone.visit("/", "app")
    phone.draw()
    phone.until(lambda: phone.find("right").is_enabled())
    assert [name for name in ("pad", "reading", "was-0", "was-9", "right") if not on_screen(phone, name)] == []
    phone.click("right")
    phone.until(lambda: "Thank you" in phone.text("kept"))
    assert on_screen(phone, "kept")


def test_a_version_opens_at_its_top(phone: Visitor) -> None:
    """The dialog is longer than the phone: it shows its title first, and its button stays in reach."""
    phone.visit("/production", "ops")
    phone.until(lambda: phone.driver.find_elements("id", "about-2"))
    phone.click("about-2")
    phone.dialog("Version 2")
    script = "const open = document.querySelector('dialog[open]'); return [open.scrollTop, open.scrollHeight]"
    top, height = phone.driver.execute_script(script)
    assert height > 844
    assert top == 0
    phone.press("Close")
