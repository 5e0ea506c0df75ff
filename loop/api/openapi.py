"""Complete FastAPI's OpenAPI document, so that code generators make working clients from it.

FastAPI describes only what its own parameters and models use. Endpoints that read their requests themselves, problem
documents and published files are described here and referred to by ``$ref``.
"""

import json
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from loop.api import file_schemas, schemas
from loop.api.examples import DRAWING_FORM, FORM, REF

MODELS = (
    schemas.Correction,
    schemas.Batch,
    schemas.Drawing,
    schemas.DrawingBatch,
    schemas.Problem,
    file_schemas.SignedFeed,
    file_schemas.SignedAsking,
    file_schemas.SignedRoot,
    file_schemas.Golden,
)
SERVERS = [{"url": "/", "description": "This server"}]
SECURITY_SCHEME = {"type": "http", "scheme": "bearer", "bearerFormat": "loop_<role>_<secret>"}


def complete(app: FastAPI) -> None:
    """Let the app serve the complete document; it is built once."""
    generate = app.openapi
    _, found = models_json_schema([(model, "validation") for model in MODELS], ref_template=REF)
    ours: dict[str, Any] = found["$defs"]
    ours[FORM] = _form(FORM, ours["Correction"])
    ours[DRAWING_FORM] = _form(DRAWING_FORM, ours["Drawing"])

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components["schemas"] = ours | components.get("schemas", {})
        for schema in components["schemas"].values():
            _describe_defaults(schema.get("properties", {}))
        components["securitySchemes"] = {"key": SECURITY_SCHEME}
        document["servers"] = SERVERS
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _describe_defaults(properties: dict[str, Any]) -> None:
    """Move defaults into the descriptions: openapi-typescript makes a field that has a ``default`` a required one."""
    for field in properties.values():
        default = field.pop("default", None)
        if default is not None:
            field["description"] = f"{field.get('description', '')} Default: {json.dumps(default)}.".strip()


def _form(title: str, model: dict[str, Any]) -> dict[str, Any]:
    """The same fields as a multipart form, where the image is a file and no field is a list."""
    image = {"type": "string", "format": "binary", "title": "Image", "description": "PNG or JPEG"}
    fields = {name: field for name, field in model["properties"].items() if name != "probabilities"}
    return model | {"title": title, "properties": fields | {"image": image}}
