"""Finds the unread objects that a verdict depends on.

An unread object makes a rule undecided in two cases. In the first case, the deciding expression names a field that
depends on the object. In the second case, the outcome differs if ``unread`` does not contain the object. This module
takes time only for records with an unread object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, CelExpression
from verifywise_mlflow.compliance.rules.cel_variables import Activation, CelValue
from verifywise_mlflow.compliance.rules.field_paths import ORIGINS, STATED, UNREAD, field_of
from verifywise_mlflow.normalizer.unread_object import ObjectKind, UnreadObject


class UnreadEvidence:
    """The objects of one record that could not be read, and the evidence that the record has without these objects."""

    def __init__(self, objects: Sequence[UnreadObject], activation: Activation) -> None:
        self._objects, self._activation = objects, activation
        self._kinds_by_field: dict[str, list[ObjectKind]] = {}
        for unread in objects:
            for field in unread.fields:
                self._kinds_by_field.setdefault(field, []).append(unread.kind)

    def behind_missing_evidence(self, decisive: CelExpression) -> tuple[UnreadObject, ...]:
        """Return the unread objects that make an expression unknown, or false although it must be true."""
        kinds = {kind for path in decisive.paths for kind in self._kinds_by_field.get(field_of(path), ())}
        kinds.update(self._kinds_named(decisive))
        return self._of_kinds(kinds)

    def behind_scope(self, applies: CelExpression) -> tuple[UnreadObject, ...]:
        """Return the unread objects that make a rule not apply. The rule might apply once the objects are read."""
        kinds = set(self._kinds_named(applies))
        unread = {field for path in applies.paths if (field := field_of(path)) in self._kinds_by_field}
        if unread and self._result(applies, self._as_if_unknown(applies, unread)) is not False:
            kinds.update(kind for field in unread for kind in self._kinds_by_field[field])
        return self._of_kinds(kinds)

    def _as_if_unknown(self, expression: CelExpression, fields: Collection[str]) -> dict[str, CelValue | None]:
        """Return variables in which the values of these fields are unknown; None for a variable without evidence.

        A collection may lack an entry, so its contents are unknown, too.
        """
        variables = self._activation.variables
        stated = variables[STATED]
        assert isinstance(stated, dict)
        collections = {
            path[0]: None
            for path in expression.paths
            if path[0] not in (STATED, ORIGINS)
            and field_of(path) in fields
            and isinstance(variables.get(path[0]), (list, dict))
        }
        return {STATED: {**stated, **dict.fromkeys(fields, True)}, **collections}

    def _kinds_named(self, expression: CelExpression) -> Iterator[ObjectKind]:
        """Yield the kinds of objects whose membership in ``unread`` decides the expression."""
        if not any(path[0] == UNREAD for path in expression.paths):
            return
        if_read = self._result(expression, {UNREAD: []})
        for unread in self._objects:
            if self._result(expression, {UNREAD: [unread.kind]}) is not if_read:
                yield unread.kind

    def _result(self, expression: CelExpression, changes: Mapping[str, CelValue | None]) -> bool | None:
        # Only the variables that the expression reads: an activation of all takes as long as ten evaluations.
        variables = {**self._activation.variables, **changes}
        read = {name: value for name, *_ in expression.paths if (value := variables.get(name)) is not None}
        try:
            return expression.holds(Activation(read))
        except CelEvaluationError:
            return None

    def _of_kinds(self, kinds: set[ObjectKind]) -> tuple[UnreadObject, ...]:
        return tuple(unread for unread in self._objects if unread.kind in kinds)
