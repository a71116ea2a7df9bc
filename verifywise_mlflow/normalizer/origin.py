"""The provenance of a field's value: which MLflow object it came from, what it said, and why a text is no value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

from verifywise_mlflow.common.value_object import value_object

SourceKind = Literal[
    "version",
    "version tag",
    "model",
    "model tag",
    "alias",
    "run",
    "run tag",
    "experiment",
    "logged model",
    "artifact",
    "config",
]
"""``config`` means a default of the tenant's settings, not a value from MLflow."""


class ValueState(StrEnum):
    """Why a text is no value. The field is null then, so that no rule passes by it; the origin keeps the text."""

    PLACEHOLDER = "placeholder"
    """It says nothing: `TBD`, `n/a`, `?`."""
    NEGATIVE = "negative"
    """It denies what the field is about: `no`, `rejected by Ada`."""
    FAILED = "failed"
    """What the field is about was not done or not passed: `failed: 3 findings`."""
    GENERIC = "generic"
    """It names what any number of machines have: the account `root`, the launcher of a notebook's kernel."""

    @property
    def clause(self) -> str:
        """What such a text is, for a sentence."""
        return _STATE_CLAUSES[self]


_STATE_CLAUSES: Final[Mapping[ValueState, str]] = {
    ValueState.PLACEHOLDER: "a placeholder",
    ValueState.NEGATIVE: "a negation",
    ValueState.FAILED: "a failure",
    ValueState.GENERIC: "a name that any machine may have",
}


@value_object
class Origin:
    """The provenance of one field's value, so that an auditor can look it up."""

    source: SourceKind
    key: str
    """The tag, alias or attribute as the customer wrote it; the path of an artifact; the setting for ``config``."""
    raw: str | None
    """The text before normalization; null for a value that is not text and was copied as it is."""
    dated: str | None = None
    """The date in the text: ``2026-03-01``, ``2026-03``, ``2026-Q1`` or ``2026``."""
    rule: str | None = None
    """Why this value was chosen, if several sources had one."""
    link: str | None = None
    """How the object that has the value belongs to the version, if the version itself does not name that object."""
    state: ValueState | None = None
    """Why the text is no value, in which case the field is null; None if it is one."""
    same_person_as: tuple[str, ...] = ()
    """The other fields that name the same person (``same_person.py``), if a person attests something here."""
    may_be_same_person_as: tuple[str, ...] = ()
    """The other fields that may name the same person: it is unclear."""
