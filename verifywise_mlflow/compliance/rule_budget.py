"""Decides which of the tenants' own rules this process may evaluate: rules that provably cost little on a record.

A rule with macros or ``matches`` may cost more than reading the values that it names. Such a rule is evaluated in this
process if Python functions can decide it, and if the upper bound of their cost is within the record's remaining budget.
Other rules are evaluated in a process with limits: see services/sandboxed_evaluation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.compliance.rules.cel_bound import CostBound, Size, measured_size
from verifywise_mlflow.compliance.rules.cel_expression import CelExpression, ValueExpression
from verifywise_mlflow.compliance.rules.cel_variables import CelValue
from verifywise_mlflow.compliance.rules.field_paths import Path, value_at
from verifywise_mlflow.compliance.rules.rule import Rule

MAX_STEPS: Final = 50_000
"""The budget of all tenants' own rules on one record, in steps of a tenth of a microsecond: 5 ms, including the time to
compute the bounds."""


@dataclass(frozen=True, slots=True)
class RuleCost:
    """The expressions of one rule that may be costly, and the upper bounds of their costs."""

    conditions: tuple[CelExpression, ...]
    """The conditions that may be costly."""
    values: tuple[ValueExpression, ...]
    """The values in sentences that may be costly."""
    bounds: tuple[CostBound, ...]

    @classmethod
    def of(cls, rule: Rule) -> RuleCost:
        """Return the costly expressions of a rule."""
        values = {
            value.text: value
            for templates in rule.reason_templates.values()
            for template in templates
            for value in template.placeholders
            if value.may_be_costly
        }
        conditions = tuple(expression for expression in rule.expressions.values() if expression.may_be_costly)
        return cls(conditions, tuple(values.values()), tuple(part.bound for part in (*conditions, *values.values())))


class RecordBudget:
    """The remaining budget of the tenants' own rules on one record."""

    __slots__ = ("_sizes", "_steps_left", "_variables")

    def __init__(self, variables: Mapping[str, CelValue]) -> None:
        """Store the variables of the record."""
        self._variables, self._steps_left = variables, float(MAX_STEPS)
        self._sizes: dict[Path, Size] = {}

    def take(self, bounds: Iterable[CostBound]) -> bool:
        """Return whether expressions with these bounds may be evaluated. If they may, deduct the cost."""
        steps = sum(bound.steps(self._size) for bound in bounds)
        if steps > self._steps_left:
            return False
        self._steps_left -= steps
        return True

    def _size(self, path: Path) -> Size:
        """Return the size of a value. Examining a part of the value uses one step of the budget."""
        size = self._sizes.get(path)
        if size is None:
            exists, value = value_at(path, self._variables)
            size = self._sizes[path] = measured_size(value, self._steps_left) if exists else Size()
            self._steps_left -= size.values
        return size
