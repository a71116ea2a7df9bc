"""What ``show --json`` prints: everything that is recorded of a version at a given time, and the verdicts on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.compliance.badge import BADGE_WORDS
from verifywise_mlflow.exports.json_documents.changes import Moment
from verifywise_mlflow.exports.json_documents.document import JsonDocument

JsonObject: TypeAlias = Mapping[str, JsonValue]


class _Part(BaseModel):
    model_config = ConfigDict(**DESCRIBED, frozen=True)


class ShownSpan(_Part):
    """The period in which a state was valid."""

    held_from: Moment
    """The start of the period."""
    sync_id: str
    """The sync that wrote the state; empty if no sync wrote it."""
    held_until: Moment | None
    """The end of the period, which is not a part of it; null for the current state."""
    ended_by_sync_id: str | None
    """The sync that ended it."""


class ShownBadge(_Part):
    """The badge of the version."""

    badge: Annotated[str, Field(description=f"{BADGE_WORDS}.")]
    evaluated_at: Moment
    """The time of the last evaluation that led to this badge."""
    span: ShownSpan
    """The period in which the version had this badge."""
    rule: str
    """How badges follow from verdicts."""


class ShownClause(_Part):
    """A clause that a rule gives evidence for."""

    framework: str
    """The framework's name."""
    clause: str
    """The clause's number."""


class ShownVerdict(_Part):
    """A rule and its verdict."""

    rule_id: str
    """The rule's ID in its policy."""
    rule_version: int
    """The version of the rule."""
    title: str
    """What the rule requires; empty if the policy at that time does not have the rule."""
    severity: str
    """low, medium, high or critical; empty if the policy at that time does not have the rule."""
    clauses: tuple[ShownClause, ...]
    """The clauses that the rule gives evidence for."""
    verdict: str
    """pass, fail, not evidenced, not read, not applicable or error."""
    reason: str
    """The reason of the verdict."""
    values: JsonObject
    """The values that the rule read, by path."""
    policy_id: str
    """The policy that has the rule."""
    policy_version: str
    """The version of the policy that first led to this verdict."""
    origins: Mapping[str, JsonObject]
    """Field to the origin of its value."""
    thresholds: Mapping[str, float]
    """The thresholds that the rule compared with."""
    day: date | None
    """The day of the evaluation, if the rule depends on it."""
    input_hash: str
    """A hash of everything that determines the verdict."""
    span: ShownSpan
    """The period in which the verdict was valid."""
    open_since: Moment | None
    """The time since which the gap has been open; null if no gap is open. A verdict ``not read`` does not close a
    gap."""


class ShownWaiver(_Part):
    """A waiver that covers a gap of the version."""

    waiver_id: int
    """The number of the waiver."""
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
    source: str
    """file or command: how the waiver was granted."""
    granted_at: Moment
    """When the waiver was granted."""
    ended_at: Moment | None
    """When the end of the waiver was recorded; null while the waiver is in force."""
    ended: str | None
    """Why the waiver ended."""


class ShowDocument(JsonDocument):
    """Everything that is recorded of a version at a given time."""

    NAME: ClassVar[str] = "version"

    tenant: str
    """The tenant's name in the database."""
    as_of: Moment
    """The time of the state."""
    record: JsonObject
    """The canonical record, by field; null if the value is unknown."""
    origins: Mapping[str, JsonObject]
    """Field to where its value comes from."""
    incomplete: tuple[JsonObject, ...]
    """The objects that could not be read: the kind, sentences, and the fields that depend on the object."""
    findings: tuple[JsonObject, ...]
    """What was read but looks wrong."""
    gone_at: Moment | None
    """The time since which MLflow no longer has the version; null while the version exists."""
    revision: int
    """A number that grows with each write of the record."""
    span: ShownSpan
    """The period in which the record was valid."""
    badge: ShownBadge | None
    """The badge; null before the first evaluation."""
    verdicts: tuple[ShownVerdict, ...]
    """The verdicts, by rule."""
    waivers: tuple[ShownWaiver, ...]
    """The waivers in force that cover a gap."""
