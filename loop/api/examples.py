"""The parts of the OpenAPI document that FastAPI cannot derive: bodies, headers, refusals, files."""

import http
from typing import Any

from loop.api import bodies, schemas
from loop.api.guard import SOURCE_HEADER
from loop.api.problems import MEDIA_TYPE

REF = "#/components/schemas/{model}"
FORM, DRAWING_FORM = "CorrectionForm", "DrawingForm"
BINARY = {"schema": {"type": "string", "format": "binary"}}

KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "A retry with the same key and body gets the first answer; another body is refused. Kept as long as "
    "the correction. Without a key, the image and label identify the upload.",
}
_ONE = {
    "image": schemas.PNG,
    "label": 1,
    "predicted": 7,
    "confidence": 0.61,
    "version": 3,
    "captured_at": "2026-05-03T08:15:00.000Z",
}


def _ref(model: str) -> dict[str, Any]:
    return {"schema": {"$ref": REF.format(model=model)}}


CORRECTION = {
    "parameters": [SOURCE_HEADER, KEY_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.JSON: _ref("Correction") | {"example": _ONE},
            bodies.MULTIPART: _ref(FORM),
        },
    },
}
BATCH = {
    "parameters": [SOURCE_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.JSON: _ref("Batch")
            | {"example": {"corrections": [_ONE | {"key": "5b1f-1"}, _ONE | {"label": 4, "key": "5b1f-2"}]}}
        },
    },
}
_DRAWN = {
    "image": schemas.PNG,
    "predicted": 1,
    "confidence": 0.52,
    "runner_up": 7,
    "runner_up_confidence": 0.41,
    "version": 3,
    "captured_at": "2026-05-03T08:15:00.000Z",
}
DRAWING = {
    "parameters": [SOURCE_HEADER, KEY_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.JSON: _ref("Drawing") | {"example": _DRAWN},
            bodies.MULTIPART: _ref(DRAWING_FORM),
        },
    },
}
DRAWING_BATCH = {
    "parameters": [SOURCE_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.JSON: _ref("DrawingBatch") | {"example": {"drawings": [_DRAWN | {"key": "5b1f-3"}]}},
        },
    },
}
IMAGE = {"requestBody": {"required": True, "content": {bodies.BINARY: BINARY}}}
WITH_SOURCE = {"parameters": [SOURCE_HEADER]}


def path(name: str, pattern: str, example: str) -> dict[str, Any]:
    """A path parameter of an endpoint that reads its request itself."""
    schema = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}


def header(description: str, kind: str = "string") -> dict[str, Any]:
    """A response header."""
    return {"description": description, "schema": {"type": kind}}


Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes them, by status."""
ACCEPTED: Responses = {
    201: {
        "headers": {
            "Location": header("The path of the stored correction."),
            "Idempotency-Replayed": header("`true` if this is the stored answer to an earlier request."),
        }
    }
}
RETRY_AFTER = {"Retry-After": header("Seconds after which the same request is accepted.", "integer")}
REFUSAL_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": header('`Bearer realm="digit-loop"`')},
    416: {"Content-Range": header("The length of the file: `bytes */LENGTH`.")},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}
FILE_HEADERS = {
    "ETag": header("The SHA-256 of the file in quotes; send it as If-None-Match."),
    "Cache-Control": header("How long a cache may keep the file."),
    "Accept-Ranges": header("`bytes`: the file can be read in ranges."),
}


def refusals(*statuses: int) -> Responses:
    """The problem documents of an operation."""
    return {
        status: {"description": http.HTTPStatus(status).phrase, "content": {MEDIA_TYPE: _ref("Problem")}}
        | ({"headers": REFUSAL_HEADERS[status]} if status in REFUSAL_HEADERS else {})
        for status in statuses
    }


def files(model: str | None = None) -> Responses:
    """The answers of an operation that returns a file: JSON of a ``model``, or bytes."""
    content: dict[str, Any] = {bodies.BINARY: BINARY} if model is None else {bodies.JSON: _ref(model)}
    part = {"Content-Range": header("The range that was sent: `bytes FIRST-LAST/LENGTH`.")}
    found: Responses = {
        200: {"description": "The file", "content": content, "headers": FILE_HEADERS},
        206: {"description": "The requested range of the file's bytes", "headers": FILE_HEADERS | part},
        304: {"description": "The sender has the file already", "headers": FILE_HEADERS},
    }
    return found | refusals(404, 416)


UPLOAD_REFUSALS = refusals(400, 401, 403, 408, 413, 415, 422, 429, 503, 507)
