"""The provenance of a field's value: the MLflow object, the original text, and the reason why a text is not a value."""

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
    """Why a text is not a value. The field is then null, so no rule passes by the text; the origin keeps the text."""

    PLACEHOLDER = "placeholder"
    """The text has no meaning: `TBD`, `n/a`, `?`."""
    NEGATIVE = "negative"
    """The text denies the subject of the field: `no`, `rejected by Ada`."""
    FAILED = "failed"
    """The subject of the field was not done or not passed: `failed: 3 findings`."""
    GENERIC = "generic"
    """The text names nobody in particular: the account `root`, the launcher of a notebook's kernel."""

    @property
    def clause(self) -> str:
        """The meaning of a text with this state, as a clause for a sentence."""
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
    """The text before normalization; None for a value that is not a text and was copied unchanged."""
    dated: str | None = None
    """The date in the text: ``2026-03-01``, ``2026-03``, ``2026-Q1`` or ``2026``."""
    rule: str | None = None
    """Why this value was chosen, if several sources had a value."""
    link: str | None = None
    """How the object with the value is linked to the version, if the version itself does not name the object."""
    state: ValueState | None = None
    """The reason why the text is not a value; the field is then null. None for a value."""
    same_person_as: tuple[str, ...] = ()
    """The other fields that name the same person (``same_person.py``), if this field is an attestation."""
    may_be_same_person_as: tuple[str, ...] = ()
    """The other fields that may name the same person, but not certainly."""
