"""What ``events --json``, ``diff --json`` and ``history --json`` print: how versions changed over time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, WithJsonSchema

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.exports.json_documents.document import JsonDocument

Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.astimezone(UTC).isoformat(), when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in UTC with the offset ``+00:00``, as these commands printed it before they had schemas."""


@value_object
class EventRow:
    """A lifecycle event."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    kind: str
    """first seen, stage, alias, status, deployment, disappeared, reappeared or recreated."""
    model_name: str
    """The registered model."""
    version_number: int | None
    """The version; null for an event of the model. For an alias, the version that it points to, or pointed to."""
    incarnation: int
    """The number of this object among the objects that have had the same name or number. The first has the number 1."""
    alias: str | None
    """The alias that moved; null for other events."""
    previous: str | None
    """The former value, in MLflow's form."""
    value: str | None
    """The value since then."""
    happened_at: Moment | None
    """When the event happened; null if MLflow does not report the time."""
    seen_at: Moment
    """When a sync saw the event."""
    sync_id: str
    """The ID of that sync, as in the audit trail."""


class EventsDocument(JsonDocument):
    """The lifecycle events of a tenant's models and versions."""

    NAME: ClassVar[str] = "events"

    tenant: str
    """The tenant's name in the database."""
    since: Moment | None
    """The start of the period; null if the period has no start."""
    until: Moment
    """The end of the period, which is not a part of it."""
    events: tuple[EventRow, ...]
    """The newest events, oldest first."""


@value_object
class FieldChange:
    """A changed value of a record."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    path: tuple[str, ...]
    """The field of the record, followed by the members that lead to a nested value. ``record`` alone means the whole
    record."""
    before: JsonValue
    """The value before; null if there was none."""
    after: JsonValue
    """The value after; null if there is no value any more."""


@value_object
class BadgeChange:
    """A badge that changed."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    before: str | None
    """The badge before; null if the version was not evaluated."""
    after: str | None
    """The badge after."""


@value_object
class RuleChange:
    """A verdict that changed."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    rule_id: str
    """The rule's ID in its policy."""
    before: str | None
    """The verdict before; null if the rule was not evaluated."""
    after: str | None
    """The verdict after; null if the rule is no longer evaluated."""
    reason: str | None
    """The reason of the verdict after."""


@value_object
class VersionDifference:
    """How a version changed between two times."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    model_name: str
    """The registered model."""
    version_number: int
    """The version's number in MLflow."""
    differences: tuple[FieldChange, ...]
    """What changed in its record."""
    badge: BadgeChange | None
    """How its badge changed; null if the badge did not change."""
    verdicts: tuple[RuleChange, ...]
    """The verdicts that changed, by rule."""


class DiffDocument(JsonDocument):
    """The net differences of a tenant's versions between two times."""

    NAME: ClassVar[str] = "diff"

    tenant: str
    """The tenant's name in the database."""
    since: Moment = Field(serialization_alias="from")
    """The start of the period."""
    until: Moment = Field(serialization_alias="to")
    """The end of the period."""
    records_begin: Moment | None
    """When the tenant's first record was written. Nothing is known about the time before it. Null if there is no
    record."""
    versions: tuple[VersionDifference, ...]
    """The versions that differ, by model and number."""


class _Change(BaseModel):
    """The members that all changes of a history have."""

    model_config = ConfigDict(**DESCRIBED, frozen=True)

    at: Moment
    """When a sync saw the change; for a waiver, when it was granted or when it ended."""
    sync_id: str
    """The sync that saw it; empty for a change that no sync made."""


class EventChange(_Change):
    """A lifecycle event."""

    what: Literal["event"]
    """The kind of change."""
    kind: str
    """The kind of event, as the command ``events`` prints it."""
    model_name: str
    """The registered model."""
    version_number: int | None
    """The version."""
    incarnation: int
    """The number of this object among the objects that have had the same name or number. The first has the number 1."""
    alias: str | None
    """The alias that moved."""
    previous: str | None
    """The former value."""
    value: str | None
    """The value since then."""
    happened_at: Moment | None
    """When the event happened; null if MLflow does not report the time."""


class RecordChange(_Change):
    """A new state of the record."""

    what: Literal["record"]
    """The kind of change."""
    differences: tuple[FieldChange, ...]
    """What changed."""


class VerdictChange(_Change):
    """A new state of a verdict."""

    what: Literal["verdict"]
    """The kind of change."""
    rule_id: str
    """The rule's ID in its policy."""
    before: str | None
    """The verdict before; null if the rule was not evaluated."""
    after: str | None
    """The verdict after; null if the rule is no longer evaluated."""
    reason: str | None = None
    """The reason of the verdict after."""
    policy_version: str | None = None
    """The version of the policy that first led to this verdict."""


class BadgeStateChange(_Change):
    """A new state of the badge."""

    what: Literal["badge"]
    """The kind of change."""
    before: str | None
    """The badge before; null for the first badge."""
    after: str
    """The badge after."""


class WaiverChange(_Change):
    """A waiver that was granted or ended."""

    what: Literal["waiver"]
    """The kind of change."""
    waiver_id: int
    """The number of the waiver."""
    outcome: str
    """granted, withdrawn, expired or another reason why the waiver ended."""
    rule: str
    """The rule whose gaps are accepted."""
    model: str
    """The model, or a pattern of models."""
    version: int | None
    """The version; null for all versions."""
    approver: str
    """Who accepted the gaps."""
    reason: str
    """The reason for accepting the gaps."""
    expires: date
    """The last day of the waiver, UTC."""


HistoryChange: TypeAlias = Annotated[
    EventChange | RecordChange | VerdictChange | BadgeStateChange | WaiverChange, Field(discriminator="what")
]
"""A change in the history of a version. ``what`` states the kind of change."""


class HistoryDocument(JsonDocument):
    """All changes of a version."""

    NAME: ClassVar[str] = "history"

    tenant: str
    """The tenant's name in the database."""
    model_name: str
    """The registered model."""
    version_number: int
    """The version's number in MLflow."""
    history: tuple[HistoryChange, ...]
    """The changes, oldest first."""
