"""Cross-origin requests: off, unless ``serve.cors_origins`` names the web pages that may call the API.

Keys are sent in a header and never in a cookie, so even ``*`` lets no page act with the rights of its visitor.
"""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

METHODS = ("GET", "HEAD", "POST", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "Loop-Source", "Idempotency-Key", "If-None-Match", "Range")
RESPONSE_HEADERS = ("Retry-After", "Location", "ETag", "Idempotency-Replayed", "Accept-Ranges", "Content-Range")
PREFLIGHT_SECONDS = 600


def allow(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Answer preflight requests of ``origins`` and let their pages read the answers; no origins: change nothing."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )
