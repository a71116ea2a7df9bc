"""CEL expressions over a record: compiled once, evaluated per record under three-valued logic.

A condition is true, false or unknown; a value expression, used in the sentences of a rule, gives any value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel

from verifywise_mlflow.compliance.rules.cel_cost import MAX_EXPRESSION_LENGTH, cost_problems, may_be_costly, patterns
from verifywise_mlflow.compliance.rules.cel_pieces import CelEvaluationError, MissingEvidenceError, PiecewiseExpression
from verifywise_mlflow.compliance.rules.cel_tree import Tree
from verifywise_mlflow.compliance.rules.cel_variables import ORIGIN_MEMBERS, Activation, CelValue, environment
from verifywise_mlflow.compliance.rules.field_paths import ORIGINS, STATED, THRESHOLDS, TODAY, Path, dotted, paths_in
from verifywise_mlflow.normalizer.record import FIELDS

__all__ = [
    "CelEvaluationError",
    "CelExpression",
    "CelExpressionError",
    "ValueExpression",
    "compile_expression",
    "compile_value",
]


class CelExpressionError(ValueError):
    """The text is not an expression over a record. The message says what is wrong and where in the text."""


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
    may_be_costly: bool
    """Whether an evaluation may cost more than reading the values that it names."""
    _compiled: PiecewiseExpression

    @property
    def uses_today(self) -> bool:
        """Whether the result may differ from one day to the next."""
        return (TODAY,) in self.paths

    @property
    def thresholds(self) -> tuple[str, ...]:
        """The names of the thresholds that it compares with."""
        return tuple(path[1] for path in self.paths if path[0] == THRESHOLDS)

    def holds(self, activation: Activation) -> bool | None:
        """Return whether the condition is true, or None where that depends on evidence that the record lacks.

        Raises:
            CelEvaluationError: a value has an unexpected type, or the result is not a boolean.
        """
        try:
            value = self._compiled.evaluate(activation)
        except MissingEvidenceError:
            return None
        if value is None or isinstance(value, bool):
            return value
        raise CelEvaluationError(f"the result is of type {type(value).__name__}, neither true nor false")


@dataclass(frozen=True, slots=True)
class ValueExpression:
    """A compiled expression whose value a sentence quotes."""

    text: str
    paths: tuple[Path, ...]
    may_be_costly: bool
    _compiled: PiecewiseExpression

    def value(self, activation: Activation) -> CelValue:
        """Return the value, or None where the record lacks it or it cannot be computed: a sentence never fails."""
        try:
            return self._compiled.evaluate(activation)
        except (MissingEvidenceError, CelEvaluationError):
            return None


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> CelExpression:
    """Return the condition that the text stands for.

    Raises:
        CelExpressionError: a syntax error, a field that no record has, a wrong type, a cost that could grow without
            bound, or a result that is not a boolean.
    """
    expression, tree, paths = _compile(text)
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise CelExpressionError(f"it gives a {expression.return_type().name()}; write one that is true or false")
    return CelExpression(text, paths, may_be_costly(tree), PiecewiseExpression(expression, tree))


@lru_cache(maxsize=1024)
def compile_value(text: str) -> ValueExpression:
    """Return the value expression that the text stands for.

    Raises:
        CelExpressionError: a syntax error, a field that no record has, a wrong type, or a cost that could grow without
            bound.
    """
    expression, tree, paths = _compile(text)
    return ValueExpression(text, paths, may_be_costly(tree), PiecewiseExpression(expression, tree))


def _compile(text: str) -> tuple[cel.Expression, Tree, tuple[Path, ...]]:
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise CelExpressionError(
            f"it has {len(text):,} characters, expected at most {MAX_EXPRESSION_LENGTH:,}: divide the rule"
        )
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
        if path[0] == ORIGINS and (len(path) != 3 or path[2] not in ORIGIN_MEMBERS):
            raise CelExpressionError(f"write origins.FIELD.MEMBER, with one of the members {', '.join(ORIGIN_MEMBERS)}")
        if path[0] in (STATED, ORIGINS) and path[1] not in FIELDS:
            raise CelExpressionError(f"undeclared reference to '{dotted(path)}'")
    tree = Tree(expression.serialize())
    if problems := list(dict.fromkeys(cost_problems(tree))):
        raise CelExpressionError("; ".join(problems))
    _refuse_invalid_patterns(tree)
    return expression, tree, paths


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
