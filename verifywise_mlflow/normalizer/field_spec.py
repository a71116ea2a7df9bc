"""The definition of one field of the canonical record. ``record.py`` has such a definition for each field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import partial
from typing import Final


class FieldGroup(StrEnum):
    """The groups of the record's fields. The values are the headings that people see."""

    IDENTITY = "Identity"
    LIFECYCLE = "Version and lifecycle"
    TRAINING = "Training and evaluation"
    LINEAGE = "Lineage"
    COMPLIANCE = "Risk and compliance"
    ARTIFACTS = "Artifacts and environment"


class FieldType(Enum):
    """The type of a field's value. It decides the type of the SQL column and of the CEL variable."""

    TEXT = auto()
    INTEGER = auto()
    TIMESTAMP = auto()
    """A time, UTC."""
    JSON_OBJECT = auto()
    JSON_LIST = auto()


class FilledFrom(Enum):
    """Where a field's value comes from."""

    TAGS = auto()
    """The first value source with a value fills the field. Any synonym of the field counts as a tag key
    (mapping.yaml)."""
    ATTRIBUTES = auto()
    """The first value source with a value fills the field. The field has no synonyms: only attributes and exact keys
    count."""
    OBJECTS = auto()
    """``normalize`` takes the value from the MLflow objects or the manifest. A mapping cannot change the value."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """The definition of one field of the record."""

    group: FieldGroup
    description: str
    type: FieldType = FieldType.TEXT
    filled_from: FilledFrom = FilledFrom.OBJECTS
    is_key: bool = False
    """Whether the field is a part of the primary key."""
    normal_forms: tuple[str, ...] = ()
    """The closed set of values. The most severe or highest value is first. Empty for free text."""
    denials: tuple[str, ...] = ()
    """The normal forms that deny what the field is about, such as ``not_done``. Among the tags of one object, they
    precede all other values, as a refusal does."""
    neighbors_agree: bool = False
    """Whether adjacent normal forms do not contradict each other. An example is a canary in staging."""
    may_have_default: bool = False
    """Whether ``tenants.yaml`` may state a value for all versions. False for a field that vouches for one version, such
    as an approval, or describes what happened to one version, such as its stage."""
    may_carry_date: bool = False
    """Whether the text is searched for a date, such as the date of an approval."""
    is_date: bool = False
    """Whether the value is a date. Then a text that consists of a date is a value."""
    may_be_identifier: bool = False
    """Whether the text is often an identifier such as SEC-2026-11. Then only a date with a day counts as a date."""
    may_lack_value: bool = False
    """Whether the text may hold no value, like `TBD` and `rejected`: see ``ValueState``. False for a lifecycle stage.
    An unknown stage leaves the rules undecided, but a version without a stage is in no rule's scope."""
    names_people: bool = False
    """Whether the text names a person or a team. Then the account of a machine is not a value."""
    is_attestation: bool = False
    """Whether the text vouches for one version. Then the nearest source counts even if it states that there is no
    approval: no other source replaces it."""


attribute_field: Final = partial(FieldSpec, filled_from=FilledFrom.ATTRIBUTES)
"""Defines a field that an attribute of an MLflow object fills."""

tag_field: Final = partial(FieldSpec, filled_from=FilledFrom.TAGS, may_lack_value=True)
"""Defines a field that tags fill and whose text may hold no value."""

attestation_field: Final = partial(tag_field, FieldGroup.COMPLIANCE, may_carry_date=True, is_attestation=True)
"""Defines a field whose tags vouch for one version, on a date that the text may state."""

assessment_field: Final = partial(
    attestation_field,
    normal_forms=("completed", "in_progress", "not_done", "not_required", "expired"),
    denials=("in_progress", "not_done", "expired"),
)
"""Defines a field with the status of an assessment. A ``not_required`` is no denial: it can be lawful."""
