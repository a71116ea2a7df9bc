"""A CEL expression over a record: compiled once, true, false or unknown each time it is evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.cel_variables import Shown, environment
from verifywise_mlflow.compliance.rules.field_paths import STATED, THRESHOLDS, TODAY, Path, dotted, paths_in
from verifywise_mlflow.normalizer.record import FIELDS


class ExpressionError(ValueError):
    """The text is no expression over a record. The message says what is wrong and where in the text."""


class EvaluationError(Exception):
    """The expression cannot be evaluated on this record, and not for want of evidence."""


# What the library says of evidence that is not there; it has no other sign for it. Only the beginning is compared, in
# which no value of the record can stand. The tests hold the library to these words.
_MISSING = re.compile(
    r"""
      UNKNOWN:\ No\ value\ with\ name\          # a field that was left out
    | NOT_FOUND:\ Key\ not\ found\ in\ map      # a member that the field's value lacks
    | UNKNOWN:\ Index\ error:                   # a list that is shorter
    | UNKNOWN:\ No\ matching\ overloads\ found\ :\ [^(]*\([^)]*\bnull(_type)?\b   # a member that is null
    """,
    re.VERBOSE,
)

_TOO_MANY = "Iteration budget exceeded"
"""The library's own bound on what one evaluation may cost. It cannot be set from here."""

_COMPLAINT = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*?)(?: \[INVALID_ARGUMENT\])?$", re.M)
_CONTAINER = " (in container '')"


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, and what of a record it looks at."""

    text: str
    paths: tuple[Path, ...]
    """The values it names, in its order: ``("owner",)``, ``("runtime_environment", "reproducible")``."""
    _compiled: cel.Expression

    @property
    def uses_today(self) -> bool:
        """Whether what it says may differ from one day to the next."""
        return (TODAY,) in self.paths

    @property
    def thresholds(self) -> tuple[str, ...]:
        """The figures that it compares with."""
        return tuple(path[1] for path in self.paths if path[0] == THRESHOLDS)

    def holds(self, activation: cel.Activation) -> bool | None:
        """Return whether it is true, or None where that hangs on evidence that the record does not have.

        Raises:
            EvaluationError: a value has an unexpected type, or the result is no truth value.
        """
        try:
            result = self._compiled.eval(activation)
            value: Shown = result.value()
        except (RuntimeError, ValueError, OverflowError) as error:  # how the library refuses what it cannot convert
            if _TOO_MANY in str(error):
                told = "its macros go through 10,000 elements or more, taken together, and were stopped there"
                raise EvaluationError(told) from error
            raise EvaluationError(str(error)) from error
        if value is None or isinstance(value, bool):
            return value
        if result.type() != cel.Type.ERROR:
            raise EvaluationError(f"the result is of type {result.type().name()}, neither true nor false")
        message = str(value)
        if _MISSING.match(message):
            return None
        raise EvaluationError(message)


@lru_cache(maxsize=1024)
def compiled(text: str) -> Expression:
    """Return the expression that the text stands for.

    Raises:
        ExpressionError: a syntax error, a field that no record has, a wrong type, or a result that is no truth value.
    """
    try:
        expression = environment().compile(text)
    except RuntimeError as error:
        raise ExpressionError(_complaint(str(error))) from error
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise ExpressionError(f"it gives a {expression.return_type().name()}; write one that is true or false")
    paths = paths_in(text)
    for path in paths:
        # What such a map holds hangs on what the whole policy looks at, so only its members can be asked for; which
        # there are is beyond the compiler's check.
        if path[0] in (STATED, THRESHOLDS) and len(path) != 2:
            raise ExpressionError(f"write {path[0]} with the name of one of its members: {path[0]}.NAME")
        if path[0] == STATED and path[1] not in FIELDS:
            raise ExpressionError(f"undeclared reference to '{dotted(path)}'")
    return Expression(text, paths, expression)


def _complaint(message: str) -> str:
    complaints = [
        f"{what.removesuffix(_CONTAINER)} (line {line}, column {column} of the expression)"
        for line, column, what in _COMPLAINT.findall(message)
    ]
    return "; ".join(complaints) or message
