"""The API's page: what the OpenAPI document says, shown without a script from elsewhere."""

import httpx
from selenium.webdriver.common.by import By

from tests.api.pages.conftest import Site, Visitor


def test_every_operation_is_shown_with_its_roles(visitor: Visitor, site: Site) -> None:
    """As many as the document has, without a key; one that is opened shows its fields and an example."""
    visitor.visit("/api")
    visitor.until(lambda: "/v1/corrections:batch" in visitor.text("operations"))
    paths = httpx.get(f"{site.url}/openapi.json").json()["paths"]
    shown = visitor.driver.find_elements(By.CSS_SELECTOR, "details.operation")
    assert len(shown) == sum(len(verbs) for verbs in paths.values())
    for each in shown:
        each.find_element(By.TAG_NAME, "summary").click()
        assert "Needs a key of role" in each.text or "Needs no key" in each.text
    promote = next(each for each in shown if "/v1/promotions" in each.text)
    assert all(word in promote.text for word in ("role ops", "version *", "override", "409 Conflict,"))
    batch = next(each for each in shown if "corrections:batch" in each.text)
    assert '"captured_at"' in batch.find_element(By.TAG_NAME, "pre").text
