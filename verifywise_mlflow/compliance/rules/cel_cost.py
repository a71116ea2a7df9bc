"""Refuses expressions whose memory or time grows faster than the record that they read.

CEL has no loops. But a macro over the result of another macro, or inside another macro, multiplies the sizes, and ``+``
can double a text or list with each step. So these rules apply:

* a macro iterates over a value of the record, a literal list, or a ``filter`` of such a value or list;
* a macro inside another macro iterates over a literal list;
* ``+`` adds numbers, times and durations; it does not join texts or lists;
* the pattern of ``matches`` is a literal. So the pattern is checked once, and no customer's text is compiled.

The length of an expression is limited. With these rules, its cost is linear in the size of the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from verifywise_mlflow.compliance.rules.cel_tree import (
    Call,
    Constant,
    Literals,
    Macro,
    Member,
    Name,
    Node,
    Tree,
    children,
    nodes,
)
from verifywise_mlflow.compliance.rules.field_paths import STATED, VARIABLES, Path

MAX_EXPRESSION_LENGTH: Final = 4_000
"""The maximum length of an expression, in characters: more than three times the longest expression of the default
policy."""

_RECORD_VALUES = frozenset((STATED, *VARIABLES))


def cost_problems(tree: Tree) -> Iterator[str]:
    """Yield, as clauses, the reasons why an expression is refused, and what to write instead."""
    yield from _macro_problems(tree.root, is_inside=False)
    for node in nodes(tree.root):
        if isinstance(node, Call) and node.function == "_+_" and not tree.is_number_or_time(node):
            yield (
                "`+` may only add numbers, times and durations, since joined texts and lists can grow without bound: "
                "quote each text by itself in a sentence, and write double(x) + double(y) if the values are numbers"
            )
        if isinstance(node, Call) and node.function == "matches" and not _is_text(node.arguments[-1]):
            yield "the pattern of matches() may not come from a value: write the pattern itself"


def may_be_costly(tree: Tree) -> bool:
    """Return whether an evaluation may cost more than reading the values that the expression names."""
    return any(
        isinstance(node, Macro) or (isinstance(node, Call) and node.function == "matches") for node in nodes(tree.root)
    )


def patterns(tree: Tree) -> Iterator[str]:
    """Yield the patterns of ``matches``."""
    for node in nodes(tree.root):
        if (
            isinstance(node, Call)
            and node.function == "matches"
            and isinstance(pattern := node.arguments[-1], Constant)
        ):
            yield str(pattern.value)


def record_path(node: Node) -> Path | None:
    """Return the path of a value of the record; None for any other expression."""
    match node:
        case Name(name=name) if name in _RECORD_VALUES:
            return (name,)
        case Member(operand=operand, name=name):
            path = record_path(operand)
            return None if path is None else (*path, name)
        case Call(function="_[_]", arguments=(operand, Constant(value=str(name)))):
            path = record_path(operand)
            return None if path is None else (*path, name)
    return None


def _macro_problems(node: Node, *, is_inside: bool) -> Iterator[str]:
    if isinstance(node, Macro):
        is_written = isinstance(node.range, Literals)
        if is_inside and not is_written:
            yield (
                f'the macro {node.kind}() inside another one may only run over a written list, such as ["a", "b"], '
                "since the sizes of both would multiply: write two conditions"
            )
        elif not is_inside and not is_written and not _is_value_or_filter(node.range):
            yield (
                f"the macro {node.kind}() may not run over the result of another expression, which can grow without "
                "bound: write it over a value of the record, a written list, or a filter of one"
            )
        yield from _macro_problems(node.range, is_inside=is_inside)
        for part in node.body:
            yield from _macro_problems(part, is_inside=True)
        return
    for child in children(node):
        yield from _macro_problems(child, is_inside=is_inside)


def _is_value_or_filter(node: Node) -> bool:
    if isinstance(node, Macro) and node.kind == "filter":
        return isinstance(node.range, Literals) or _is_value_or_filter(node.range)
    return record_path(node) is not None


def _is_text(node: Node) -> bool:
    return isinstance(node, Constant) and isinstance(node.value, str)
