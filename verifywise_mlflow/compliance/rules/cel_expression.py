"""CEL expressions over a record: compiled once, evaluated per record under three-valued logic.

A condition is true, false or unknown; a value expression, used in the sentences of a rule, gives any value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.cel_variables import CelValue, environment
from verifywise_mlflow.compliance.rules.field_paths import STATED, THRESHOLDS, TODAY, Path, dotted, paths_in
from verifywise_mlflow.normalizer.record import FIELDS


class CelExpressionError(ValueError):
    """The text is not an expression over a record. The message says what is wrong and where in the text."""


class CelEvaluationError(Exception):
    """The expression cannot be evaluated on this record, for another reason than missing evidence."""


# The library's messages for missing evidence; it has no other way to signal it. Only the beginning is compared, where
# no value of the record can appear. The tests pin these messages.
_MISSING_EVIDENCE = re.compile(
    r"""
      UNKNOWN:\ No\ value\ with\ name\          # a field that was left out
    | NOT_FOUND:\ Key\ not\ found\ in\ map      # a member that the field's value lacks
    | UNKNOWN:\ Index\ error:                   # a list that is shorter
    | UNKNOWN:\ No\ matching\ overloads\ found\ :\ [^(]*\([^)]*\bnull(_type)?\b   # a member that is null
    """,
    re.VERBOSE,
)

_ITERATION_LIMIT_EXCEEDED = "Iteration budget exceeded"
"""The library's own limit on the cost of one evaluation. It cannot be configured from here."""

_COMPILER_ERROR = re.compile(
    r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*?)(?: \[INVALID_ARGUMENT\])?$", re.M
)
_CONTAINER = " (in container '')"


@dataclass(frozen=True, slots=True)
class CelExpression:
    """A compiled condition, and the values of a record that it reads."""

    text: str
    paths: tuple[Path, ...]
    """The values it names, in order of appearance: ``("owner",)``, ``("runtime_environment", "reproducible")``."""
    _compiled: cel.Expression

    @property
    def uses_today(self) -> bool:
        """Whether the result may differ from one day to the next."""
        return (TODAY,) in self.paths

    @property
    def thresholds(self) -> tuple[str, ...]:
        """The names of the thresholds that it compares with."""
        return tuple(path[1] for path in self.paths if path[0] == THRESHOLDS)

    def holds(self, activation: cel.Activation) -> bool | None:
        """Return whether the condition is true, or None where that depends on evidence that the record lacks.

        Raises:
            CelEvaluationError: a value has an unexpected type, or the result is not a boolean.
        """
        try:
            result = self._compiled.eval(activation)
            value: CelValue = result.value()
        except (RuntimeError, ValueError, OverflowError) as error:  # how the library rejects what it cannot convert
            if _ITERATION_LIMIT_EXCEEDED in str(error):
                reason = "its macros iterate over 10,000 elements or more in total and were stopped there"
                raise CelEvaluationError(reason) from error
            raise CelEvaluationError(str(error)) from error
        if value is None or isinstance(value, bool):
            return value
        if result.type() != cel.Type.ERROR:
            raise CelEvaluationError(f"the result is of type {result.type().name()}, neither true nor false")
        message = str(value)
        if _MISSING_EVIDENCE.match(message):
            return None
        raise CelEvaluationError(message)


@dataclass(frozen=True, slots=True)
class ValueExpression:
    """A compiled expression whose value a sentence quotes."""

    text: str
    paths: tuple[Path, ...]
    _compiled: cel.Expression

    def value(self, activation: cel.Activation) -> CelValue:
        """Return the value, or None where the record lacks it or it cannot be computed: a sentence never fails."""
        try:
            result = self._compiled.eval(activation)
            return None if result.type() == cel.Type.ERROR else _plain(result.value())
        except (RuntimeError, ValueError, OverflowError):
            return None


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> CelExpression:
    """Return the condition that the text stands for.

    Raises:
        CelExpressionError: a syntax error, a field that no record has, a wrong type, or a result that is not a boolean.
    """
    expression, paths = _compile(text)
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise CelExpressionError(f"it gives a {expression.return_type().name()}; write one that is true or false")
    return CelExpression(text, paths, expression)


@lru_cache(maxsize=1024)
def compile_value(text: str) -> ValueExpression:
    """Return the value expression that the text stands for.

    Raises:
        CelExpressionError: a syntax error, a field that no record has, or a wrong type.
    """
    expression, paths = _compile(text)
    return ValueExpression(text, paths, expression)


def _compile(text: str) -> tuple[cel.Expression, tuple[Path, ...]]:
    try:
        expression = environment().compile(text)
    except RuntimeError as error:
        raise CelExpressionError(_compiler_errors(str(error))) from error
    paths = paths_in(text)
    for path in paths:
        # The members of these maps depend on what the whole policy reads, so an expression may only read single
        # members, which the compiler cannot check.
        if path[0] in (STATED, THRESHOLDS) and len(path) != 2:
            raise CelExpressionError(f"write {path[0]} with the name of one of its members: {path[0]}.NAME")
        if path[0] == STATED and path[1] not in FIELDS:
            raise CelExpressionError(f"undeclared reference to '{dotted(path)}'")
    return expression, paths


def _compiler_errors(message: str) -> str:
    errors = [
        f"{text.removesuffix(_CONTAINER)} (line {line}, column {column} of the expression)"
        for line, column, text in _COMPILER_ERROR.findall(message)
    ]
    return "; ".join(errors) or message


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
