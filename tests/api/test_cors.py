"""Cross-origin requests: none by default, and only from the pages that ``serve.cors_origins`` names."""

import httpx
import pytest

from loop.errors import BadSettings
from loop.home.sections import Serving
from loop.home.settings import load
from tests.api.conftest import Serve, Server

OURS, OTHER = "https://app.example", "https://other.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,loop-source"}


def preflight(server: Server, origin: str) -> httpx.Response:
    """What a browser asks before it lets a page send a correction."""
    return httpx.options(f"{server.url}/v1/corrections", headers=PREFLIGHT | {"Origin": origin})


def allowed(answer: httpx.Response) -> str | None:
    """The origin whose pages may read an answer."""
    return answer.headers.get("Access-Control-Allow-Origin")


def test_no_page_elsewhere_by_default(small: Server) -> None:
    """Neither a preflight nor an answer names an origin."""
    assert preflight(small, OURS).status_code == 405
    assert allowed(httpx.get(f"{small.url}/v1/feed", headers={"Origin": OURS})) is None


@pytest.mark.slow
def test_a_page_that_is_named(serve: Serve) -> None:
    """It may send corrections and read every answer, refusals and Retry-After included; another page may not."""
    server = serve(serve=Serving(cors_origins=f"https://first.example, {OURS}", source_per_minute=1))
    asked = preflight(server, OURS)
    assert (asked.status_code, allowed(asked)) == (200, OURS)
    assert {"authorization", "loop-source"} <= set(asked.headers["Access-Control-Allow-Headers"].lower().split(", "))
    phone = server.phone()
    phone_headers = phone.headers | {"Origin": OURS}
    answers = [httpx.post(f"{server.url}/v1/corrections", headers=phone_headers, json={}) for _ in range(2)]
    assert [(each.status_code, allowed(each)) for each in answers] == [(422, OURS), (429, OURS)]
    assert "Retry-After" in answers[1].headers["Access-Control-Expose-Headers"]
    assert allowed(preflight(server, OTHER)) is None
    assert allowed(httpx.get(f"{server.url}/v1/feed", headers={"Origin": OTHER})) is None


def test_every_page_with_a_star(serve: Serve) -> None:
    """``*`` lets any page read the feed; credentials of the browser are never sent along."""
    server = serve(serve=Serving(cors_origins="*"))
    answer = httpx.get(f"{server.url}/v1/feed", headers={"Origin": OTHER})
    assert allowed(answer) == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "value", ["app.example", "https://app.example/", "https://app.example/page", "ftp://x", "null"]
)
def test_what_is_no_origin(value: str) -> None:
    """An origin is a scheme, a host and perhaps a port; anything else would silently allow nothing."""
    with pytest.raises(BadSettings, match=r"cors_origins: .*expected https://HOST"):
        load({"LOOP_SERVE__CORS_ORIGINS": value})
    assert load({"LOOP_SERVE__CORS_ORIGINS": "http://localhost:5173"}).serve.allowed_origins == (
        "http://localhost:5173",
    )
