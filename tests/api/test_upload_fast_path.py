"""The fast path of an upload gives exactly the answers of the ordinary path."""

from typing import Any
from unittest import mock

import httpx

from loop.api.upload_fast_path import UploadFastPath
from tests.api.conftest import Phone, Server, picture


async def the_ordinary_path(self: UploadFastPath, scope: Any, receive: Any, send: Any) -> None:
    """The ordinary path, without the fast one."""
    await self._app(scope, receive, send)


def answers(server: Server, phone: Phone) -> list[tuple[int, str, Any]]:
    """Status, media type and body of valid and invalid requests, without the fields that differ by upload."""
    image, headers = {"image": ("a.png", picture(1), "image/png")}, phone.headers
    with server.client() as client:
        sent = [
            client.post("/v1/corrections", headers=headers, files=image, data={"label": "4", "predicted": "9"}),
            client.post("/v1/corrections", headers=headers, files=image, data={"label": "12"}),
            client.post("/v1/corrections", headers=headers, content=b"{", follow_redirects=False),
            client.post("/v1/corrections", files=image, data={"label": "4"}),
            client.post("/v1/corrections", headers=headers | {"Authorization": "Bearer no"}),
            client.post("/v1/corrections/", headers=headers),
            client.get("/v1/corrections", headers=headers),
            client.put("/v1/corrections", headers=headers),
        ]
    return [(each.status_code, each.headers.get("content-type", ""), _plain(each)) for each in sent]


def _plain(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    found = answer.json()
    for each in [found, *found.get("corrections", ())]:
        for name in ("id", "received_at"):
            each.pop(name, None)
    return found


def test_both_paths_answer_alike(small: Server) -> None:
    """Stored, refused for its body, its key or its method: the same status, media type and body."""
    short = answers(small, small.phone())
    with mock.patch.object(UploadFastPath, "__call__", the_ordinary_path):
        assert answers(small, small.phone()) == short
    assert [status for status, _, _ in short][:2] == [201, 422]
