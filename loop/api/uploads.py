"""From a request to an upload that ``intake`` can take: JSON or multipart, one or many."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from loop import intake
from loop.api import bodies, multipart, problems, schemas
from loop.data.digits import DEFAULT_LIMITS, Limits
from loop.errors import BadLabel, ClientError, NotReadable, TooLarge
from loop.home.sections import Serving
from loop.intake import Prepared, Upload

KEY = "idempotency-key"
WHOLE_NUMBERS = {"label", "predicted", "version"}
NUMBERS = {"confidence", "rate"}
MAX_FIELDS = len(schemas.Correction.model_fields)
BATCH_PIXELS = 64_000_000
"""Of all pictures of a batch together: two seconds of reading. Of 500, each may have 350×350."""
IHDR_28 = (28).to_bytes(4, "big") * 2
"""Width and height as the header of a PNG has them."""
INLINE_BYTES = 8_192
"""Bytes of a PNG of these sides that takes microseconds to read; others are read in a thread. (One of 256 KiB may
consist of twenty thousand empty chunks, and nobody else would be served meanwhile.)"""


async def one(request: Request, serving: Serving) -> schemas.Correction:
    """The correction in a body. Raises ``ClientError``."""
    kind, boundary = bodies.media_type(request)
    data = await bodies.read(request, serving.max_upload, serving.body_seconds)
    if kind == bodies.JSON:
        return _checked(bodies.json(data))
    return _checked(_from_parts(multipart.parts(data, boundary)))


async def many(request: Request, serving: Serving, readers: Executor) -> list[schemas.Correction | ClientError]:
    """The corrections in a batch; one that is malformed stands there as its error. Raises ``ClientError``.

    Parsed where large pictures are read, few at a time: 16 MiB of ``[],`` are 360 MB of empty lists.
    """
    kind, _ = bodies.media_type(request)
    if kind != bodies.JSON:
        raise NotReadable(f"Content-Type: expected {bodies.JSON} for a batch")
    data = await bodies.read(request, serving.max_batch, serving.body_seconds)
    return await asyncio.get_running_loop().run_in_executor(readers, _items, data, serving.max_batch_items)


def _items(data: bytes, most: int) -> list[schemas.Correction | ClientError]:
    found = bodies.json(data)
    items = found.get("corrections") if isinstance(found, dict) and set(found) == {"corrections"} else None
    if not isinstance(items, list) or not items:
        raise NotReadable('body: expected {"corrections": [...]} with at least one')
    if len(items) > most:
        raise TooLarge(f"body: expected at most {most} corrections, {len(items):,} came")
    return [_checked_or_reason(item) for item in items]


def header_key(request: Request) -> str | None:
    """The idempotency key in the header: a structured string in quotes, or bare."""
    key = request.headers.get(KEY)
    if key is not None and len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return key


async def prepare(
    found: schemas.Correction, source: str, key: str | None, now: datetime, readers: Executor
) -> Prepared:
    """The upload of a source, its picture read. Raises ``BadImage``, ``BadLabel``."""
    if key is not None and found.key not in {None, key}:
        raise BadLabel("key: expected it once, the header Idempotency-Key says another")
    upload = _upload(found, source, found.key if key is None else key)
    if found.image[16:24] == IHDR_28 and len(found.image) <= INLINE_BYTES:
        return intake.prepare(upload, now)
    return await asyncio.get_running_loop().run_in_executor(readers, intake.prepare, upload, now)


def prepare_many(
    found: Sequence[schemas.Correction | ClientError], source: str, now: datetime
) -> list[Prepared | ClientError]:
    """The same for a batch, where every correction needs a key of its own, and the pictures share ``BATCH_PIXELS``."""
    limits = replace(DEFAULT_LIMITS, pixels=min(DEFAULT_LIMITS.pixels, BATCH_PIXELS // max(1, len(found))))
    return [each if isinstance(each, ClientError) else _prepared(each, source, now, limits) for each in found]


def _prepared(found: schemas.Correction, source: str, now: datetime, limits: Limits) -> Prepared | ClientError:
    if found.key is None:
        return BadLabel("key: expected one for each correction of a batch, so that a retry stores nothing twice")
    try:
        return intake.prepare(_upload(found, source, found.key), now, limits)
    except ClientError as refused:
        return refused


def _upload(found: schemas.Correction, source: str, key: str | None) -> Upload:
    return Upload(
        source=source,
        image=found.image,
        label=found.label,
        key=key,
        kind=found.kind,
        predicted=found.predicted,
        confidence=found.confidence,
        version=found.version,
        rate=found.rate,
        captured_at=found.captured_at,
    )


def _from_parts(parts: dict[str, bytes]) -> dict[str, Any]:
    """Multipart fields as JSON would have them; the picture stays bytes."""
    found: dict[str, Any] = {}
    for name, value in parts.items():
        found[name] = value if name == "image" else _number(name, value)
    return found


def _number(name: str, value: bytes) -> Any:
    try:
        text = value.decode("utf-8")
        if name in WHOLE_NUMBERS and text.isascii() and text.isdigit() and len(text) <= 10:
            return int(text)
        return float(text) if name in NUMBERS else text
    except ValueError:
        raise NotReadable(f"{name[:40]}: expected {'a number' if name in NUMBERS else 'UTF-8'}") from None


def _checked(found: Any) -> schemas.Correction:
    if isinstance(found, dict) and len(found) > MAX_FIELDS:  # pydantic would complain of each, a kilobyte a complaint
        raise BadLabel(f"body: expected at most {MAX_FIELDS} fields, {len(found):,} came")
    try:
        return schemas.Correction.model_validate(found)
    except ValidationError as error:
        raise BadLabel(problems.first_mistake(error.errors(include_input=False, include_url=False))) from None


def _checked_or_reason(found: Any) -> schemas.Correction | ClientError:
    try:
        return _checked(found)
    except ClientError as refused:
        return refused
