"""Translates expressions into Python functions. A function takes a quarter of the time of a CEL library call.

At each evaluation, the library converts the values that an expression reads to C++. This takes 3 µs for the simplest
condition, and a policy of 50 rules evaluates 130 conditions on a record. A translated expression reads the record's
Python values directly.

This module translates the operators and functions that rules use. The outcome of a translated expression is ``LIBRARY``
wherever Python might differ from the library: for any other function, for a value of an unexpected type, and for every
error. The library then evaluates the whole expression. So verdicts and error messages are always those of the library.
The tests compare the functions with the library on random expressions and values. If one side of ``&&``, ``||``,
``exists`` or ``all`` decides, it is used even if the outcome of the other side is ``LIBRARY``, since CEL absorbs errors
on either side.

A translated expression costs no more than a call of the library: each node is evaluated at most once per entry of the
list that a macro iterates over, and cel_cost.py limits macros within macros. cel_bound.py computes the upper bound of
the cost.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from verifywise_mlflow.compliance.rules import cel_operations as operations
from verifywise_mlflow.compliance.rules.cel_bound import MAX_PATTERN_BYTES
from verifywise_mlflow.compliance.rules.cel_operations import LIBRARY, MISSING, SCALARS, Operation, Outcome, Value
from verifywise_mlflow.compliance.rules.cel_tree import Call, Constant, Literals, Macro, Member, Name, Node
from verifywise_mlflow.compliance.rules.cel_variables import PYTHON_TYPES, CelValue
from verifywise_mlflow.redaction.re2_patterns import PatternError, compile_pattern

Variables: TypeAlias = Mapping[str, CelValue]
Scope: TypeAlias = Mapping[str, CelValue]
"""For the macros around a node: variable to the current entry of the macro."""
Closure: TypeAlias = Callable[[Variables, Scope], Outcome]

NO_SCOPE: Final[Scope] = {}

_BINARY: Final[Mapping[str, Operation]] = {
    "_==_": operations.equal,
    "_!=_": operations.unequal,
    "_<_": operations.ordered_by(operator.lt),
    "_<=_": operations.ordered_by(operator.le),
    "_>_": operations.ordered_by(operator.gt),
    "_>=_": operations.ordered_by(operator.ge),
    "_+_": operations.add,
    "_-_": operations.subtract,
    "_*_": operations.multiply,
    "_/_": operations.divide,
    "_[_]": operations.entry,
    "@in": operations.is_in,
    "contains": operations.text_test(operator.contains),
    "startsWith": operations.text_test(str.startswith),
    "endsWith": operations.text_test(str.endswith),
}
_UNARY: Final[Mapping[str, Callable[[Value], Outcome]]] = {
    "-_": operations.negate,
    "size": operations.size,
    "double": operations.to_double,
    "timestamp": operations.to_timestamp,
    "duration": operations.to_duration,
    "getHours": operations.hours,
}


def closure_of(node: Node) -> Closure:
    """Return a function that evaluates an expression outside of any macro."""
    return _translated(node, frozenset())


def _translated(node: Node, scope: frozenset[str]) -> Closure:
    """Return the function of a node; ``scope`` has the variables of the macros around it."""
    match node:
        case Constant(value=value, is_decoded=True):
            return _constant(value)
        case Name(name=name):
            return _entry_of_macro(name) if name in scope else _variable(name)
        case Member(operand=operand, name=name, is_presence_test=is_test):
            return (_presence if is_test else _member)(_translated(operand, scope), name)
        case Call(function="_&&_" | "_||_" as function):
            parts = [_translated(part, scope) for part in _flattened(node, function)]
            return _connective(parts, decisive=function == "_||_")
        case Call(function="!_", arguments=(argument,)):
            return _negation(_translated(argument, scope))
        case Call(function="_?_:_", arguments=(condition, chosen, other)):
            return _choice(*(_translated(part, scope) for part in (condition, chosen, other)))
        case Call(function="@in", arguments=(element, Literals(entries=entries, is_list=True))) if texts := _texts(
            entries
        ):
            return _is_one_of(_translated(element, scope), texts)
        case Call(function="_==_" | "_!=_" as function, arguments=(left, Constant(value=str(text)))):
            return _is_text(_translated(left, scope), text, is_equal=function == "_==_")
        case Call(function="matches", arguments=(text, Constant(value=str(pattern)))):
            return _matches(_translated(text, scope), pattern)
        case Call(function=function, arguments=(argument,)) if function in _UNARY:
            return _unary(_UNARY[function], _translated(argument, scope))
        case Call(function=function, arguments=(left, right)) if function in _BINARY:
            return _binary(_BINARY[function], _translated(left, scope), _translated(right, scope))
        case Literals(entries=entries, is_list=True):
            return _list([_translated(part, scope) for part in entries])
        case Macro(variable=variable) if variable not in PYTHON_TYPES:  # otherwise `.owner` means the field
            return _macro(node, scope)
    return _constant(LIBRARY)


def _constant(outcome: Outcome) -> Closure:
    def constant(_variables: Variables, _scope: Scope) -> Outcome:
        return outcome

    return constant


def _variable(name: str) -> Closure:
    expected = PYTHON_TYPES.get(name)

    def variable(variables: Variables, _scope: Scope) -> Outcome:
        value = variables.get(name, MISSING)
        return value if value is MISSING or type(value) is expected else LIBRARY

    def time(variables: Variables, _scope: Scope) -> Outcome:
        value = variables.get(name, MISSING)
        if isinstance(value, datetime) and (value.tzinfo is UTC or _is_inside_calendar(value)):
            return value
        return value if value is MISSING else LIBRARY

    return time if expected is datetime else variable


def _is_inside_calendar(value: datetime) -> bool:
    """Return whether a time has a zone, and is within the calendar in UTC, too."""
    return value.tzinfo is not None and datetime.min.year < value.year < datetime.max.year


def _entry_of_macro(name: str) -> Closure:
    def entry(_variables: Variables, scope: Scope) -> Outcome:
        return scope[name]

    return entry


def _member(operand: Closure, name: str) -> Closure:
    def member(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if type(value) is dict:
            return value.get(name, MISSING)
        return value if value is MISSING else LIBRARY

    return member


def _presence(operand: Closure, name: str) -> Closure:
    def presence(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if type(value) is dict:
            return name in value
        return value if value is MISSING else LIBRARY

    return presence


def _flattened(node: Node, function: str) -> list[Node]:
    """Return the operands of a chain: the order in which ``&&`` and ``||`` are grouped does not change the result."""
    if isinstance(node, Call) and node.function == function:
        return [part for argument in node.arguments for part in _flattened(argument, function)]
    return [node]


def _connective(parts: list[Closure], *, decisive: bool) -> Closure:
    """Return ``||`` (decided by one True) or ``&&`` (decided by one False), even if other operands have no value."""
    neutral = not decisive

    def connective(variables: Variables, scope: Scope) -> Outcome:
        outcome: Outcome = neutral
        for part in parts:
            holds = part(variables, scope)
            if holds is decisive:
                return decisive
            if holds is not neutral and outcome is not LIBRARY:
                outcome = MISSING if holds is MISSING else LIBRARY
        return outcome

    return connective


def _negation(operand: Closure) -> Closure:
    def negation(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if value is True or value is False:
            return not value
        return MISSING if value is MISSING else LIBRARY

    return negation


def _choice(condition: Closure, chosen: Closure, other: Closure) -> Closure:
    def choice(variables: Variables, scope: Scope) -> Outcome:
        holds = condition(variables, scope)
        if holds is True or holds is False:
            return (chosen if holds else other)(variables, scope)
        return MISSING if holds is MISSING else LIBRARY

    return choice


def _unary(operation: Callable[[Value], Outcome], operand: Closure) -> Closure:
    def unary(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        return value if value is MISSING or value is LIBRARY else operation(value)

    return unary


def _binary(operation: Operation, left: Closure, right: Closure) -> Closure:
    def binary(variables: Variables, scope: Scope) -> Outcome:
        first = left(variables, scope)
        if first is LIBRARY:
            return LIBRARY
        second = right(variables, scope)
        if second is LIBRARY:
            return LIBRARY
        if first is MISSING or second is MISSING:
            return MISSING
        return operation(first, second)

    return binary


def _is_text(operand: Closure, text: str, *, is_equal: bool) -> Closure:
    """Return ``operand == text`` or ``operand != text``, the most frequent comparison."""

    def is_text(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if type(value) is str:
            return (value == text) is is_equal
        if value is MISSING or value is LIBRARY:
            return value
        return operations.equal(value, text) if is_equal else operations.unequal(value, text)

    return is_text


def _is_one_of(operand: Closure, texts: frozenset[str]) -> Closure:
    def is_one_of(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if type(value) is str:
            return value in texts
        if value is MISSING:
            return MISSING
        return False if type(value) in SCALARS else LIBRARY

    return is_one_of


def _texts(entries: tuple[Node, ...]) -> frozenset[str]:
    """Return the texts of a literal list; empty if an entry is not a text."""
    texts = [entry.value for entry in entries if isinstance(entry, Constant) and isinstance(entry.value, str)]
    return frozenset(texts) if len(texts) == len(entries) else frozenset()


def _matches(operand: Closure, pattern: str) -> Closure:
    try:
        compiled = compile_pattern(pattern, MAX_PATTERN_BYTES)
    except PatternError:
        return _constant(LIBRARY)

    def matches(variables: Variables, scope: Scope) -> Outcome:
        value = operand(variables, scope)
        if type(value) is str:
            return compiled.matches(value)
        return MISSING if value is MISSING or value is None else LIBRARY

    return matches


def _list(parts: list[Closure]) -> Closure:
    def written_list(variables: Variables, scope: Scope) -> Outcome:
        entries = [part(variables, scope) for part in parts]
        if LIBRARY in entries:
            return LIBRARY
        return MISSING if MISSING in entries else entries  # type: ignore[return-value]  # all are values now

    return written_list


def _macro(macro: Macro, scope: frozenset[str]) -> Closure:
    source, inner = _translated(macro.range, scope), scope | {macro.variable}
    body = [_translated(part, inner) for part in macro.body]
    match macro.kind, body:
        case "exists" | "all" as kind, [condition]:
            return _quantifier(source, macro.variable, condition, decisive=kind == "exists")
        case "filter", [condition]:
            return _comprehension(source, macro.variable, condition, None)
        case "map", [transformation]:
            return _comprehension(source, macro.variable, None, transformation)
        case "map", [condition, transformation]:
            return _comprehension(source, macro.variable, condition, transformation)
    return _constant(LIBRARY)


def _quantifier(source: Closure, name: str, condition: Closure, *, decisive: bool) -> Closure:
    def quantifier(variables: Variables, scope: Scope) -> Outcome:
        entries = source(variables, scope)
        if type(entries) is not list and type(entries) is not dict:  # a macro over a map iterates over the keys
            return MISSING if entries is MISSING else LIBRARY
        outcome: Outcome = not decisive
        inner = {**scope}
        for inner[name] in entries:
            holds = condition(variables, inner)
            if holds is decisive:
                return decisive
            if holds is not True and holds is not False and outcome is not LIBRARY:
                outcome = MISSING if holds is MISSING else LIBRARY
        return outcome

    return quantifier


def _comprehension(source: Closure, name: str, condition: Closure | None, transformation: Closure | None) -> Closure:
    """Return ``filter`` or ``map``. If one entry has no value, the whole list has no value."""

    def comprehension(variables: Variables, scope: Scope) -> Outcome:
        entries = source(variables, scope)
        if type(entries) is not list:  # the library orders the keys of a map in its own way
            return MISSING if entries is MISSING else LIBRARY
        values: list[CelValue] = []
        is_missing = False
        inner = {**scope}
        for inner[name] in entries:
            is_taken = condition(variables, inner) if condition else True
            value = transformation(variables, inner) if transformation and is_taken is True else inner[name]
            if value is MISSING or is_taken is MISSING:
                is_missing = True
            elif value is LIBRARY or (is_taken is not True and is_taken is not False):
                return LIBRARY
            elif is_taken:
                values.append(value)  # type: ignore[arg-type]  # a duration is not an entry of a record
        return MISSING if is_missing else values

    return comprehension
