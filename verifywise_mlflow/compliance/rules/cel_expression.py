"""CEL expressions over a record: compiled at most once, evaluated per record under three-valued logic.

A condition is true, false or unknown. A value expression, used in the sentences of a rule, has a value of any type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Literal

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.cel_bound import CostBound
from verifywise_mlflow.compliance.rules.cel_closures import NO_SCOPE, Closure, Variables, closure_of
from verifywise_mlflow.compliance.rules.cel_cost import MAX_EXPRESSION_LENGTH, cost_problems, may_be_costly, patterns
from verifywise_mlflow.compliance.rules.cel_operations import LIBRARY, MISSING, SCALARS, Undecided
from verifywise_mlflow.compliance.rules.cel_pieces import CelEvaluationError, MissingEvidenceError, PiecewiseExpression
from verifywise_mlflow.compliance.rules.cel_tree import Tree
from verifywise_mlflow.compliance.rules.cel_variables import ORIGIN_MEMBERS, Activation, CelValue, environment
from verifywise_mlflow.compliance.rules.field_paths import (
    FINDINGS_ABOUT,
    FINDINGS_OF_KIND,
    ORIGINS,
    STATED,
    THRESHOLDS,
    TODAY,
    Path,
    dotted,
    paths_in,
)
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.normalizer.record import FIELDS

__all__ = [
    "CelEvaluationError",
    "CelExpression",
    "CelExpressionError",
    "ValueExpression",
    "compile_expression",
    "compile_value",
    "condition_of",
    "value_of",
]


class CelExpressionError(ValueError):
    """The text is not an expression over a record. The message states what is wrong, and where in the text."""


_COMPILER_ERROR = re.compile(
    r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*?)(?: \[INVALID_ARGUMENT\])?$", re.M
)
_SENTENCE_TYPES = frozenset({*SCALARS, datetime})
_CONTAINER = " (in container '')"


@dataclass(frozen=True)
class _LazyExpression:
    """An expression that is compiled at its first evaluation: most processes evaluate few of their rules."""

    text: str

    def __getstate__(self) -> dict[str, object]:
        """Leave out the compiled form, which cannot be sent: another process compiles the text again."""
        return {"text": self.text}

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The paths in the order of the text: ``("owner",)``, ``("runtime_environment", "reproducible")``."""
        return paths_in(self.text)

    @property
    def may_be_costly(self) -> bool:
        """Whether an evaluation may cost more than reading the values that it names."""
        return may_be_costly(self._compiled[1])

    @cached_property
    def _compiled(self) -> tuple[cel.Expression, Tree]:
        return _compile(self.text, self.paths)

    @cached_property
    def closure(self) -> Closure:
        """The expression as a Python function. Its outcome may be that the library must evaluate the expression."""
        return closure_of(self._compiled[1].root)

    @cached_property
    def bound(self) -> CostBound:
        """The upper bound of the Python function's cost on a record."""
        return CostBound(self._compiled[1].root)

    @cached_property
    def _in_pieces(self) -> PiecewiseExpression:
        return PiecewiseExpression(*self._compiled)


class CelExpression(_LazyExpression):
    """A condition, and the values of a record that it reads."""

    @property
    def uses_today(self) -> bool:
        """Whether the result may differ from one day to the next."""
        return (TODAY,) in self.paths

    @property
    def thresholds(self) -> tuple[str, ...]:
        """The names of the thresholds that the condition compares with."""
        return tuple(path[1] for path in self.paths if path[0] == THRESHOLDS)

    def validate(self) -> None:
        """Compile it.

        Raises:
            CelExpressionError: a syntax error, a field that no record has, a wrong type, a cost that could grow without
                bound, or a result that is not a boolean.
        """
        return_type = self._compiled[0].return_type()
        if return_type not in (cel.Type.BOOL, cel.Type.DYN):
            raise CelExpressionError(f"it gives a {return_type.name()}; write one that is true or false")

    def holds(self, activation: Activation) -> bool | None:
        """Return whether the condition is true; None if the result depends on evidence that the record lacks.

        Raises:
            CelEvaluationError: a value has an unexpected type, or the result is not a boolean.
        """
        outcome = self.closure(activation.variables, NO_SCOPE)
        if outcome is True or outcome is False:
            return outcome
        return None if outcome is MISSING else self.holds_by_library(activation)

    def holds_by_library(self, activation: Activation) -> bool | None:
        """Return the same result as ``holds``, evaluated by the CEL library alone.

        Raises:
            CelEvaluationError: see ``holds``.
        """
        try:
            value = self._in_pieces.evaluate(activation)
        except MissingEvidenceError:
            return None
        if value is None or isinstance(value, bool):
            return value
        raise CelEvaluationError(f"the result is of type {type(value).__name__}, neither true nor false")


class ValueExpression(_LazyExpression):
    """An expression whose value a sentence quotes."""

    def validate(self) -> None:
        """Compile it.

        Raises:
            CelExpressionError: a syntax error, a field that no record has, a wrong type, or a cost that could grow
                without bound.
        """
        _ = self._compiled

    def value(self, activation: Activation) -> CelValue:
        """Return the value; None if the record lacks it or it cannot be computed. So a sentence never fails."""
        value = self.translated_value(activation.variables)
        return self.value_by_library(activation) if value is LIBRARY else value

    def translated_value(self, variables: Variables) -> CelValue | Literal[Undecided.LIBRARY]:
        """Return the value of the Python function; ``LIBRARY`` if the library must evaluate the expression."""
        outcome = self.closure(variables, NO_SCOPE)
        if outcome is MISSING:
            return None
        # The library orders the members of a map in its own way.
        if type(outcome) in _SENTENCE_TYPES or (type(outcome) is list and SCALARS.issuperset(map(type, outcome))):
            return outcome  # type: ignore[return-value]  # neither a duration nor undecided
        return LIBRARY

    def value_by_library(self, activation: Activation) -> CelValue:
        """Return the same result as ``value``, evaluated by the CEL library alone."""
        try:
            return self._in_pieces.evaluate(activation)
        except (MissingEvidenceError, CelEvaluationError):
            return None


condition_of = lru_cache(maxsize=1024)(CelExpression)
"""Returns the condition of a text without validating it."""
value_of = lru_cache(maxsize=1024)(ValueExpression)
"""Returns the value expression of a text without validating it."""


def compile_expression(text: str) -> CelExpression:
    """Return the condition of a text; raise ``CelExpressionError`` unless it is valid."""
    expression = condition_of(text)
    expression.validate()
    return expression


def compile_value(text: str) -> ValueExpression:
    """Return the value expression of a text; raise ``CelExpressionError`` unless it is valid."""
    expression = value_of(text)
    expression.validate()
    return expression


def _compile(text: str, paths: tuple[Path, ...]) -> tuple[cel.Expression, Tree]:
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise CelExpressionError(
            f"it has {len(text):,} characters, expected at most {MAX_EXPRESSION_LENGTH:,}: divide the rule"
        )
    try:
        expression = environment().compile(text)
    except RuntimeError as error:
        raise CelExpressionError(_compiler_errors(str(error))) from error
    for path in paths:
        # The members of these maps depend on what the whole policy reads, and the compiler cannot check them. So an
        # expression may only read single members.
        if path[0] in (STATED, THRESHOLDS) and len(path) != 2:
            raise CelExpressionError(f"write {path[0]} with the name of one of its members: {path[0]}.NAME")
        if path[0] == ORIGINS and (len(path) != 3 or path[2] not in ORIGIN_MEMBERS):
            raise CelExpressionError(f"write origins.FIELD.MEMBER, with one of the members {', '.join(ORIGIN_MEMBERS)}")
        if path[0] == FINDINGS_OF_KIND and (len(path) != 2 or path[1] not in FINDING_KINDS):
            raise CelExpressionError(
                f'write findings_of_kind["KIND"], with one of the kinds {", ".join(FINDING_KINDS)}'
            )
        if path[0] == FINDINGS_ABOUT and len(path) != 2:
            raise CelExpressionError("write findings_about with the name of a field: findings_about.FIELD")
        if path[0] in (STATED, ORIGINS, FINDINGS_ABOUT) and path[1] not in FIELDS:
            raise CelExpressionError(f"undeclared reference to '{dotted(path)}'")
    tree = Tree(expression.serialize())
    if problems := list(dict.fromkeys(cost_problems(tree))):
        raise CelExpressionError("; ".join(problems))
    _refuse_invalid_patterns(tree)
    return expression, tree


def _refuse_invalid_patterns(tree: Tree) -> None:
    for pattern in patterns(tree):
        result = (
            environment()
            .compile("owner.matches(model_name)")
            .eval(environment().Activation({"owner": "", "model_name": pattern}))
        )
        if result.type() == cel.Type.ERROR:
            raise CelExpressionError(f"the pattern {pattern!r} of matches() is not valid for RE2: {result.value()}")


def _compiler_errors(message: str) -> str:
    errors = [
        f"{text.removesuffix(_CONTAINER)} (line {line}, column {column} of the expression)"
        for line, column, text in _COMPILER_ERROR.findall(message)
    ]
    return "; ".join(errors) or message
