"""Runs models for the package's ``phone``, which has no Core ML: ``python -m tests.clients.swift.model_helper``.

Serves on a free port of 127.0.0.1, prints it, and ends with its input. ``POST {"file": …}`` loads a model and answers
with its digest and metadata, ``{"model": digest, "pixels": base64}`` with ten probabilities of a loaded one; 422 if
``models.coreml`` refuses it.
"""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from loop.errors import BadModel
from loop.evaluation import digit_classifier
from loop.evaluation.digit_classifier import DigitClassifier

LOADED: dict[str, DigitClassifier] = {}


def answer(question: dict[str, str]) -> Any:
    """The answer to one question. Raises ``BadModel``."""
    if "file" in question:
        model = digit_classifier.load(Path(question["file"]).read_bytes())
        found = digit_classifier.classifier(model)
        LOADED[found.model] = found
        return {"model": found.model, "metadata": dict(model.metadata)}
    pixels = np.frombuffer(base64.b64decode(question["pixels"]), np.uint8).reshape(1, 28, 28)
    return [float(share) for share in LOADED[question["model"]].probabilities(pixels)[0]]


class Handler(BaseHTTPRequestHandler):
    """One question a request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, body = 200, json.dumps(answer(question)).encode()
        except BadModel as error:
            status, body = 422, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Serve until the input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
