"""The wire format of protocol buffers: messages as lists of fields, without their schema.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TypeAlias

Fields: TypeAlias = "list[tuple[int, int, int | bytes]]"
"""A message: field number, wire type and content of each field, in order."""

VARINT, FIXED_64, LENGTH = 0, 1, 2
"""Wire types."""


def number_of(fields: Fields, number: int) -> int:
    """Return the integer in the first field that has this number; 0 if there is no such field."""
    return next((content for n, _, content in fields if n == number and isinstance(content, int)), 0)


def bytes_of(fields: Fields, number: int) -> bytes:
    """Return the content of the first field that has this number and contains bytes; empty if there is none."""
    return next((content for n, _, content in fields if n == number and isinstance(content, bytes)), b"")


def messages_of(fields: Fields, numbers: tuple[int, ...]) -> list[bytes]:
    """Return the contents of all fields with these numbers, in order."""
    return [content for n, _, content in fields if n in numbers and isinstance(content, bytes)]


def text_of(fields: Fields, number: int) -> str:
    """Return the text in a field; empty if there is none."""
    return bytes_of(fields, number).decode()


def parse(data: bytes) -> Fields:
    """Return the fields of a message."""
    fields: Fields = []
    position = 0
    while position < len(data):
        key, position = _parse_varint(data, position)
        number, wire = key >> 3, key & 7
        content: int | bytes
        if wire == VARINT:
            content, position = _parse_varint(data, position)
        else:
            size = 8 if wire == FIXED_64 else 4
            if wire == LENGTH:
                size, position = _parse_varint(data, position)
            content, position = data[position : position + size], position + size
        fields.append((number, wire, content))
    return fields


def _parse_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # the last byte has no continuation bit
            return value, position


def serialize(fields: Fields) -> bytes:
    """Return a message with these fields."""
    out = bytearray()
    for number, wire, content in fields:
        out += _varint(number << 3 | wire)
        if isinstance(content, int):
            out += _varint(content)
        else:
            out += (_varint(len(content)) if wire == LENGTH else b"") + content
    return bytes(out)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
