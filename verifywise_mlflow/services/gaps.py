"""The gaps of one tenant or several: which rule is not met by which version, since when, and who accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.session import TenantSession


@value_object
class GapWaiver:
    """The acceptance of a gap by a person. The gap stays a gap."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    approver: str
    """Who accepted the gap."""
    reason: str
    """Why."""
    expires_on: date
    """The last day on which the waiver is in force, UTC."""


@value_object
class Gap:
    """A rule that a version does not meet, or of which MLflow shows no evidence."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    severity: str | None
    """critical, high, medium or low; null for a rule that no policy of the tenant has any more."""
    rule_id: str
    """The rule's ID in its policy."""
    rule_title: str | None
    """What the rule requires; null for a rule that no policy of the tenant has any more."""
    verdict: str
    """fail, not evidenced or error."""
    reason: str
    """Why."""
    ai_system: str | None
    """The AI system that the version is a part of, according to its tag or to what the tenant declares."""
    model_name: str
    """The registered model, as MLflow names it."""
    version_number: int
    """The version's number in MLflow."""
    lifecycle_stage: str | None
    """production, staging, development or archived; null if nothing states it."""
    owner: str | None
    """The person or team accountable for the model."""
    opened_at: datetime
    """Since when each evaluation found a gap, UTC: the start of the uninterrupted run of such verdicts."""
    may_be_older: bool
    """Whether nothing shows that the gap was not there before: when it was first recorded, the rule had not been
    evaluated on the version yet, or what it rests on could not be read."""
    age_days: int
    """For how many whole days the gap has been open."""
    waiver: GapWaiver | None
    """Who accepts the gap now; null if nobody does."""
    clauses: tuple[str, ...]
    """The clauses that the rule gives evidence for, such as EU AI Act Art. 10(2)(b)."""


class Grouping(StrEnum):
    """What gaps can be counted by."""

    OWNER = "owner"
    SEVERITY = "severity"
    AGE = "age"
    RULE = "rule"
    MODEL = "model"
    SYSTEM = "system"


@value_object
class GapGroup:
    """The gaps of a tenant that have the same owner, severity, age, rule, model or AI system, counted."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    group: str | None
    """The owner, severity, age, rule, model or AI system that the gaps have in common; null if they have none."""
    open: int
    """Gaps that nobody accepts."""
    waived: int
    """Gaps that a waiver covers."""
    critical: int
    """Those of critical severity, waived ones included. The same holds for the other severities."""
    high: int
    """Those of high severity."""
    medium: int
    """Those of medium severity."""
    low: int
    """Those of low severity."""
    versions: int
    """Versions with such a gap."""
    oldest_opened_at: datetime
    """When the oldest of them was opened, UTC."""


@dataclass(frozen=True, slots=True)
class GapFilter:
    """Which gaps to list. The values of one field are alternatives; several fields must all match."""

    versions: VersionFilter = field(default_factory=VersionFilter)
    severities: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """IDs of rules; ``*`` stands for any characters."""
    ai_systems: tuple[str, ...] = ()
    """Names of AI systems."""
    frameworks: tuple[str, ...] = ()
    """Governance frameworks that the rule refers to."""
    min_age_days: int = 0
    """Gaps that have been open for so many whole days at least."""
    is_waived: bool | None = None
    """Only waived ones, or only those that no waiver covers."""


def open_gaps(
    session: TenantSession, at: datetime, wanted: GapFilter | None = None, limit: int | None = None
) -> Iterator[Gap]:
    """Yield a tenant's gaps in the order in which they need a person. Memory does not grow with their number.

    Args:
        session: The tenant's transaction.
        at: The current time: ages and waivers depend on it.
        wanted: Which gaps to list.
        limit: The most gaps to yield.

    Raises:
        UnresolvedNameError: the tenant has no such AI system, or its policies refer to no such framework.
    """
    raise NotImplementedError


def group_gaps(session: TenantSession, at: datetime, by: Grouping, wanted: GapFilter | None = None) -> list[GapGroup]:
    """Return a tenant's gaps, counted by what they have in common, the group with the worst gaps first."""
    raise NotImplementedError
