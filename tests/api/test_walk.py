"""The walk of one upload through the code of the API, from the request to its 201: few functions, in one direction."""

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from loop import api
from loop.home import Home
from tests.api.conftest import Phone, keyed, opened
from tests.api.test_corrections import correction
from tests.api.wire import asgi
from tests.helpers.paths import ROOT

MAX_FUNCTIONS, MAX_RETURNS = 19, 1


def walk(home: Home) -> list[tuple[str, str]]:
    """(file, function) of our code in the order of the first call, for the second of two uploads as JSON.

    The app runs in this thread. Only the commit runs in a thread of its own, the group commit's.
    """
    app, phone, found = api.create(home), Phone(keyed(home)["app"]), dict[tuple[str, str], None]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT / "loop"):
            found[path.relative_to(ROOT).as_posix(), frame.f_code.co_qualname] = None

    async def two_uploads() -> list[int]:
        async with app.router.lifespan_context(app):
            first = await asgi(app, phone, "/v1/corrections", correction(1, key="a"))
            sys.setprofile(note)
            second = await asgi(app, phone, "/v1/corrections", correction(2, key="b"))
            sys.setprofile(None)
            return [first, second]

    assert asyncio.run(two_uploads()) == [201, 201]
    return list(found)


def test_an_upload_walks_through_few_functions(tmp_path: Path) -> None:
    """At most 19 functions of loop/api and loop/access.py (drawings share them), and one file entered a second time."""
    whole = walk(opened(f"sqlite:///{tmp_path / 'loop.db'}", tmp_path))
    ours = [(file, name) for file, name in whole if file.startswith(("loop/api/", "loop/access.py"))]
    files = [file for i, (file, _) in enumerate(ours) if i == 0 or ours[i - 1][0] != file]
    print(len(ours), "of", len(whole), files)  # noqa: T201
    assert "add" in {name for _, name in ours}
    assert len(ours) <= MAX_FUNCTIONS, ours
    assert len(files) - len(set(files)) <= MAX_RETURNS, files
