"""The syntax tree of a compiled expression, decoded from the form in which the CEL library serializes it.

The form is the message ``CheckedExpr`` of cel-spec (``checked.proto`` and ``syntax.proto``), inside an ``Any``. The
library offers no other access to its tree. The field numbers below come from cel-spec. A package for protocol buffers
is not used: it would add a compiler and generated code for a single message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from verifywise_mlflow.compliance.rules.protobuf_wire import (
    LENGTH,
    VARINT,
    Fields,
    bytes_of,
    messages_of,
    number_of,
    parse,
    serialize,
    text_of,
)

MacroKind: TypeAlias = Literal["exists", "all", "exists_one", "filter", "map"]

_ANY_VALUE, _TYPES, _EXPRESSION = 2, 3, 4
_ID, _CONSTANT, _NAME, _MEMBER, _CALL, _LIST, _STRUCT, _COMPREHENSION = 2, 3, 4, 5, 6, 7, 8, 9
_RANGE, _ACCUMULATOR, _STEP, _RESULT = 2, 4, 6, 7
_SUBEXPRESSIONS: Final[Mapping[int, tuple[int, ...]]] = {
    _MEMBER: (1,),
    _CALL: (1, 3),
    _LIST: (1,),
    _COMPREHENSION: (_RANGE, _ACCUMULATOR, 5, _STEP, _RESULT),
}
"""Kind of expression to the fields with the expressions below it. In a struct, the entries have these expressions."""
_STRUCT_ENTRIES, _ENTRY_EXPRESSIONS = 2, (3, 4)
_NEW_ID = 1_000_000
"""The first ID of inserted nodes. It is above the IDs of any expression, since the library would resolve an ID that it
knows to the former node."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: a text, boolean, integer, double or null as a Python value."""

    id: int
    value: str | bool | int | float | None
    is_decoded: bool = True
    """Whether ``value`` is known. For a literal of another type, such as bytes, ``value`` is None."""


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a map, ``operand.name``, or the test whether the member exists, ``has(operand.name)``."""

    id: int
    operand: Node
    name: str
    is_presence_test: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, a method or an operator such as ``_+_``. The object of a method is the first argument."""

    id: int
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Literals:
    """A list or map that the expression writes out."""

    id: int
    entries: tuple[Node, ...]
    is_list: bool


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro over a list or map."""

    id: int
    kind: MacroKind
    variable: str
    range: Node
    body: tuple[Node, ...]
    """The condition, the transformation, or both."""


Node: TypeAlias = Constant | Name | Member | Call | Literals | Macro


class Tree:
    """The tree of one expression, with the types that the library inferred."""

    def __init__(self, serialized: bytes) -> None:
        """Decode what ``cel.Expression.serialize`` returned."""
        self._envelope = parse(serialized)
        self._checked = parse(bytes_of(self._envelope, _ANY_VALUE))
        self._types = {
            number_of(entry, 1): parse(bytes_of(entry, 2))
            for entry in (parse(content) for number, _, content in self._checked if number == _TYPES)  # type: ignore[arg-type]
        }
        self.root = _node(bytes_of(self._checked, _EXPRESSION))

    def is_number_or_time(self, node: Node) -> bool:
        """Return whether the library knows that a node's value is a number, a time or a duration."""
        for kind, _, content in self._types.get(node.id, ()):
            if kind in (3, 4):  # a primitive type, nullable or not: int, uint, double
                return content in (2, 3, 4)
            if kind == 5:  # a well-known type: timestamp, duration
                return content in (2, 3)
        return False

    def with_names(self, names: Mapping[int, str]) -> bytes:
        """Return the serialized expression in which variables replace the nodes with these IDs."""
        return self._with_expression(_with_names(bytes_of(self._checked, _EXPRESSION), names))

    def macro_over(self, macro: Macro, name: str) -> bytes:
        """Return a macro as an expression in which a variable replaces the range.

        ``exists_one`` returns the number of entries instead, so that the results of parts can be added up.
        """
        expression = _find(bytes_of(self._checked, _EXPRESSION), macro.id)
        fields = parse(bytes_of(parse(expression), _COMPREHENSION))
        changed = {_RANGE: _name_expression(name)}
        if macro.kind == "exists_one":
            changed[_RESULT] = _name_expression("@result")
        comprehension = serialize([(number, wire, changed.get(number, content)) for number, wire, content in fields])
        return self._with_expression(serialize([(_ID, VARINT, macro.id), (_COMPREHENSION, LENGTH, comprehension)]))

    def _with_expression(self, expression: bytes) -> bytes:
        checked = [(n, wire, expression if n == _EXPRESSION else content) for n, wire, content in self._checked]
        return serialize(
            [(n, wire, serialize(checked) if n == _ANY_VALUE else content) for n, wire, content in self._envelope]
        )


def nodes(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it."""
    yield node
    for child in children(node):
        yield from nodes(child)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below a node."""
    match node:
        case Member(operand=operand):
            return (operand,)
        case Call(arguments=arguments):
            return arguments
        case Literals(entries=entries):
            return entries
        case Macro(range=range_, body=body):
            return (range_, *body)
    return ()


def _node(data: bytes) -> Node:
    fields = parse(data)
    node_id = number_of(fields, _ID)
    for kind, _, content in fields:
        if not isinstance(content, bytes):
            continue
        inner = parse(content)
        if kind == _CONSTANT:
            return _constant(node_id, inner)
        if kind == _NAME:
            return Name(node_id, text_of(inner, 1).lstrip("."))
        if kind == _MEMBER:
            return Member(node_id, _node(bytes_of(inner, 1)), text_of(inner, 2), bool(number_of(inner, 3)))
        if kind == _CALL:
            return Call(node_id, text_of(inner, 2), tuple(_node(part) for part in messages_of(inner, (1, 3))))
        if kind == _LIST:
            return Literals(node_id, tuple(_node(part) for part in messages_of(inner, (1,))), is_list=True)
        if kind == _STRUCT:
            entries = [parse(entry) for entry in messages_of(inner, (_STRUCT_ENTRIES,))]
            parts = tuple(_node(part) for entry in entries for part in messages_of(entry, _ENTRY_EXPRESSIONS))
            return Literals(node_id, parts, is_list=False)
        if kind == _COMPREHENSION:
            return _macro(node_id, inner)
    return Constant(node_id, None, is_decoded=False)


def _macro(node_id: int, fields: Fields) -> Macro:
    """Return the macro from which a comprehension was expanded. Accumulator and step identify the macro."""
    variable, accumulator = text_of(fields, 1), _node(bytes_of(fields, _ACCUMULATOR))
    step = _node(bytes_of(fields, _STEP))
    kind: MacroKind
    if isinstance(accumulator, Literals):
        (*conditions, addition) = (step.arguments[0], step.arguments[1]) if _is_call(step, "_?_:_") else (step,)  # type: ignore[union-attr]
        (element,) = addition.arguments[1].entries  # type: ignore[union-attr]
        kind = "filter" if isinstance(element, Name) and element.name == variable else "map"
        body = (*conditions, *(() if kind == "filter" else (element,)))
    elif isinstance(accumulator, Constant) and isinstance(accumulator.value, bool):
        kind, body = ("all" if accumulator.value else "exists"), (step.arguments[1],)  # type: ignore[union-attr]
    else:
        kind, body = "exists_one", (step.arguments[0],)  # type: ignore[union-attr]
    return Macro(node_id, kind, variable, _node(bytes_of(fields, _RANGE)), body)


def _is_call(node: Node, function: str) -> bool:
    return isinstance(node, Call) and node.function == function


def _constant(node_id: int, fields: Fields) -> Constant:
    ((kind, _, content),) = fields or [(1, 0, 0)]
    match kind, content:
        case 1, _:
            return Constant(node_id, None)
        case 2, int(number):
            return Constant(node_id, bool(number))
        case 3, int(number):  # a varint has the sign in its 64th bit
            return Constant(node_id, number - 2**64 if number >= 2**63 else number)
        case 5, bytes(data):
            return Constant(node_id, struct.unpack("<d", data)[0])
        case 6, bytes(data):
            return Constant(node_id, data.decode())
    return Constant(node_id, None, is_decoded=False)


def _with_names(data: bytes, names: Mapping[int, str]) -> bytes:
    fields = parse(data)
    if (name := names.get(number_of(fields, _ID))) is not None:
        return _name_expression(name)
    return serialize([(kind, wire, _with_names_below(kind, content, names)) for kind, wire, content in fields])


def _with_names_below(kind: int, content: int | bytes, names: Mapping[int, str]) -> int | bytes:
    if not isinstance(content, bytes) or kind not in (*_SUBEXPRESSIONS, _STRUCT):
        return content
    fields = parse(content)
    if kind == _STRUCT:
        return serialize(
            [
                (n, wire, _rewritten(part, _ENTRY_EXPRESSIONS, names) if n == _STRUCT_ENTRIES else part)
                for n, wire, part in fields
            ]
        )
    return _rewritten(content, _SUBEXPRESSIONS[kind], names)


def _rewritten(content: int | bytes, expressions: tuple[int, ...], names: Mapping[int, str]) -> int | bytes:
    if not isinstance(content, bytes):
        return content
    return serialize(
        [
            (n, wire, _with_names(part, names) if n in expressions and isinstance(part, bytes) else part)
            for n, wire, part in parse(content)
        ]
    )


def _find(data: bytes, node_id: int) -> bytes:
    """Return the expression with an ID."""
    found = list(_find_all(data, node_id))
    if len(found) != 1:
        raise ValueError(f"the expression has {len(found)} nodes with the ID {node_id}, expected one")
    return found[0]


def _find_all(data: bytes, node_id: int) -> Iterator[bytes]:
    fields = parse(data)
    if number_of(fields, _ID) == node_id:
        yield data
        return
    for kind, _, content in fields:
        if isinstance(content, bytes) and kind in _SUBEXPRESSIONS:
            for part in messages_of(parse(content), _SUBEXPRESSIONS[kind]):
                yield from _find_all(part, node_id)
        elif isinstance(content, bytes) and kind == _STRUCT:
            for entry in messages_of(parse(content), (_STRUCT_ENTRIES,)):
                for part in messages_of(parse(entry), _ENTRY_EXPRESSIONS):
                    yield from _find_all(part, node_id)


def _name_expression(name: str) -> bytes:
    return serialize(
        [(_ID, VARINT, _NEW_ID), (_NAME, LENGTH, serialize([(1, LENGTH, name.encode())]))],
    )
