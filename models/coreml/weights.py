"""``WeightParams`` to float32: full and half precision, linear and lookup-table quantisation of 1 to 8 bits.

Formulas: ``QuantizationParams`` in NeuralNetwork.proto. Quantised values are packed without gaps, most significant bit
first; linear: ``scale[c] * q + bias[c]`` with one pair for all or one per output channel; table: ``table[q]``.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class BadWeights(ValueError):
    """The reason why weights cannot be read; their layer raises it as an error with its name."""


def precision(params: Any) -> str:
    """Return the storage of ``params``: ``float32``, ``float16``, ``linear 8 bit``, ``table 4 bit`` …, or ``none``."""
    if len(params.floatValue):
        return "float32"
    if params.float16Value:
        return "float16"
    if params.rawValue:
        kind = params.quantization.WhichOneof("QuantizationType")
        name = {"linearQuantization": "linear", "lookupTableQuantization": "table"}.get(kind, "raw")
        return f"{name} {params.quantization.numberOfBits} bit"
    return "int8 dynamic" if params.int8RawValue else "none"


def stored(params: Any) -> int:
    """Return the number of stored values, as far as the message states it."""
    if params.rawValue:
        bits = params.quantization.numberOfBits
        return len(params.rawValue) * 8 // bits if 1 <= bits <= 8 else len(params.rawValue)
    return len(params.floatValue) or len(params.float16Value) // 2 or len(params.int8RawValue)


def every(message: Any) -> Iterator[Any]:
    """Yield every ``WeightParams`` in a layer."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in value if field.is_repeated else (value,):
            if field.message_type.name == "WeightParams":
                yield each
            elif not field.message_type.GetOptions().map_entry:
                yield from every(each)


def unpack(params: Any, shape: tuple[int, ...], axis: int = 0) -> Array:
    """Return the values in file order as a row-major array of ``shape``.

    ``axis`` is the output-channel axis, which scales per channel belong to. Raises ``BadWeights``.
    """
    if params.int8RawValue:
        raise BadWeights("int8 weights for dynamic quantisation are not supported")
    present = [n for n in ("floatValue", "float16Value", "rawValue") if len(getattr(params, n))]
    if len(present) != 1:
        raise BadWeights(f"expected values in one precision, got {' and '.join(present) or 'none'}")
    if present == ["floatValue"]:
        values = np.array(params.floatValue, dtype=np.float32)
    elif present == ["float16Value"]:
        values = _half(params.float16Value)
    else:
        values = _dequantise(params, shape, axis)
    if values.size != math.prod(shape):
        raise BadWeights(f"expected {math.prod(shape)} values, got {values.size}")
    return values.reshape(shape)


def _half(raw: bytes) -> Array:
    if len(raw) % 2:
        raise BadWeights(f"expected pairs of bytes for float16, got {len(raw)} bytes")
    return np.frombuffer(raw, dtype="<f2").astype(np.float32)


def _dequantise(params: Any, shape: tuple[int, ...], axis: int) -> Array:
    bits, count = params.quantization.numberOfBits, math.prod(shape)
    kind = params.quantization.WhichOneof("QuantizationType")
    if kind is None or not 1 <= bits <= 8:
        raise BadWeights(f"expected quantisation of 1 to 8 bits, got {kind or 'no quantisation'} of {bits} bits")
    if len(params.rawValue) != (count * bits + 7) // 8:
        raise BadWeights(f"expected {count} values of {bits} bits, got {len(params.rawValue)} bytes")
    indices = _unpack_bits(params.rawValue, bits, count).reshape(shape)
    if kind == "lookupTableQuantization":
        table = np.array(params.quantization.lookupTableQuantization.floatValue, dtype=np.float32)
        if table.size != 1 << bits:
            raise BadWeights(f"expected a table of {1 << bits} values for {bits} bits, got {table.size}")
        return table[indices]
    return _linear(indices, params.quantization.linearQuantization, axis)


def _linear(indices: NDArray[np.uint8], linear: Any, axis: int) -> Array:
    """Return ``scale · index + bias``.

    A vector has one scale for all, and there is no bias or one for each scale: what Apple's compiler asks
    (``hasValidQuantizationParams`` in coremltools' QuantizationValidationUtils.cpp and its callers).
    """
    scale = np.array(linear.scale, dtype=np.float32)
    bias = np.array(linear.bias, dtype=np.float32)
    channels = indices.shape[axis] if indices.ndim > 1 else 1
    if scale.size not in (1, channels) or bias.size not in (0, scale.size):
        raise BadWeights(
            f"expected 1 or {channels} scales and as many biases or none, got {scale.size} and {bias.size}"
        )
    along = [1] * indices.ndim
    along[axis] = -1
    values = indices.astype(np.float32)
    values *= scale.reshape(along)
    if bias.size:
        values += bias.reshape(along)
    return values


def _unpack_bits(raw: bytes, bits: int, count: int) -> NDArray[np.uint8]:
    """Return ``count`` numbers of ``bits`` bits, most significant bit first."""
    data = np.frombuffer(raw, dtype=np.uint8)
    if bits == 8:
        return data[:count]
    loose = np.unpackbits(data, count=count * bits).reshape(count, bits)
    places = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint8)
    result: NDArray[np.uint8] = (loose * places).sum(axis=1, dtype=np.uint8)
    return result
