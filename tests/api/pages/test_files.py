"""The pages as files: what they are sent with, and that nothing in them could run or load anything else."""

import re
import tomllib
from pathlib import Path

import pytest

from loop.api import pages
from tests.api.conftest import Server
from tests.helpers.paths import ROOT

STATIC = ROOT / "loop/api/static"
MARKUP = sorted(STATIC.glob("*.html"))


def test_every_file_is_shown_with_its_type_and_the_policy(small: Server) -> None:
    """To anybody, without a key; each answer forbids what the page does not need."""
    with small.client() as client:
        for path, page in pages.pages().items():
            answer = client.get(path)
            assert (answer.status_code, answer.content) == (200, page.data)
            assert answer.headers["content-type"] == page.kind
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-cache"


def test_a_browser_that_has_a_file_is_told_so(small: Server) -> None:
    """304 for the tag it holds, the file for another; HEAD gives the headers alone."""
    with small.client() as client:
        tag = client.get("/").headers["etag"]
        assert client.get("/", headers={"If-None-Match": f'W/"x", {tag}'}).status_code == 304
        assert client.get("/", headers={"If-None-Match": '"x"'}).status_code == 200
        head = client.head("/")
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


@pytest.mark.parametrize(
    "name", ["../__init__.py", "%2e%2e/__init__.py", "..%2f__init__.py", "draw.js%00", "", "nothing.js"]
)
def test_only_known_names_are_files(small: Server, name: str) -> None:
    """Whatever else a URL says is not found."""
    with small.client() as client:
        answer = client.get(f"/web/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", MARKUP, ids=lambda path: path.name)
def test_a_page_has_no_script_or_style_of_its_own(path: Path) -> None:
    """Neither inline nor as an attribute, and what it loads is one of our files."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=|javascript:", text)
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert loaded
    assert set(loaded) <= set(pages.pages())


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (*STATIC.iterdir(), *(STATIC / pages.CLIENT).iterdir()) if path.is_file()),
    ids=lambda path: str(path.relative_to(STATIC)),
)
def test_nothing_names_another_host_or_makes_markup_of_text(path: Path) -> None:
    """No address but an XML namespace, no way from text to elements; modules import modules that are there."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":  # examples and types in comments load nothing
        text = re.sub(r"/\*\*.*?\*/", "", text, flags=re.S)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser", text)
    for name in re.findall(r' from "\./([^"]+)"', text):
        assert (path.parent / name).is_file()
    assert len(text.splitlines()) <= 320


def test_the_files_are_installed_with_the_package() -> None:
    """The pattern of pyproject.toml takes all of them."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    taken = {file for pattern in patterns["loop"] for file in (ROOT / "loop").glob(pattern)}
    assert {path for path in STATIC.rglob("*") if path.is_file()} <= taken
    assert set((STATIC / pages.CLIENT).iterdir()) <= taken
