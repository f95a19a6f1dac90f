"""``tf.train.Example`` in protobuf's wire format, and the records of a TFRecord file."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from clipmill.io.byte_reader import ByteReader

INT64_RANGE = range(-(2**63), 2**63)
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_LENGTH_DELIMITED = 2
_MAX_NAME_BYTES = 1 << 16


def example_head(features_size: int) -> bytes:
    """What comes before ``features_size`` bytes of features."""
    return _head(1, features_size)


def bytes_feature_head(name: str, size: int) -> bytes:
    """What comes before the ``size`` bytes of a feature that is one bytes value."""
    value = _head(1, size)
    values = _head(_BYTES_LIST, len(value) + size)
    feature = _head(2, len(values) + len(value) + size)
    key = _delimited(1, name.encode())
    inside = key + feature + values + value
    return _head(1, len(inside) + size) + inside


def feature(name: str, value: Any) -> bytes:
    """A value as a feature; empty bytes for a value that is null or an empty list.

    Whole numbers and booleans become an int64 list, other numbers a float list (32 bits, as the
    format has it), texts and bytes a bytes list, and lists of these the same; anything else
    becomes JSON text.

    Args:
        name: feature name.
        value: as JSON can hold it, or bytes.
    """
    values = value if isinstance(value, list) else [value]
    if value is None or not values:
        return b""
    if all(isinstance(part, int) and part in INT64_RANGE for part in values):
        number, packed = _INT64_LIST, b"".join(_varint(part & (2**64 - 1)) for part in values)
        content = _delimited(1, packed)
    elif _are_floats(values):
        number, content = _FLOAT_LIST, _delimited(1, struct.pack(f"<{len(values)}f", *values))
    else:
        if not all(isinstance(part, str | bytes) for part in values):
            values = [json.dumps(value, ensure_ascii=False, separators=(",", ":"))]
        raw = (
            part if isinstance(part, bytes) else part.encode("utf-8", "replace") for part in values
        )
        number, content = _BYTES_LIST, b"".join(_delimited(1, part) for part in raw)
    kind = _delimited(number, content)
    return _delimited(1, _delimited(1, name.encode()) + _delimited(2, kind))


def _are_floats(values: list[Any]) -> bool:
    return any(isinstance(part, float) for part in values) and all(
        isinstance(part, int | float) for part in values
    )


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


def _head(field: int, size: int) -> bytes:
    return bytes([field << 3 | _LENGTH_DELIMITED]) + _varint(size)


def _delimited(field: int, content: bytes) -> bytes:
    return _head(field, len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


class Stretch(NamedTuple):
    """Bytes ``[start, end)`` of a file."""

    start: int
    end: int


class BytesValue(NamedTuple):
    """A feature that is one bytes value, left where it lies."""

    offset: int
    size: int


def read_features(reader: ByteReader, example: Stretch) -> dict[str, BytesValue | list[Any]]:
    """Features of one example, single bytes values unread.

    Args:
        reader: the file.
        example: where the example lies in it.

    Raises:
        ValueError: the bytes are no example.
    """
    found: dict[str, BytesValue | list[Any]] = {}
    for _, features in _fields(reader, example):
        for _, entry in _fields(reader, features):
            parts = dict(_fields(reader, entry))
            name = parts.get(1)
            if name is None or 2 not in parts or name.end - name.start > _MAX_NAME_BYTES:
                raise ValueError("it holds something other than tf.train.Example")
            text = reader.read(name.start, name.end - name.start).decode("utf-8", "replace")
            for kind, values in _fields(reader, parts[2]):
                found[text] = _values(reader, kind, values)
    return found


def _values(reader: ByteReader, kind: int, where: Stretch) -> BytesValue | list[Any]:
    stretches = [part for _, part in _fields(reader, where)]
    if kind == _BYTES_LIST and len(stretches) == 1:
        return BytesValue(stretches[0].start, stretches[0].end - stretches[0].start)
    contents = [reader.read(part.start, part.end - part.start) for part in stretches]
    if kind == _BYTES_LIST:
        return [part.decode("utf-8", "replace") for part in contents]
    packed = b"".join(contents)
    if kind == _FLOAT_LIST:
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return _unpacked(packed)


def _unpacked(packed: bytes) -> list[int]:
    numbers, position = [], 0
    while position < len(packed):
        number, position = _read_varint(packed, position)
        numbers.append(number - 2**64 if number >= 2**63 else number)
    return numbers


def _fields(reader: ByteReader, where: Stretch) -> Iterator[tuple[int, Stretch]]:
    """Length-delimited fields of a message: number and content."""
    position = where.start
    while position < where.end:
        head = reader.read(position, min(16, where.end - position))
        tag, after = _read_varint(head, 0)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError("it holds something other than tf.train.Example")
        size, after = _read_varint(head, after)
        position += after
        if position + size > where.end:
            raise ValueError("a value in it is cut short")
        yield tag >> 3, Stretch(position, position + size)
        position += size


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        value |= (data[position] & 127) << shift
        position += 1
        if data[position - 1] < 128:
            return value, position
        shift += 7
    raise ValueError("a number in it is cut short")


def metadata(features: Mapping[str, BytesValue | list[Any]], reader: ByteReader) -> dict[str, Any]:
    """Features as plain values: single ones bare, bytes as text."""
    found: dict[str, Any] = {}
    for name, value in features.items():
        if isinstance(value, BytesValue):
            found[name] = reader.read(value.offset, value.size).decode("utf-8", "replace")
        else:
            found[name] = value[0] if len(value) == 1 else value
    return found
