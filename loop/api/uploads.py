"""From the fields of a request to an upload that ``intake`` can store: fields → ``Upload`` → ``Prepared``."""

import asyncio
import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from loop import intake
from loop.api import bodies, schemas, validation
from loop.api.validation import Rule
from loop.data import pictures
from loop.data.digits import DEFAULT_LIMITS
from loop.data.two_best import two_best
from loop.errors import BadBase64, BadField, BadIdempotencyKey, ClientError, NotReadable, TooLarge, UnknownField
from loop.intake import Prepared, Upload
from loop.store.values import Kind

BATCH_PIXELS = 64_000_000
"""Of all images of a batch together, as their headers state: two seconds of decoding. 500 may have 350×350 each."""
IHDR_28 = (28).to_bytes(4, "big") * 2
"""Width and height as the header of a PNG has them."""
INLINE_BYTES = 8_192
"""A 28×28 PNG of up to this size decodes within microseconds; a thread decodes the others. (A PNG of 256 KiB may have
twenty thousand empty chunks, and no other request would be served meanwhile.)"""
QUOTED = re.compile(r'"(.*)"', re.DOTALL)
ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Noun:
    """What an endpoint receives: its name in a batch, the model of its body, the rules for its messages, and its fields
    as those of an ``Upload``.
    """

    plural: str
    model: type[schemas.Correction] | type[schemas.Drawing]
    rules: Mapping[str, Rule]
    fields: Callable[[Any], dict[str, Any]]

    @property
    def singular(self) -> str:
        """Its name."""
        return self.plural.removesuffix("s")


def _correction(sent: schemas.Correction) -> dict[str, Any]:
    return {
        "label": sent.label,
        "kind": sent.kind,
        "predicted": sent.predicted,
        "confidence": sent.confidence,
    }


def _drawing(sent: schemas.Drawing) -> dict[str, Any]:
    four = (sent.predicted, sent.confidence, sent.runner_up, sent.runner_up_confidence)
    if sent.probabilities is not None:
        if any(each is not None for each in four):
            raise BadField(
                "probabilities: expected either these or predicted, confidence, runner_up and runner_up_confidence, "
                "got both; send one of the two"
            )
        best = two_best(sent.probabilities)
        four = (best.digit, best.share, best.second, best.second_share)
    names = ("predicted", "confidence", "runner_up", "runner_up_confidence")
    return {"label": None, "kind": Kind.DRAWING} | dict(zip(names, four, strict=True))


CORRECTIONS = Noun("corrections", schemas.Correction, validation.CORRECTION, _correction)
DRAWINGS = Noun("drawings", schemas.Drawing, validation.DRAWING, _drawing)


def upload(fields: Any, source: str, header_key: str | None = None, noun: Noun = CORRECTIONS) -> Upload:
    """The upload that a source sent. Raises ``BadField`` or one of its kinds.

    ``header_key`` is the ``Idempotency-Key`` header: a structured-field string in quotes, or bare.
    """
    most = len(noun.model.model_fields)
    if isinstance(fields, dict) and len(fields) > most:  # pydantic would report each one, in a kilobyte
        raise UnknownField(f"body: expected at most {most} fields, got {len(fields):,}; remove the unknown ones")
    try:
        sent = noun.model.model_validate(fields)
        image = sent.image if isinstance(sent.image, bytes) else a2b_base64(sent.image, strict_mode=True)
    except ValidationError as error:
        raise validation.first(error.errors(include_url=False), noun.rules) from None
    except ValueError:
        raise BadBase64("image: expected base64, got text that does not decode; encode the bytes of the file") from None
    if header_key is not None and (quoted := QUOTED.fullmatch(header_key)):
        header_key = ESCAPED.sub(r"\1", quoted[1])
    if header_key is not None and sent.key not in {None, header_key}:
        raise BadIdempotencyKey("key: expected the one in the header Idempotency-Key, got another; send only one")
    return Upload(
        source=source,
        image=image,
        key=sent.key if header_key is None else header_key,
        version=sent.version,
        rate=sent.rate,
        captured_at=sent.captured_at,
        **noun.fields(sent),
    )


async def prepare(sent: Upload, now: datetime, threads: Executor) -> Prepared:
    """The upload with its image decoded. Raises ``BadImage``, ``BadField``."""
    image = sent.image
    if isinstance(image, bytes) and image[16:24] == IHDR_28 and len(image) <= INLINE_BYTES:
        return intake.prepare(sent, now)
    return await asyncio.get_running_loop().run_in_executor(threads, intake.prepare, sent, now)


def batch(data: bytes, source: str, max_items: int, noun: Noun = CORRECTIONS) -> list[Upload | ClientError]:
    """The uploads in the body of a batch; a malformed one is replaced by its error. Decodes no image.

    Raises ``NotReadable``, ``TooLarge``: about the batch as a whole, so that smaller ones may be accepted.
    """
    body = bodies.json(data)
    items = body.get(noun.plural) if isinstance(body, dict) and set(body) == {noun.plural} else None
    if not isinstance(items, list) or not items:
        raise NotReadable(f'body: expected {{"{noun.plural}": [...]}} with at least one {noun.singular}; correct it')
    if len(items) > max_items:
        raise TooLarge(f"body: expected at most {max_items} {noun.plural}, got {len(items):,}; send several batches")
    found = [_checked(each, source, noun) for each in items]
    areas = [pictures.area(each.image) for each in found if isinstance(each, Upload) and isinstance(each.image, bytes)]
    total = sum(area for area in areas if area <= DEFAULT_LIMITS.pixels)  # a larger one is refused by itself, undecoded
    if len(found) > 1 and total > BATCH_PIXELS:
        raise TooLarge(f"body: expected images of at most {BATCH_PIXELS:,} pixels together, got {total:,}")
    return found


def prepare_many(uploads: Sequence[Upload | ClientError], now: datetime) -> list[Prepared | ClientError]:
    """The uploads of a batch with their images decoded; errors stay in place."""
    return [each if isinstance(each, ClientError) else _prepared(each, now) for each in uploads]


def _checked(fields: Any, source: str, noun: Noun) -> Upload | ClientError:
    try:
        found = upload(fields, source, noun=noun)
    except ClientError as refusal:
        return refusal
    if found.key is None:
        return BadIdempotencyKey(f"key: expected one for each {noun.singular} of a batch, got nothing; add one")
    return found


def _prepared(sent: Upload, now: datetime) -> Prepared | ClientError:
    try:
        return intake.prepare(sent, now)
    except ClientError as refusal:
        return refusal
