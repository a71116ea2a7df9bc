"""The upper bound of a translated expression's time on a record, computed before the evaluation.

A bound is a number of steps of a tenth of a microsecond, computed from the expression and from the sizes of the values
that it reads. The bound is valid by construction, since cel_cost.py allows no value to grow. Each text comes from the
record or the expression. No list has more entries than the longest list in the record or the expression. A macro
evaluates its body once per entry of its range. A step is the evaluation of one node, 200 characters of a text, one
entry that ``in`` compares, or, for each instruction of a pattern of ``matches``, 20 characters. The slowest search of a
pattern takes 5 ns per character and instruction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from verifywise_mlflow.compliance.rules.cel_cost import record_path
from verifywise_mlflow.compliance.rules.cel_tree import (
    Call,
    Constant,
    Literals,
    Macro,
    Member,
    Name,
    Node,
    children,
    nodes,
)
from verifywise_mlflow.compliance.rules.field_paths import Path
from verifywise_mlflow.redaction.re2_patterns import PatternError, compile_pattern

MAX_PATTERN_BYTES: Final = 256 * 1024
"""The memory limit of one pattern of ``matches``. RE2 refuses a program that does not fit, and searches more slowly
once the memory is used up."""

_CHARACTERS_PER_STEP: Final = 200
_INSTRUCTION_CHARACTERS_PER_STEP: Final = 20
_TEXT_FUNCTIONS: Final = frozenset(
    {
        *("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "_[_]"),
        *("startsWith", "endsWith", "timestamp", "duration"),
    }
)
_UNMEASURED: Final = 10**9
"""The assumed length of the longest text, in characters, in a value that is too large to measure."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a value is."""

    entries: int = 0
    """The number of entries that a macro iterates over."""
    values: int = 0
    """The number of values: the value itself and all values inside it, at any depth."""
    longest: int = 0
    """The length of the longest text in characters. The names of members count as texts."""


SizeOf: TypeAlias = Callable[[Path], Size]


@dataclass(slots=True)
class _Weight:
    """The cost of the nodes that are evaluated once per entry of the same list."""

    nodes: float = 0
    per_character: float = 0
    """Steps for each character of the longest text."""
    per_square: float = 0
    """Steps for each pair of characters of two texts: ``contains`` may compare all pairs."""
    lists: float = 0
    """The number of nodes that read every entry of a list."""

    def steps(self, longest: int, values: int) -> float:
        of_text = self.per_character * longest + self.per_square * longest * longest
        return self.nodes + of_text + self.lists * values * (1 + longest / _CHARACTERS_PER_STEP)


class CostBound:
    """The bound of one expression."""

    def __init__(self, root: Node) -> None:
        """Store the expression's tree."""
        self._weights: dict[Path | None, _Weight] = {}
        """A macro's range to the cost per entry. The key None has the cost of the parts that are evaluated once."""
        self._is_bounded = True
        self._constant = Size(values=sum(1 for _ in nodes(root)), longest=max(map(_text_length, nodes(root))))
        self.paths = tuple(dict.fromkeys(_paths(root)))
        """The values of the record that the expression reads."""
        self._add(root, 1, None)

    def steps(self, size_of: SizeOf) -> float:
        """Return the maximum number of steps of an evaluation on a record.

        Args:
            size_of: returns the size of the record's value at a path.
        """
        if not self._is_bounded:
            return math.inf
        sizes = [size_of(path) for path in self.paths]
        longest = max(self._constant.longest, *(size.longest for size in sizes), 0)
        values = self._constant.values + sum(size.values for size in sizes)
        return sum(
            (1 if source is None else size_of(source).entries) * weight.steps(longest, values)
            for source, weight in self._weights.items()
        )

    def _add(self, node: Node, times: int, source: Path | None) -> None:
        """Add the cost of a node that is evaluated ``times`` times per entry of a source."""
        weight = self._weights.setdefault(source, _Weight())
        weight.nodes += times
        if isinstance(node, Call):
            self._add_texts(node, times, weight)
        if not isinstance(node, Macro):
            for child in children(node):
                self._add(child, times, source)
            return
        self._add(node.range, times, source)
        match _run_over(node.range):
            case int(entries):
                times *= entries
            case tuple(path) if source is None:
                source = path
            case _:  # a macro inside a macro over another list, or a macro over a constructed list
                self._is_bounded = False
        for part in node.body:
            self._add(part, times, source)

    def _add_texts(self, call: Call, times: int, weight: _Weight) -> None:
        match call.function, call.arguments:
            case "contains", (_, Constant(value=str(part))):
                weight.per_character += times * (1 + len(part)) / _CHARACTERS_PER_STEP
            case "contains", _:
                weight.per_square += times / _CHARACTERS_PER_STEP
                weight.per_character += times / _CHARACTERS_PER_STEP
            case "matches", (_, Constant(value=str(pattern))):
                weight.per_character += times * program_size(pattern) / _INSTRUCTION_CHARACTERS_PER_STEP
            case "matches", _:
                self._is_bounded = False
            case function, _ if function in _TEXT_FUNCTIONS:
                weight.per_character += times / _CHARACTERS_PER_STEP
                weight.lists += times if function == "@in" else 0


def measured_size(value: object, max_values: float = math.inf) -> Size:
    """Return the size of a value of a record.

    Args:
        value: the value.
        max_values: the maximum number of values to count. A value with more parts gets a size that is too large for any
            budget.
    """
    entries = len(value) if isinstance(value, (list, dict)) else 0
    values, longest, to_measure = 0, 0, [value]
    while to_measure:
        inner = to_measure.pop()
        values += 1
        if type(inner) is str:
            longest = max(longest, len(inner))
        elif isinstance(inner, (list, dict)):
            if values + len(to_measure) + len(inner) > max_values:
                return Size(entries, values, _UNMEASURED)
            longest = max(longest, *map(len, inner), 0) if isinstance(inner, dict) else longest
            to_measure.extend(inner.values() if isinstance(inner, dict) else inner)
    return Size(entries, values, longest)


def program_size(pattern: str) -> float:
    """Return the number of instructions of a pattern; infinite if RE2 refuses the pattern."""
    try:
        return compile_pattern(pattern, MAX_PATTERN_BYTES).program_size
    except PatternError:
        return math.inf


def _run_over(node: Node) -> int | Path | None:
    """Return a macro's range: a number of entries, the path of a record's value as an upper bound, or None."""
    if isinstance(node, Literals):
        return len(node.entries)
    if isinstance(node, Macro) and node.kind == "filter":
        return _run_over(node.range)
    return record_path(node)


def _paths(node: Node) -> Iterator[Path]:
    """Yield the paths of the record that an expression reads, each as far as the expression spells it out."""
    if (path := record_path(node)) is not None:
        yield path
        return
    for child in children(node):
        yield from _paths(child)


def _text_length(node: Node) -> int:
    match node:
        case Constant(value=str(text)) | Name(name=text) | Member(name=text):
            return len(text)
    return 0
