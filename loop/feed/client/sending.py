"""Send a drawing, or the user's answer about it, as an app does: one request, and what to do with its answer."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from loop import durable
from loop.clock import iso
from loop.data import digits
from loop.errors import BadSettings, UploadRefused
from loop.feed.client.asking import Considered

SECRET_FILE = "source-secret"  # noqa: S105 (a file's name)
TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Server:
    """Where uploads go: the address up to ``/v1``, the app's key, and the secret of this device's source."""

    url: str
    key: str
    secret: str


def own_secret(folder: Path) -> str:
    """The secret of this device's source, made at the first use; only its owner can read the file."""
    path = folder / SECRET_FILE
    if not path.exists():
        durable.create_whole(path, secrets.token_urlsafe(32).encode(), 0o600)  # another process may be faster
    return path.read_text(encoding="ascii").strip()


def send(
    server: Server, pixels: NDArray[np.uint8], considered: Considered, version: int | None, answer: int | None = None
) -> dict[str, Any]:
    """Send the drawing, or the user's ``answer`` about it; the server's receipt. Sending again is safe.

    Raises ``UploadRefused``, with the server's reason, and ``BadSettings`` if no server can be reached.
    """
    decided, best = considered.decided, considered.best
    if decided is None or not decided.send:
        raise BadSettings("expected a drawing that the asking policy sends, got another; send nothing")
    body: dict[str, Any] = {
        "image": base64.b64encode(digits.to_png(pixels)).decode("ascii"),
        "predicted": best.digit,
        "confidence": best.share,
        "captured_at": iso(decided.at),
        "rate": decided.rate,
    }
    if version is not None:
        body["version"] = version
    if answer is None:
        body |= {"runner_up": best.second, "runner_up_confidence": best.second_share}
    else:
        body |= {"label": answer, "kind": "asked"}
    return _post(server, "drawings" if answer is None else "corrections", body)


def _post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.key}", "Loop-Source": server.secret}
    try:
        place = f"{server.url.rstrip('/')}/{path}"
        answer = httpx.post(place, json=body, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise BadSettings(f"{server.url[:80]}: expected a server, got {type(error).__name__}; send it again") from None
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UploadRefused(f"{path}: expected JSON from the server, got status {answer.status_code}; check --send")
    if answer.status_code != httpx.codes.CREATED:
        says = f"{str(found.get('type', '')).rpartition(':')[2]}: {found.get('detail', '')}"
        raise UploadRefused(f"{path}: refused with status {answer.status_code} ({says})"[:500])
    return found
