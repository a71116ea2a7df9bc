"""Evaluates macros over long lists in pieces, so that no number of entries can change what a rule decides.

The library stops an evaluation at 10,000 iterations. The time and memory of its ``filter`` and ``map`` grow with the
square of the number of entries, to 8 s and 1.5 GB for 9,900 entries. So a server could prevent a rule from failing by
sending many entries. Here, each macro is evaluated on pieces of its list: ``exists`` is true if it is true on one
piece, ``all`` if it is true on every piece, the lists of ``filter`` and ``map`` are joined, and the counts of
``exists_one`` are added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.cel_cost import record_path
from verifywise_mlflow.compliance.rules.cel_tree import Literals, Macro, MacroKind, Node, Tree, children, nodes
from verifywise_mlflow.compliance.rules.cel_variables import Activation, CelValue, environment
from verifywise_mlflow.compliance.rules.field_paths import Path, value_at

MAX_ITERATIONS: Final = 9_000
"""The maximum number of iterations of one evaluation, below the library's own limit."""
MAX_COPIED_ENTRIES: Final = 500
"""The maximum number of entries of one piece for ``filter`` and ``map``, which take 30 ms and 5 MB for 500 entries."""

_PIECE = "@piece"
"""The variable whose value is a piece. No expression of a rule can name it."""

# The library's messages for missing evidence; it has no other way to signal it. Only the beginning of a message is
# compared: no value of the record can appear there. The tests pin these messages.
_MISSING_EVIDENCE = re.compile(
    r"""
      UNKNOWN:\ No\ value\ with\ name\          # a field that was left out
    | NOT_FOUND:\ Key\ not\ found\ in\ map      # a member that the field's value lacks
    | UNKNOWN:\ Index\ error:                   # a list that is shorter
    | UNKNOWN:\ No\ matching\ overloads\ found\ :\ [^(]*\([^)]*\bnull(_type)?\b   # a member that is null
    """,
    re.VERBOSE,
)


class CelEvaluationError(Exception):
    """The expression cannot be evaluated on this record. The reason is not missing evidence."""


class MissingEvidenceError(Exception):
    """The value depends on evidence that the record lacks. The message is the library's."""


@dataclass(frozen=True, slots=True)
class _Macro:
    kind: MacroKind
    variable: str
    """The variable that replaces the macro in the rest of the expression."""
    source: Path
    """The macro's range: a value of the record, or the variable of another macro."""
    expression: cel.Expression
    """The macro as an expression whose range is ``_PIECE``."""
    iterations: int
    """The number of iterations per entry, including the iterations of nested macros."""

    @property
    def max_entries(self) -> int:
        """The maximum number of entries of one piece."""
        by_iterations = max(1, MAX_ITERATIONS // self.iterations)
        return min(by_iterations, MAX_COPIED_ENTRIES) if self.kind in ("filter", "map") else by_iterations


class PiecewiseExpression:
    """An expression whose macros over values of the record are separate expressions."""

    def __init__(self, expression: cel.Expression, tree: Tree) -> None:
        self._whole = self._rest = expression
        self._macros: list[_Macro] = []
        variables: dict[int, str] = {}
        for macro in _outer_macros(tree):
            variable = variables.get(macro.range.id)
            source = (variable,) if variable else record_path(macro.range)
            if source is not None:  # otherwise the range is a literal list
                variables[macro.id] = variable = f"@macro{len(variables)}"
                compiled = environment().deserialize(tree.macro_over(macro, _PIECE))
                self._macros.append(_Macro(macro.kind, variable, source, compiled, 1 + _inner_iterations(macro)))
        if variables:
            self._rest = environment().deserialize(tree.with_names(variables))

    def evaluate(self, activation: Activation) -> CelValue:
        """Return the value.

        Raises:
            MissingEvidenceError: the value depends on evidence that the record lacks.
            CelEvaluationError: the expression cannot be evaluated for another reason.
        """
        if not self._macros or self._is_short(activation.variables):
            return _evaluated(self._whole, activation.cel)
        variables, errors = dict(activation.variables), dict[str, CelEvaluationError]()
        for macro in self._macros:
            exists, entries = value_at(macro.source, variables)
            try:
                if exists:
                    variables[macro.variable] = _value(macro, entries, variables)
            except MissingEvidenceError:
                pass  # the variable is left out, like the variable of a field without a value
            except CelEvaluationError as raised:
                errors[macro.variable] = raised
        try:
            return _evaluated(self._rest, environment().Activation(variables))
        except MissingEvidenceError as missing:
            for variable, error in errors.items():
                if f'"{variable}"' in str(missing):
                    raise error from None
            raise

    def _is_short(self, variables: Mapping[str, CelValue]) -> bool:
        """Return whether the lists are so short that the library may evaluate the expression as a whole."""
        iterations = 0
        for macro in self._macros:
            entries = value_at(macro.source, variables)[1]
            size = len(entries) if isinstance(entries, list | dict) else 0
            if size > macro.max_entries:
                return False
            iterations += size * macro.iterations
        return iterations <= MAX_ITERATIONS


def _evaluated(expression: cel.Expression, activation: cel.Activation) -> CelValue:
    try:
        result = expression.eval(activation)
        value = result.value()
        if isinstance(value, bool):  # the common case
            return value
        if result.type() != cel.Type.ERROR:
            return _plain(value)
    except (RuntimeError, ValueError, OverflowError) as error:  # raised for values that it cannot convert
        raise CelEvaluationError(str(error)) from error
    message = str(value)
    if _MISSING_EVIDENCE.match(message):
        raise MissingEvidenceError(message)
    raise CelEvaluationError(message)


def _plain(value: object) -> CelValue:
    """Convert what the library returns, whose lists and maps hold accessors, to plain Python values."""
    inner: Callable[[], object] | None = getattr(value, "value", None)
    if inner is not None and not isinstance(value, dict):
        return _plain(inner())
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value  # type: ignore[return-value]  # one of the library's scalars


def _value(macro: _Macro, entries: object, variables: Mapping[str, CelValue]) -> CelValue:
    def value_of(piece: CelValue) -> CelValue:
        return _evaluated(macro.expression, environment().Activation({**variables, _PIECE: piece}))

    pieces = _pieces(entries, macro.max_entries)
    if macro.kind in ("exists", "all"):
        return _decided(macro.kind == "exists", map(value_of, pieces))
    values = list(map(value_of, pieces))
    if macro.kind == "exists_one":
        return sum(value for value in values if isinstance(value, int)) == 1
    return [entry for value in values if isinstance(value, list) for entry in value]


def _decided(decisive: bool, values: Iterator[CelValue]) -> CelValue:
    """Return the decisive value if a piece has it. An error of a piece counts only if no other piece decides."""
    first_error: MissingEvidenceError | CelEvaluationError | None = None
    while True:
        try:
            if next(values) is decisive:
                return decisive
        except StopIteration:
            break
        except (MissingEvidenceError, CelEvaluationError) as error:
            if first_error is None or isinstance(first_error, MissingEvidenceError):
                first_error = error
    if first_error:
        raise first_error
    return not decisive


def _pieces(entries: object, size: int) -> Sequence[CelValue]:
    if isinstance(entries, dict):
        entries = list(entries)  # a macro over a map runs over its keys
    if not isinstance(entries, list) or len(entries) <= size:
        return [entries]  # type: ignore[list-item]  # the type is wrong: the library reports it
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def _outer_macros(tree: Tree) -> Iterator[Macro]:
    """Yield the macros that are not nested in another macro. A macro that is the range of another macro comes first."""
    return _macros_below(tree.root)


def _macros_below(node: Node) -> Iterator[Macro]:
    for child in (node.range,) if isinstance(node, Macro) else children(node):
        yield from _macros_below(child)
    if isinstance(node, Macro):
        yield node


def _inner_iterations(macro: Macro) -> int:
    return sum(
        len(node.range.entries)
        for part in macro.body
        for node in nodes(part)
        if isinstance(node, Macro) and isinstance(node.range, Literals)
    )
