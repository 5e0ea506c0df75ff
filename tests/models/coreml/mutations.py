"""Ways to break a Core ML file: bytes flipped, cut, doubled; fields of the message set to what no converter writes."""

import random
from collections.abc import Iterator
from typing import Any

NUMBERS = (0, 1, 2, 3, 7, 255, 4096, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 + 1, 2**53, 2**63 - 1, -1, -2, -7, -(2**31))
FLOATS = (0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x0", "y0", "image", "scores", "no such name", "\x00", "ä" * 40)


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return ``data`` with up to eight bytes changed, a piece cut out, doubled, or the end cut off."""
    changed = bytearray(data)
    kind = rng.randrange(5)
    at = rng.randrange(len(changed))
    length = rng.choice((1, 2, 5, 16, 100))
    if kind == 0:
        for _ in range(rng.randint(1, 8)):
            changed[_place(changed, rng)] = rng.randrange(256)
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        del changed[at : at + length]
    elif kind == 3:
        changed[at:at] = changed[at : at + length]
    else:
        changed[at : at + length] = rng.randbytes(length)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a position, mostly near an end: descriptions and labels stand there, weights between."""
    near = rng.randrange(min(len(data), 600))
    return rng.choice((near, len(data) - 1 - near, rng.randrange(len(data))))


def of_fields(message: Any, rng: random.Random) -> None:
    """Change one to three fields anywhere in ``message``, in place."""
    for _ in range(rng.randint(1, 3)):
        _mutate(rng.choice(list(messages(message))), rng)


def messages(message: Any) -> Iterator[Any]:
    """Yield the message and all in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [value[key] for key in sorted(value)]
            inside = values if field.message_type.fields_by_name["value"].message_type is not None else []
        else:
            inside = value if field.is_repeated else [value]
        for each in inside:
            yield from messages(each)


def _mutate(message: Any, rng: random.Random) -> None:
    """Change one field of ``message``; mostly one that is set."""
    present = [field for field, _ in message.ListFields()]
    fields = present if present and rng.random() < 0.7 else list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = rng.choice(fields)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if rng.random() < 0.15:
        message.ClearField(field.name)
    elif field.is_repeated:
        _mutate_repeated(getattr(message, field.name), field, rng)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(field, rng))


def _mutate_repeated(values: Any, field: Any, rng: random.Random) -> None:
    """Drop, double, replace or add one element, or many."""
    kind = rng.randrange(4)
    if kind == 0 and len(values):
        del values[rng.randrange(len(values)) :]
    elif kind == 1 and len(values):
        values.extend(list(values[:20]) * rng.choice((1, 2, 30)))
    elif field.message_type is not None:
        values.add()
    elif kind == 2 and len(values):
        values[rng.randrange(len(values))] = _value(field, rng)
    else:
        values.append(_value(field, rng))


def _value(field: Any, rng: random.Random) -> Any:
    """Return an unusual value that fits the field's type."""
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values] + [77])
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type == field.CPPTYPE_STRING:
        return (
            rng.choice((b"", b"\x00\xff", rng.randbytes(16))) if field.type == field.TYPE_BYTES else rng.choice(TEXTS)
        )
    low, high = _RANGES[field.cpp_type]
    return rng.choice([number for number in NUMBERS if low <= number <= high])


_RANGES = {1: (-(2**31), 2**31 - 1), 2: (-(2**63), 2**63 - 1), 3: (0, 2**32 - 1), 4: (0, 2**64 - 1)}
"""By C++ type: int32, int64, uint32, uint64."""
