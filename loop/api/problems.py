"""Errors as RFC 9457 problem documents: one table maps each error to its HTTP status.

``type`` is a URN that names the rule (``urn:digit-loop:bad-image``); ``detail`` is the line that the command line would
print. Details that only operators may see (paths, database errors) go to the log, and the sender gets a fixed sentence.
"""

import http
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from loop import errors
from loop.errors import LoopError

MEDIA_TYPE = "application/problem+json"
MAX_DETAIL_CHARACTERS = 500  # a detail may repeat part of the request

STATUS: tuple[tuple[type[LoopError], int], ...] = (
    (errors.NoKey, 401),
    (errors.KeyRefused, 401),
    (errors.NoSource, 401),
    (errors.NotAllowed, 403),
    (errors.TooLarge, 413),
    (errors.WrongMediaType, 415),
    (errors.NotReadable, 400),
    (errors.BodyTooSlow, 408),
    (errors.QuotaSpent, 429),
    (errors.ClientError, 422),
    (errors.UnknownVersion, 404),
    (errors.NotPublished, 404),
    (errors.BadReason, 422),
    (errors.OpsError, 409),
    (errors.DiskFull, 507),
    (errors.StoreUnavailable, 503),
    (errors.Busy, 503),
)
"""The first class that matches decides. An error that matches none is a fault of this server: 500."""

PRIVATE = (errors.DeploymentError,)
"""Their messages contain paths and addresses of this machine."""

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
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def document(status: int, rule: str, detail: str) -> dict[str, Any]:
    """A problem document."""
    title = http.HTTPStatus(status).phrase
    return {
        "type": f"urn:digit-loop:{rule}",
        "title": title,
        "status": status,
        "detail": detail[:MAX_DETAIL_CHARACTERS],
    }


def of(error: LoopError) -> dict[str, Any]:
    """The problem document of one of our errors."""
    status = status_of(error)
    if isinstance(error, PRIVATE):
        return document(status, rule_of(error), PRIVATE_DETAIL)
    return document(status, rule_of(error), str(error))


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
        headers["WWW-Authenticate"] = "Bearer"
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(max(1, round(seconds + 0.5)))
    return response(problem, headers)


async def _of_starlette(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    if not isinstance(error, HTTPException):
        raise error
    rule = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return response(document(error.status_code, rule, str(error.detail)), error.headers)


async def _of_pydantic(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    if not isinstance(error, RequestValidationError):
        raise error
    return response(document(422, "bad-field", first_mistake(error.errors())))


async def _of_fault(request: Request, error: Exception) -> Response:
    log.error("%s %s: unexpected error", request.method, request.url.path, exc_info=error)
    return response(document(500, "fault", FAULT_DETAIL))


def first_mistake(mistakes: Any) -> str:
    """The first of pydantic's errors in one line, without the value that was sent."""
    first = mistakes[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{where or 'body'}: {first['msg']}{more}"
