"""Errors as RFC 9457 problem documents: one table maps each error to its HTTP status.

``type`` is a URN that names the rule (``urn:digit-loop:bad-image``); ``detail`` is the line that the command line would
print. Details that only operators may see (paths, database errors) go to the log, and the sender gets a fixed sentence.
"""

import http
import json
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from loop import errors
from loop.api import validation
from loop.errors import LoopError, attestation

MEDIA_TYPE = "application/problem+json"
MAX_DETAIL_CHARACTERS = 500  # a detail may repeat part of the request

STATUS: tuple[tuple[type[LoopError], int], ...] = (
    (errors.NoKey, 401),
    (errors.KeyRefused, 401),
    (errors.NoSource, 401),
    (errors.NotAllowed, 403),
    (attestation.NotAttested, 403),
    (attestation.AttestationOff, 404),
    (attestation.KeyAttested, 409),
    (errors.TooLarge, 413),
    (errors.WrongMediaType, 415),
    (errors.NotReadable, 400),
    (errors.RepeatedKey, 400),
    (errors.BodyTooSlow, 408),
    (errors.QuotaSpent, 429),
    (errors.SourceErased, 410),
    (errors.ClientError, 422),
    (errors.UnknownCorrection, 404),
    (errors.UnknownQuestion, 404),
    (errors.QuestionClosed, 409),
    (errors.AlreadyAnswered, 409),
    (errors.NothingToUndo, 409),
    (errors.UnknownSource, 404),
    (errors.UnknownVersion, 404),
    (errors.NotPublished, 404),
    (errors.BadReason, 422),
    (errors.OpsError, 409),
    (errors.DiskFull, 507),
    (errors.StoreUnavailable, 503),
    (errors.SchemaBehind, 503),
    (errors.Busy, 503),
)
"""The first class that matches decides. An error that matches none is a fault of this server: 500."""

RULES = (
    # the fields of an upload or request
    *("missing-field", "unknown-field", "bad-field", "bad-label", "bad-rate", "bad-idempotency-key", "bad-base64"),
    "rate-not-announced",
    # the image, the key's earlier use, the batch, the body
    *("bad-image", "image-too-large", "key-conflict", "split-batch", "source-erased"),
    *("too-large", "not-readable", "repeated-key", "wrong-media-type", "body-too-slow"),
    # the caller
    *("no-key", "key-refused", "no-source", "not-allowed", "quota-spent", "unknown-correction", "unknown-source"),
    # the device's attestation
    *("not-attested", "attestation-off", "no-challenge", "key-attested", "bad-attestation", "untrusted-chain"),
    *("wrong-nonce", "wrong-key-id", "wrong-app", "wrong-counter", "wrong-environment", "wrong-credential"),
    # a reviewer's answer
    *("unknown-question", "question-closed", "already-answered", "nothing-to-undo"),
    # the loop's state
    *("unknown-version", "no-champion", "not-promotable", "not-published", "bad-reason", "ops-error", "no-such-range"),
    # the server
    *("busy", "store-unavailable", "schema-behind", "disk-full", "artifact-corrupt", "fault"),
    # HTTP
    *("not-found", "method-not-allowed", "malformed-request", "head-too-slow", "head-too-long", "no-upgrade"),
)
"""Every rule that a problem document may name; docs/api.md describes each."""
URN = "urn:digit-loop:"
TYPES = tuple(URN + rule for rule in RULES)

PRIVATE = (errors.DeploymentError,)
"""Their messages contain paths and addresses of this machine."""

CHALLENGE = 'Bearer realm="digit-loop"'  # RFC 6750 asks for a parameter; Foundation on Linux crashes without one

PRIVATE_DETAIL = "the server cannot do this now and has logged the cause; send the request again later"
FAULT_DETAIL = "the server failed on this request and has logged the cause; report it to the operator"

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(LoopError, answer)
    app.add_exception_handler(HTTPException, _of_starlette)
    app.add_exception_handler(RequestValidationError, _of_pydantic)
    app.add_exception_handler(Exception, _of_fault)


def status_of(error: LoopError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, errors.SplitBatch):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def document(status: int, rule: str, detail: str) -> dict[str, Any]:
    """A problem document."""
    title = http.HTTPStatus(status).phrase
    return {
        "type": URN + rule,
        "title": title,
        "status": status,
        "detail": detail[:MAX_DETAIL_CHARACTERS],
    }


def of(error: LoopError) -> dict[str, Any]:
    """The problem document of one of our errors."""
    status = status_of(error)
    if status == 500:
        return document(500, "fault" if rule_of(error) not in RULES else rule_of(error), FAULT_DETAIL)
    found = document(status, rule_of(error), PRIVATE_DETAIL if isinstance(error, PRIVATE) else str(error))
    seconds = getattr(error, "retry_after", None)
    return found if seconds is None else found | {"retry_after": max(1, math.ceil(seconds))}


def rule_of(error: LoopError) -> str:
    """``BadImage`` → ``bad-image``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


def response(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """The response with a problem document."""
    body = json.dumps(problem, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(body, problem["status"], dict(headers or {}), MEDIA_TYPE)


async def answer(request: Request, error: Exception) -> Response:
    """The response to one of our errors; any other error is raised again."""
    if not isinstance(error, LoopError):
        raise error
    problem, headers = of(error), {}
    if isinstance(error, PRIVATE) or problem["status"] >= 500:
        log.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    if problem["status"] == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    if "retry_after" in problem:
        headers["Retry-After"] = str(problem["retry_after"])
    return response(problem, headers)


async def _of_starlette(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    rule = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = str(error.detail)
    if error.status_code == 400:  # FastAPI cannot decode the body
        rule, detail = "not-readable", "body: expected JSON in UTF-8, got something else; correct it"
    elif error.status_code == 404:
        detail = "expected a path of this API, got another; /openapi.json lists them"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"expected {allowed}, got {request.method[:20]}; /openapi.json lists the methods of each path"
    return response(document(error.status_code, rule, detail), error.headers)


async def _of_pydantic(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    if not isinstance(error, RequestValidationError):
        raise error
    return response(of(validation.first(error.errors())))


async def _of_fault(request: Request, error: Exception) -> Response:
    log.error("%s %s: unexpected error", request.method, request.url.path, exc_info=error)
    return response(document(500, "fault", FAULT_DETAIL))
