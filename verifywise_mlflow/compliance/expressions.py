"""A CEL expression over a record: compiled once, true, false or unknown each time it is evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel

from verifywise_mlflow.compliance.evidence import Shown, environment
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

_COMPLAINT = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*?)(?: \[INVALID_ARGUMENT\])?$", re.M)
_CONTAINER = " (in container '')"
_STRING_OR_COMMENT = re.compile(r"""[rR]?("{3}[\s\S]*?"{3}|'{3}[\s\S]*?'{3}|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')|//.*""")
_PATH = re.compile(rf"(?<![\w.])(?:stated\.)?((?:{'|'.join(FIELDS)})\b(?:\.\w+\b(?!\s*\())*)")
_STATED = re.compile(r"(?<![\w.])stated\.(\w+)")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, and what of a record it looks at."""

    text: str
    paths: tuple[str, ...]
    """The values it names, in its order: ``owner``, ``runtime_environment.reproducible``."""
    _compiled: cel.Expression

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the record that it names."""
        return tuple(dict.fromkeys(path.partition(".")[0] for path in self.paths))

    def holds(self, activation: cel.Activation) -> bool | None:
        """Return whether it is true, or None where that hangs on evidence that the record does not have.

        Raises:
            EvaluationError: a value has an unexpected type, or the result is no truth value.
        """
        try:
            result = self._compiled.eval(activation)
            value: Shown = result.value()
        except (RuntimeError, ValueError, OverflowError) as error:  # how the library refuses what it cannot convert
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
    code = _STRING_OR_COMMENT.sub('""', text)
    for member in _STATED.findall(code):
        if member not in FIELDS:  # a map's members are beyond the compiler's check
            raise ExpressionError(f"undeclared reference to 'stated.{member}'")
    return Expression(text, tuple(dict.fromkeys(_PATH.findall(code))), expression)


def _complaint(message: str) -> str:
    complaints = [
        f"{what.removesuffix(_CONTAINER)} (line {line}, column {column} of the expression)"
        for line, column, what in _COMPLAINT.findall(message)
    ]
    return "; ".join(complaints) or message
