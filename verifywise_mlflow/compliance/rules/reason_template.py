"""The sentences that a rule states for its outcomes, with the values of a record filled in.

``"The packages {unpinned} have no exact version."`` quotes a named value of the rule, or a field by its path, such as
``{owner}``. Each value is a CEL expression over what the rule itself reads. So a sentence never states more than what
is stored with the verdict. The sentence of a condition is shown if the condition is false.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from verifywise_mlflow.compliance.rules.cel_expression import (
    CelExpression,
    CelExpressionError,
    ValueExpression,
    compile_value,
)
from verifywise_mlflow.compliance.rules.field_paths import STATED, Path, dotted

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class ReasonCase(StrEnum):
    """An outcome that has its own sentence: a verdict, or one of the causes of ``not evidenced``."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    FAIL = "fail"
    NOT_EVIDENCED = "not evidenced"
    """MLflow shows none of the values that decide the verdict."""
    INCONCLUSIVE = "inconclusive"
    """Values are shown, but ``evidenced`` is false: they do not suffice. The verdict is not evidenced."""
    SCOPE_UNKNOWN = "scope unknown"
    """A value that decides whether the rule applies is not shown; the verdict is not evidenced."""
    NOT_READ = "not read"
    """A deciding value belongs to an object that could not be read. The reason always names the object."""
    NOT_APPLICABLE = "not applicable"

    __hash__ = str.__hash__  # faster: the hash of enumerations is a Python function


@dataclass(frozen=True, slots=True)
class SentenceTemplate:
    """A sentence as text and value expressions, in order."""

    parts: tuple[str | ValueExpression, ...]
    unless: CelExpression | None = None
    """The condition that the sentence belongs to: it is shown only if the condition is false. None: the sentence is
    always shown."""

    @property
    def placeholders(self) -> tuple[ValueExpression, ...]:
        """The values that the sentence quotes."""
        return tuple(part for part in self.parts if isinstance(part, ValueExpression))


def parse_sentence(text: str, values: Mapping[str, str], unless: CelExpression | None = None) -> SentenceTemplate:
    """Return the template of a sentence.

    Args:
        text: the sentence, with values in braces.
        values: the rule's named values, name to CEL expression.
        unless: a condition: the sentence is shown only if the condition is false.

    Raises:
        ValueError: a brace without its partner, a placeholder that is neither a named value nor an expression, or no
            full stop at the end.
    """
    if not text.rstrip().endswith("."):
        raise ValueError("the sentence has no full stop at its end: add one")
    parts: list[str | ValueExpression] = []
    for index, piece in enumerate(_PLACEHOLDER.split(text)):
        if index % 2:
            try:
                parts.append(compile_value(values.get(piece, piece)))
            except CelExpressionError as error:
                value_names = ", ".join(values) or "none"
                message = f"{{{piece}}} is neither a named value (reason_values: {value_names}) nor a field: {error}"
                raise ValueError(message) from error
        elif "{" in piece or "}" in piece:
            raise ValueError("a brace has no partner: write values as {name}")
        elif piece:
            parts.append(piece)
    return SentenceTemplate(tuple(parts), unless)


def paths_not_read(expression: ValueExpression, read: Collection[Path]) -> tuple[str, ...]:
    """Return the paths of a value, in CEL's notation, that the rule's own expressions do not read."""
    return tuple(
        dotted(path)
        for path in expression.paths
        if not any(path[: len(other)] == other for other in read if other[0] != STATED)
    )
