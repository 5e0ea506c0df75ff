"""The parts of the OpenAPI document that FastAPI cannot derive: bodies, headers, refusals, files."""

import http
from typing import Any

from pydantic import BaseModel

from loop.api import bodies, schemas
from loop.api.guard import SOURCE_HEADER
from loop.api.problems import MEDIA_TYPE

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
    "captured_at": "2026-05-03T08:15:00Z",
}


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    """A self-contained schema: FastAPI collects only the schemas that its own parameters use."""
    found = model.model_json_schema()
    known = found.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(known[node["$ref"].rpartition("/")[2]]) | {k: v for k, v in node.items() if k != "$ref"}
            return {name: resolved(value) for name, value in node.items()}
        return [resolved(each) for each in node] if isinstance(node, list) else node

    return dict(resolved(found))


def _multipart() -> dict[str, Any]:
    found = _inline(schemas.Correction)
    found["properties"] |= {"image": {"type": "string", "format": "binary", "description": "PNG or JPEG"}}
    return found


CORRECTION = {
    "parameters": [SOURCE_HEADER, KEY_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.MULTIPART: {"schema": _multipart()},
            bodies.JSON: {"schema": _inline(schemas.Correction), "example": _ONE},
        },
    },
}
BATCH = {
    "parameters": [SOURCE_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            bodies.JSON: {
                "schema": _inline(schemas.Batch),
                "example": {"corrections": [_ONE | {"key": "5b1f-1"}, _ONE | {"label": 4, "key": "5b1f-2"}]},
            }
        },
    },
}
IMAGE = {
    "requestBody": {
        "required": True,
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
WITH_SOURCE = {"parameters": [SOURCE_HEADER]}


def path(name: str, pattern: str, example: str) -> dict[str, Any]:
    """A path parameter of an endpoint that reads its request itself."""
    schema = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents of an operation."""
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schemas.Problem.model_json_schema()}},
        }
        for status in statuses
    }


def files(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that returns a file."""
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    content = {200: binary | {"application/json": {}}, 206: binary | {"application/json": {}}}
    return {
        status: {"description": http.HTTPStatus(status).phrase}
        | ({"content": content[status]} if status in content else {})
        for status in statuses
    }
