"""Count the contents of a protobuf message before any object is built from it.

The wire format needs two bytes for an empty message and protobuf about a hundred; a hostile file of 100 MB would
otherwise need gigabytes. The walk follows the descriptor, skips packed arrays and byte strings in one step, so it
takes milliseconds for normal files.
"""

from typing import Any

from .errors import LimitExceeded, Malformed
from .limits import Limits

_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)


def check(data: bytes, descriptor: Any, file: str, limits: Limits) -> None:
    """Raise ``LimitExceeded`` for too long, too deep or too finely divided a file, ``Malformed`` for a broken one."""
    if len(data) > limits.file_bytes:
        raise LimitExceeded(f"{file}: {len(data)} bytes, at most {limits.file_bytes} are read")
    counted = position = 0
    inside: list[tuple[int, Any]] = [(len(data), descriptor)]
    while inside:
        end, kind = inside[-1]
        if position == end:
            inside.pop()
            continue
        counted += 1
        if counted > limits.fields:
            raise LimitExceeded(f"{file}: more than {limits.fields} fields and messages")
        if len(inside) > limits.depth:
            raise LimitExceeded(f"{file}: messages inside messages more than {limits.depth} deep")
        tag, position = _varint(data, position, end, file)
        start, position = _value(data, position, end, tag & 7, file)
        field = kind.fields_by_number.get(tag >> 3) if tag & 7 == _BYTES else None
        if field is not None and field.message_type is not None:
            inside.append((position, field.message_type))
            position = start


def _value(data: bytes, position: int, end: int, form: int, file: str) -> tuple[int, int]:
    """Return where the value at ``position`` starts and ends."""
    if form == _VARINT:
        start, position = position, _varint(data, position, end, file)[1]
    elif form == _BYTES:
        length, start = _varint(data, position, end, file)
        position = start + length
    elif form in (_FIXED32, _FIXED64):
        start, position = position, position + (4 if form == _FIXED32 else 8)
    else:
        raise Malformed(f"{file}: expected a Core ML model, got other bytes (wire type {form})")
    if position > end:
        raise Malformed(f"{file}: truncated: a value ends {position - end} bytes past the end")
    return start, position


def _varint(data: bytes, position: int, end: int, file: str) -> tuple[int, int]:
    if position < end and data[position] < 128:  # nearly all are one byte long
        return data[position], position + 1
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise Malformed(f"{file}: truncated or not a Core ML model: a number does not end")
