"""Counts the values and the nesting of a JSON text before it is parsed.

A body with three bytes per value (``{},{},…``) takes seventy bytes of memory per value after it is parsed. So the
structural characters outside of strings are counted before parsing, in C and without creating an object per value.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'",[]{}'))
_STRUCTURE_OR_STRINGS = re.compile(rb'(?:"[^"]*"?)+|[^"]+')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # signed: +1 for an opening bracket, -1 for a closing one
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class JsonStructure:
    """The size that a JSON text will have when it is parsed."""

    values: int
    """The number of values, or more; keys do not count."""
    depth: int
    """How deeply objects and lists are nested."""


def measure(body: bytes, *, max_values: int) -> JsonStructure:
    """Return the number of values and the depth. If there are more than ``max_values``, both results may be too low.

    For a text that is not JSON, the result is arbitrary: parsing reports the error.
    """
    structure = body
    if b"\\" in structure:
        # An escaped quote ends no string. Escaped backslashes are removed first, so that they do not seem to escape a
        # quote.
        structure = structure.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = structure.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    values, depth, level = 1, 0, 0
    for blocks, block in enumerate(_outside_strings(structure)):
        values += block.count(b",") + block.count(b"{") + block.count(b"[")
        # In JSON, every block but the last one has a comma or an opening bracket.
        values = max(values, blocks)
        if values > max_values:
            break
        levels = array("b", block.translate(_STEPS, _NOT_BRACKETS))
        if levels:
            depth = max(depth, level + max(accumulate(levels)))
            level += sum(levels)
    return JsonStructure(values, depth)


def _outside_strings(structure: bytes) -> Iterator[bytes]:
    """Yield the structural characters outside of strings, in order."""
    if b'"' not in structure:
        for start in range(0, len(structure), _BLOCK):
            yield structure[start : start + _BLOCK]
        return
    for match in _STRUCTURE_OR_STRINGS.finditer(structure):
        if not match[0].startswith(b'"'):
            yield match[0]
